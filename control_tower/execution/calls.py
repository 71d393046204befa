"""System calls: what a program asks the tower for.

A call's ``identity`` is what the program asked and is hashed into the journal; its ``arguments``
are what people see and what runs. ``request`` carries the same for the kernel, with the
functions and bytes that JSON can't hold.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeAlias

from control_tower.commands import MISSION_CHARACTERS, NAME_CHARACTERS
from control_tower.errors import AgentError
from control_tower.execution.canonical import canonical_json, sha256_hex
from control_tower.ports import ModelRequest, ToolPlan
from control_tower.quota.accounts import NOTHING
from control_tower.quota.quotas import ResourceQuota, ResourceUsage
from control_tower.records import StepRecord
from events.payloads import JsonObject
from events.types import Json

EVENT_LIMIT_BYTES: Final = 256 * 1024
"""The most that an event's payload may hold (tower.md)."""

SAID_LIMIT_BYTES: Final = EVENT_LIMIT_BYTES - 4 * 1024
"""The most that a program may say in one event, as JSON; the rest is for what the tower adds."""

STEP_NAME_CHARACTERS: Final = 1_000
"""Of a step's name: events show it beside arguments and output, which have their own bound."""

HISTORY_MESSAGES: Final = 10_000
"""The most messages that one call of ``ctx.history`` may ask for."""

_NAME: Final = re.compile(r"[^/\\\x00-\x1f\x7f\ud800-\udfff]{1,200}")
_PART: Final = r"[A-Za-z0-9!#$&^_.+-]{1,100}"
# RFC 9110, section 8.3.1; parameters are taken as any visible text of one line.
_MEDIA_TYPE: Final = re.compile(rf"{_PART}/{_PART}(?: ?;[\x20-\x7e]{{1,200}})?")


class Kind(StrEnum):
    """The kinds of system call, as the journal names them (tower.md)."""

    LLM = "llm"
    TOOL = "tool"
    STEP = "step"
    SLEEP = "sleep"
    CONFIRM = "confirm"
    CLARIFY = "clarify"
    SPAWN = "spawn"
    JOIN = "join"
    HISTORY = "history"
    EMIT = "emit"
    ARTIFACT = "artifact"
    NOW = "now"
    RANDOM = "random"
    UUID = "uuid"


@dataclass(slots=True, frozen=True)
class FunctionCall:
    """``ctx.step``: any function of the program, run once. ``reserve``: what it may use."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    idempotent: bool
    reserve: ResourceUsage = NOTHING


@dataclass(slots=True, frozen=True)
class LibraryTurn:
    """A model's turn that a library made within a step, as far as it tells of it."""

    model: str
    input_tokens: int
    output_tokens: int


@dataclass(slots=True, frozen=True)
class Spent:
    """What a step's function may return to have charged what it used.

    Attributes:
        turns: models' turns beside ``usage``, charged by their models' prices.
        error: it failed.
    """

    output: Any
    usage: ResourceUsage = NOTHING
    error: AgentError | None = None
    turns: Sequence[LibraryTurn] = ()


@dataclass(slots=True, frozen=True)
class Sleep:
    """``ctx.sleep``."""

    seconds: float


def _check_said(call: str, *said: object) -> None:
    """Refuse what no event can hold: clients would have to read it whole, again at each replay."""
    size = len(canonical_json(said))
    if size > SAID_LIMIT_BYTES:
        raise ValueError(
            f"{call} takes at most {SAID_LIMIT_BYTES} bytes of JSON, not {size}: keep what is "
            "large with ctx.artifact"
        )


def check_step_name(name: str) -> None:
    """Refuse a step's name that is too long.

    Raises:
        ValueError: for such a name.
    """
    if len(name) > STEP_NAME_CHARACTERS:
        raise ValueError(f"a step's name has at most {STEP_NAME_CHARACTERS} characters")


@dataclass(slots=True, frozen=True)
class Confirm:
    """``ctx.confirm``.

    Raises:
        ValueError: for more than people can be shown.
    """

    message: str
    details: JsonObject

    def __post_init__(self) -> None:
        _check_said("confirm", self.message, self.details)


@dataclass(slots=True, frozen=True)
class Clarify:
    """``ctx.clarify``.

    Raises:
        ValueError: for more than people can be shown.
    """

    question: str
    options: tuple[str, ...] | None
    strict: bool

    def __post_init__(self) -> None:
        _check_said("clarify", self.question, self.options)


@dataclass(slots=True, frozen=True)
class Spawn:
    """``ctx.spawn``. A child's mission is what a person's may be.

    Raises:
        ValueError: for an agent or a mission that is no such text.
    """

    agent: str
    mission: str
    quota: ResourceQuota | None

    def __post_init__(self) -> None:
        if not _fits(self.agent, NAME_CHARACTERS) or not _fits(self.mission, MISSION_CHARACTERS):
            raise ValueError(
                f"spawn takes an agent's name and a text of 1 to {MISSION_CHARACTERS} characters"
            )


def _fits(text: object, most: int) -> bool:
    """Whether a program gave a text, with words in it, and not too many."""
    return isinstance(text, str) and len(text) <= most and bool(text.strip()) and "\0" not in text


@dataclass(slots=True, frozen=True)
class Join:
    """``child.result()``."""

    child_pid: str


@dataclass(slots=True, frozen=True)
class History:
    """``ctx.history``.

    Raises:
        ValueError: for a limit that is no such number.
    """

    limit: int

    def __post_init__(self) -> None:
        if type(self.limit) is not int or not 0 <= self.limit <= HISTORY_MESSAGES:
            raise ValueError(f"history takes a whole number from 0 to {HISTORY_MESSAGES}")


@dataclass(slots=True, frozen=True)
class Emit:
    """``ctx.emit``.

    Raises:
        ValueError: for more than an event can hold.
    """

    name: str
    fields: JsonObject

    def __post_init__(self) -> None:
        _check_said("emit", self.name, self.fields)


@dataclass(slots=True, frozen=True)
class Artifact:
    """``ctx.artifact``. Both texts become parts of HTTP's own: a path's last part, and a header.

    Raises:
        ValueError: for a name or a media type that can't be.
    """

    name: str
    content: bytes
    media_type: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name in {".", ".."}:
            raise ValueError("an artifact's name has 1 to 200 characters, none of them a slash")
        if not _MEDIA_TYPE.fullmatch(self.media_type):
            raise ValueError("an artifact's media type is one such as text/plain; charset=utf-8")


@dataclass(slots=True, frozen=True)
class Rejected:
    """A call that can't be made: unknown tool, arguments that do not fit, no such model."""

    code: str
    message: str


Request: TypeAlias = (
    ToolPlan
    | ModelRequest
    | FunctionCall
    | Sleep
    | Confirm
    | Clarify
    | Spawn
    | Join
    | History
    | Emit
    | Artifact
    | Rejected
)


@dataclass(slots=True, eq=False)
class Call:
    """A call in flight: made by the program in this run, its outcome not yet delivered."""

    step: str
    kind: Kind
    name: str
    identity: Json
    arguments: Json
    request: Request
    outcome: "asyncio.Future[StepRecord]"
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        self.sha256 = sha256_hex(self.kind, self.name, self.identity)

    @property
    def repeatable(self) -> bool:
        """Whether an attempt cut short may simply be made again."""
        match self.request:
            case ToolPlan(idempotent=idempotent, staged=staged):
                return idempotent or staged
            case FunctionCall(idempotent=idempotent):
                return idempotent
            case _:
                return True
