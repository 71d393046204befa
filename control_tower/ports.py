"""What the kernel needs of the world, as Protocols: a store, programs, tools, models, a clock.

The kernel knows user land and the disk only through these; ``server/app.py`` plugs the real ones
in, the simulation plugs in faulty ones.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from control_tower.quota.quotas import ResourceQuota, ResourceUsage
from control_tower.records import (
    FileRecord,
    InterruptRecord,
    KeyRecord,
    MessageHit,
    MessageRecord,
    ProcessControlBlock,
    SessionRecord,
    StepRecord,
    UserDay,
)
from control_tower.unit import Unit, Write
from events.payloads import JsonObject
from events.types import Ephemeral, Json

if TYPE_CHECKING:
    from control_tower.execution.context import Context


class Clock(Protocol):
    """Wall time; the simulation's is virtual."""

    def now(self) -> float:
        """Return Unix seconds."""


class Ids(Protocol):
    """Makes sortable unique ids; the simulation's are counted."""

    def new(self, prefix: str) -> str:
        """Return a fresh id that begins with ``prefix``, e.g. ``m_``."""


@dataclass(slots=True, frozen=True)
class MissionQuery:
    """A filter over missions, newest first. ``after`` is the last pid of the page before."""

    user_id: str | None = None
    session_id: str | None = None
    state: str | None = None
    limit: int = 100
    after: str | None = None


@dataclass(slots=True, frozen=True)
class InterruptQuery:
    """A filter over interrupts, oldest first. ``after`` is the last id of the page before.

    ``newest_first`` turns the order round.
    """

    user_id: str | None = None
    session_id: str | None = None
    mission_id: str | None = None
    kind: str | None = None
    status: str | None = "pending"
    limit: int = 100
    after: str | None = None
    newest_first: bool = False


@dataclass(slots=True, frozen=True)
class SessionQuery:
    """A filter over sessions, newest activity first. ``since`` bounds last_activity."""

    user_id: str | None = None
    since: float | None = None
    archived: bool | None = False
    include_deleted: bool = False
    limit: int = 50
    offset: int = 0


class Store(Protocol):
    """Durable memory: the log and the tables beside it."""

    def submit(self, unit: Unit) -> None:
        """Hand a unit over. Never blocks; completions come on the event loop, in order."""

    def lease_left_s(self) -> float:
        """Return for how long this process surely is the only one that acts on the world."""

    async def mission(self, pid: str) -> ProcessControlBlock | None:
        """Return a mission's row."""

    async def missions(self, query: MissionQuery) -> list[ProcessControlBlock]:
        """Return a page of missions."""

    async def live_missions(self, after: str | None, limit: int) -> list[ProcessControlBlock]:
        """Return a page of missions without an outcome, by pid, for recovery."""

    async def live_missions_of_users(
        self, user_ids: Sequence[str], after: str | None, limit: int
    ) -> list[ProcessControlBlock]:
        """Return a page of these users' missions without an outcome, by pid, for recovery.

        Those of a session or a user whose erasure has begun are left out: they are to be removed.
        """

    async def steps(self, pid: str) -> list[StepRecord]:
        """Return a mission's journal in the order in which calls were first recorded."""

    async def interrupt(self, interrupt_id: str) -> InterruptRecord | None:
        """Return an interrupt."""

    async def interrupts(self, query: InterruptQuery) -> list[InterruptRecord]:
        """Return a page of interrupts."""

    async def session(self, session_id: str) -> SessionRecord | None:
        """Return a session, deleted ones too."""

    async def sessions(self, query: SessionQuery) -> list[SessionRecord]:
        """Return a page of sessions."""

    async def count_sessions(self, query: SessionQuery) -> int:
        """Return how many sessions there are on all pages; quick for those of one user."""

    async def message(self, message_id: str) -> MessageRecord | None:
        """Return a message, deleted ones too."""

    async def messages(self, session_id: str, limit: int, offset: int) -> list[MessageRecord]:
        """Return a page of a session's messages, oldest first; deleted ones are left out."""

    async def recent_messages(self, session_id: str, limit: int) -> list[MessageRecord]:
        """Return a session's newest messages, oldest of them first."""

    async def search_messages(
        self, text: str, user_id: str | None, limit: int, offset: int
    ) -> list[MessageHit]:
        """Return messages with every word of ``text``, the best first; None is everyone's."""

    async def files(self, session_id: str) -> list[FileRecord]:
        """Return a session's files by name, without their content (empty bytes)."""

    async def file(self, session_id: str, name: str) -> FileRecord | None:
        """Return a file of a session's workspace with its content."""

    async def user_day(self, user_id: str, day: str) -> UserDay:
        """Return what a user spent on a UTC day; nothing, if they did not."""

    async def user_days(self, day: str, limit: int, offset: int) -> list[UserDay]:
        """Return a page of what everybody spent on a UTC day, by user."""

    async def key(self, user_id: str, key: str) -> KeyRecord | None:
        """Return an idempotency key's row."""


