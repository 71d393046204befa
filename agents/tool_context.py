"""What a tool may ask for: who calls it, in which step, and the session's files."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agents.workspace import Workspace
from events.payloads import JsonObject

Search = Callable[[str, str, int], Awaitable[list[JsonObject]]]
"""Finds messages: ``search(user_id, query, limit)``."""


@dataclass(slots=True, frozen=True)
class ToolContext:
    """Given to a tool that has a parameter of this type.

    Attributes:
        effect_key: the same at each attempt of the same call; pass it downstream as an
            idempotency key.
        pid: the mission that calls.
        step: the step of the call in the mission's journal.
        attempt: from 1.
        session_id: the mission's session.
        user_id: the mission's user.
        workspace: the session's files; changes are committed with the tool's result.
        now: Unix seconds when the attempt began.
        delta: streams a piece of text to whoever watches.
        search: finds messages of the user; None where the server has no search.
    """

    effect_key: str
    pid: str
    step: str
    attempt: int
    session_id: str
    user_id: str
    workspace: Workspace
    now: float
    delta: Callable[[str], None]
    search: Search | None = None
