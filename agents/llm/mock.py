"""``mock``: scripted models, deterministic and honest about it; for tests and demonstrations.

``mock:echo`` repeats the last message. ``mock:tools`` asks for the calculator when it finds
arithmetic, then answers with what it observed. ``mock:fail`` fails. A test gives scripts of its
own by name.
"""

import asyncio
import json
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from agents.llm.provider import AskedCall, ProviderRequest, ProviderTurn
from agents.llm.tokens import count_tokens
from control_tower.errors import ModelFailed
from events.payloads import JsonObject

Script: TypeAlias = Callable[[ProviderRequest], ProviderTurn]
"""A model in one function: the turn that follows from the messages."""

SIGN = "[mock model]"
"""Begins every scripted answer, so that nobody takes it for a real one."""

KEPT = 100
"""Turns that are remembered: each holds the whole talk, and a server may run for months."""

_ARITHMETIC = re.compile(r"[-(]*\d[\d.]*(?:\s*[-+*/%^]+\s*[-(]*\d[\d.]*\)*)+")
_PIECE = re.compile(r"\S+\s*|\s+")


def _echo(request: ProviderRequest) -> ProviderTurn:
    return ProviderTurn(f"{SIGN} You said: {_last(request.messages, 'user')}")


def _tools(request: ProviderRequest) -> ProviderTurn:
    last = request.messages[-1] if request.messages else {}
    if last.get("role") == "tool":
        return ProviderTurn(f"{SIGN} I observed: {last.get('content', '')}")
    asked = _last(request.messages, "user")
    arithmetic = _ARITHMETIC.search(asked)
    offered = {tool.name for tool in request.tools}
    if arithmetic and "calculator" in offered:
        call = AskedCall("calculator", {"expression": arithmetic.group()})
        return ProviderTurn(f"{SIGN} I will calculate.", [call], "tool_calls")
    return ProviderTurn(f"{SIGN} There is nothing to calculate in: {asked}")


def _fail(_: ProviderRequest) -> ProviderTurn:
    raise ModelFailed("The mock model fails, as its name says.")


SCRIPTS: Mapping[str, Script] = {"echo": _echo, "tools": _tools, "fail": _fail}
"""The models that are always there."""


class MockProvider:
    """Implements :class:`~agents.llm.provider.Provider` with scripts.

    Attributes:
        requests: the newest turns that were asked for, for tests to look at.
    """

    name = "mock"
    configured = True
    problem: str | None = None

    def __init__(
        self,
        scripts: Mapping[str, Script] | None = None,
        turns: Sequence[ProviderTurn] | None = None,
    ) -> None:
        """Take scripts by name, and fixed ``turns`` that every other model gives in order."""
        self._scripts = dict(SCRIPTS) | dict(scripts or {})
        self._turns = list(turns or [])
        self.requests: deque[ProviderRequest] = deque(maxlen=KEPT)

    async def open(self) -> None:
        """Do nothing: a script is always ready."""

    def price(self, model: str) -> tuple[float, float] | None:  # noqa: ARG002 - all are free
        """Return that it costs nothing."""
        return 0.0, 0.0

    async def turn(self, request: ProviderRequest, delta: Callable[[str], None]) -> ProviderTurn:
        """Make the scripted turn, streaming its text by the word."""
        self.requests.append(request)
        turn = self._scripted(request)
        for piece in _PIECE.findall(turn.text):
            delta(piece)
            await asyncio.sleep(0)
        said = turn.text + "".join(json.dumps(call.arguments) for call in turn.calls)
        return ProviderTurn(
            turn.text,
            turn.calls,
            turn.finish_reason,
            turn.input_tokens or count_tokens(list(request.messages)),
            turn.output_tokens or count_tokens(said),
        )

    def _scripted(self, request: ProviderRequest) -> ProviderTurn:
        script = self._scripts.get(request.model)
        if script is not None:
            return script(request)
        if self._turns:
            return self._turns.pop(0)
        known = ", ".join(sorted(self._scripts))
        raise ModelFailed(f"There is no mock model {request.model}; there are {known}.")


def _last(messages: Sequence[JsonObject], role: str) -> str:
    found = [str(message.get("content", "")) for message in messages if message["role"] == role]
    return found[-1] if found else ""