@dataclass(slots=True, frozen=True)
class ToolPlan:
    """A tool call as it would run, validated.

    Attributes:
        arguments: canonical JSON values, shown to the person exactly as they will run; a secret
            stands as its name and digest.
        identity: what the program asked, for the journal's hash; a secret stands as its name.
        risk: the tool's risk level.
        confirm: whether a person must approve first.
        idempotent: whether it may run again after a crash or a time-out.
        staged: its only effect is the writes that it stages, committed with its result, so it
            is never in doubt.
        timeout_s: bound of one attempt; None is no bound.
        retries: further attempts after a failure, idempotent tools only.
        on_open: ``wait`` blocks the mission while its breaker is open, ``fail`` raises.
    """

    name: str
    arguments: JsonObject
    identity: JsonObject
    risk: str
    confirm: bool
    idempotent: bool
    staged: bool = False
    timeout_s: float | None = 10.0
    retries: int = 0
    on_open: str = "wait"
    message: str = ""


@dataclass(slots=True)
class EffectContext:
    """What an effect is given.

    Attributes:
        effect_key: the same at each attempt of the same call; to pass downstream.
        writes: rows that will be committed in the unit of the result.
        delta: streams a piece of the step's text.
    """

    pid: str
    session_id: str
    user_id: str
    step: str
    attempt: int
    effect_key: str
    delta: Callable[[str], None]
    writes: list[Write] = field(default_factory=list)


class Tools(Protocol):
    """The tool executor."""

    def plan(self, tool: object, arguments: Mapping[str, object]) -> ToolPlan:
        """Validate a call. ``tool`` is a name or a registered function.

        Raises:
            ToolInvalid: for an unknown tool or arguments that do not fit.
        """

    def asked(self, arguments: Mapping[str, object]) -> Json:
        """Return the identity of a call that can't be planned: that of its plan, if it could."""

    def edit(
        self, tool: str, proposed: Mapping[str, object], arguments: Mapping[str, object]
    ) -> ToolPlan:
        """Validate a person's edit of the arguments that were shown to them as ``proposed``.

        A secret that they left as it was shown stays that secret.

        Raises:
            ToolInvalid: as :meth:`plan`.
        """

    def blocked_until(self, tool: str, now: float) -> float | None:
        """Return when a tool may be tried again that failed too often; None: now."""

    def refused(self, tool: str, why: str) -> None:
        """Note that a call was not made: a person said no, or nobody said yes in time."""

    async def run(self, plan: ToolPlan, effect: EffectContext) -> Json:
        """Make one attempt. Cancelled by the kernel at ``plan.timeout_s``.

        Raises:
            AgentError: as the call's outcome; any other exception becomes ``ToolFailed``.
        """


@dataclass(slots=True, frozen=True)
class ModelRequest:
    """One model turn.

    Attributes:
        tools: names of registered tools that the model may ask for.
        retries: further attempts after a failure that is ``transient``.
    """

    model: str
    messages: Sequence[JsonObject]
    tools: Sequence[str] = ()
    settings: JsonObject = field(default_factory=dict)
    retries: int = 0


@dataclass(slots=True, frozen=True)
class ModelTurn:
    """What a model answered. ``output`` is what the program gets and the journal keeps."""

    output: JsonObject
    usage: ResourceUsage


class Models(Protocol):
    """The language models."""

    def plan(
        self,
        messages: Sequence[JsonObject],
        model: str | None,
        tools: Sequence[object],
        settings: Mapping[str, object],
    ) -> ModelRequest:
        """Resolve a turn's model and tools.

        Raises:
            ModelFailed: when no such model is configured.
        """

    def priced(self, model: str) -> bool:
        """Whether it is known what a model costs, so that a limit on cost can be kept."""

    def turn_usage(self, model: str, input_tokens: int, output_tokens: int) -> ResourceUsage:
        """Return what a turn used that was made elsewhere, by a library that may name it shorter.

        What it cost is by the settings' price, else by its maker's; nothing where none is known.
        """

    def estimate(self, request: ModelRequest) -> ResourceUsage:
        """Return what the turn may use at most, as far as can be told before it is made."""

    async def run(self, request: ModelRequest, effect: EffectContext) -> ModelTurn:
        """Make the turn, streaming its text through ``effect.delta``.

        Raises:
            ModelFailed: when the provider failed for good.
        """


class Program(Protocol):
    """User land as the kernel sees it."""

    @property
    def name(self) -> str:
        """The agent's name."""

    def __call__(self, ctx: "Context") -> Awaitable[object]:
        """Run the program to its result: a string, a JSON value, or ``Result``-like."""


@dataclass(slots=True, frozen=True)
class Profile:
    """A named preset of a request."""

    name: str
    agent: str
    quota: ResourceQuota | None = None
    model: str | None = None
    system_prompt: str | None = None
    tools: tuple[str, ...] | None = None


class Catalog(Protocol):
    """What may be run."""

    @property
    def default_agent(self) -> str:
        """The agent of a request that names none."""

    @property
    def agents(self) -> Collection[str]:
        """The names of all agents."""

    def program(self, name: str) -> Program | None:
        """Return the agent called ``name``."""

    def profile(self, name: str) -> Profile | None:
        """Return the profile called ``name``."""


class Publisher(Protocol):
    """Where ephemeral events go at once; durable ones are published by the store."""

    def publish_ephemeral(self, event: Ephemeral) -> None:
        """Fan an ephemeral event out."""
