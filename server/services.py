"""The parts of a running server, as endpoints and methods reach them. ``app.py`` makes them."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from prometheus_client.registry import Collector

from agents import AgentCatalog, Executor, Registry
from control_tower.audit import CallProof, Outcomes, StoreFigures, ToolCallRecord
from control_tower.erasure import Eraser
from control_tower.ports import Clock, Store
from control_tower.records import FileRecord
from control_tower.sessions import Sessions
from events.hub import Hub
from events.log import LogReader
from events.payloads import JsonObject
from server.access.rates import Rates
from server.figures.alignment import Records
from server.figures.health import Check
from server.figures.http_figures import HttpFigures
from server.figures.oversight import Oversight, OwnOversight
from server.settings import Settings
from server.shared import Shared
from server.sse import EventStreams

if TYPE_CHECKING:
    from control_tower.tower import Tower
    from server.access.auth import Gate
    from server.access.auth_keys import Keyring
    from server.imports import Importer


class Archive(Store, Protocol):
    """The store as HTTP needs it: beside what the kernel asks, what missions made, and audits."""

    async def artifacts(self, pid: str) -> list[FileRecord]:
        """Return a mission's named results by name, without their content."""

    async def artifact(self, pid: str, name: str) -> FileRecord | None:
        """Return a mission's named result with its content."""

    async def newest_tool_calls(self, most: int) -> list[ToolCallRecord]:
        """Return the newest ended attempts of tools, newest first."""

    async def prove_calls(self, calls: Sequence[tuple[str, str]]) -> list[CallProof]:
        """Return what the store holds of each call, given as (mission, step), in their order."""

    async def outcomes(self, most_missions: int, most_events: int) -> Outcomes:
        """Return the newest missions, with what the newest events say of their ends."""

    async def figures(self) -> StoreFigures:
        """Return how much there is."""

    async def newest_message_is_indexed(self) -> bool | None:
        """Return whether search finds the newest message by its words; None without any."""


def _anybody(_user_id: str) -> None:
    """Let everybody in."""


async def _unknown() -> JsonObject:
    """Know nothing yet."""
    return {}


async def _at_home(_user_id: str) -> None:
    """All text of missions comes about here: there is no other node."""


def _nobody_else(_what: str, _arguments: object) -> None:
    """Tell nobody: there is no other node."""


@dataclass(slots=True)
class Services:
    """What an endpoint may use.

    Attributes:
        static_dir: where the pages are.
        started_at: Unix seconds.
        checks: what readiness asks, by the component's name.
        documents: what describes the server to programs, by name.
        http: figures of the requests that were answered.
        collectors: what else Prometheus is told.
        status: returns what ``tower.status`` shows.
        audits: reads what the dashboard judges and counts, once for all who look at it.
        admit: checks that a user may have one more connection.
        figures: returns what this process has counted.
        oversight: looks at the tools, and at what was counted, of the whole system.
        erase_user: erases a user, wherever they are at home.
        expect_text: await it before a submit whose mission's events will be read here; the text of
            a user's missions comes here then, from the first delta on.
        tell_all: has all other nodes do something; see :mod:`server.told`.
    """

    settings: Settings
    gate: "Gate"
    keyring: "Keyring"
    eraser: Eraser
    tower: "Tower"
    store: Archive
    sessions: Sessions
    imports: "Importer"
    hub: Hub
    log: LogReader
    streams: EventStreams
    rates: Rates
    registry: Registry
    catalog: AgentCatalog
    tools: Executor
    clock: Clock
    static_dir: Path
    started_at: float
    version: str
    checks: dict[str, Check] = field(default_factory=dict)
    documents: dict[str, JsonObject] = field(default_factory=dict)
    http: HttpFigures = field(default_factory=HttpFigures)
    collectors: list[Collector] = field(default_factory=list)
    audits: Shared[tuple[StoreFigures, Records]] = field(default_factory=Shared)
    status: Callable[[], Awaitable[JsonObject]] = _unknown
    figures: Callable[[], JsonObject] = dict
    admit: Callable[[str], None] = _anybody
    tell_all: Callable[[str, object], None] = _nobody_else
    expect_text: Callable[[str], Awaitable[None]] = _at_home
    erase_user: Callable[[str], Awaitable[None]] = field(init=False)
    oversight: Oversight = field(init=False)

    def __post_init__(self) -> None:
        """Alone, this node's eraser is everybody's, and its tools are all there are."""
        self.erase_user = self.eraser.erase_user
        self.oversight = OwnOversight(self)
