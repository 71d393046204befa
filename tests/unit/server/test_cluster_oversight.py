"""Governance over many nodes: each call counted once, breakers and figures added up honestly."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from agents.breaker import FAILURES, Breaker, BreakerState
from agents.health import CallStatus, HealthStatus
from agents.witness import KEPT, Sighting, Witness
from control_tower.audit import ToolCallRecord
from control_tower.cluster.calls import Calls
from control_tower.cluster.ports import Node
from events.payloads import JsonObject
from server.figures.cluster_oversight import TURN_CALLS, ClusterOversight, added
from server.figures.cluster_status import ANSWER_S
from server.services import Services
from tests.rig.town import Town, TownNodes, TownPost
from tests.rig.virtual_loop import VirtualLoop, run

NOW = 1_000_000.0
READ_S = 0.001


def called(no: int, status: str = "success", at: float = NOW) -> ToolCallRecord:
    """A call that ended."""
    return ToolCallRecord(
        tool="pay", pid="m_1", step=str(no), status=status, latency_ms=100.0, at=at, no=no
    )


@dataclass(slots=True)
class Executed:
    """What a node's executor knows: :class:`agents.Executor` without the calling."""

    witness: Witness = field(default_factory=Witness)
    breakers: dict[str, Breaker] = field(default_factory=dict)

    def breaker(self, tool: str) -> Breaker:
        """Return a tool's breaker."""
        return self.breakers.setdefault(tool, Breaker())

    def fail(self, times: int, now: float = NOW) -> None:
        """Let calls of ``pay`` fail."""
        for _ in range(times):
            self.breaker("pay").failed(now, trial=False)

    def see(self, count: int) -> None:
        """Let attempts have been seen."""
        for number in range(count):
            self.witness.saw(Sighting("pay", "m_1", str(number), 1, asks=False, at=NOW))


@dataclass(slots=True)
class Rows:
    """The database's calls of tools."""

    calls: list[ToolCallRecord] = field(default_factory=list)
    reads: list[int] = field(default_factory=list)

    async def newest_tool_calls(self, most: int, after: int = 0) -> list[ToolCallRecord]:
        """See ``CallLog``."""
        self.reads.append(after)
        await asyncio.sleep(READ_S)
        return [each for each in reversed(self.calls) if each.no > after][:most]


@dataclass(slots=True)
class Place:
    """Three nodes: one that serves people only, and is asked, and two that run missions."""

    town: Town = field(default_factory=Town)
    rows: Rows = field(default_factory=Rows)
    executed: list[Executed] = field(default_factory=list)
    troubles: list[str | None] = field(default_factory=lambda: [None, None, None])
    oversights: list[ClusterOversight] = field(default_factory=list)

    @property
    def asked(self) -> ClusterOversight:
        """The one of the node that people talk to."""
        return self.oversights[0]

    def add(self) -> None:
        """Start one more node."""
        token = len(self.oversights) + 1
        self.town.seated[token] = Node(token, f"seat-{token}", "", token > 1, 0)
        post = TownPost(self.town, token)
        calls = self.town.calls[token] = Calls(post, token, lambda: self.town.seated, post)
        executed = Executed()
        self.executed.append(executed)
        tool = SimpleNamespace(trouble=lambda: self.troubles[token - 1])
        services = SimpleNamespace(
            tools=executed,
            registry=SimpleNamespace(tools={"pay": tool}),
            clock=SimpleNamespace(now=lambda: NOW),
            figures=lambda: counted(token),
        )
        nodes = TownNodes(self.town, token)
        self.oversights.append(
            ClusterOversight(cast("Services", services), self.rows, nodes, calls)
        )


def counted(number: int) -> JsonObject:
    """What a node has counted."""
    return {
        "tool_calls": number,
        "events": 100 * number,
        "processes_by_state": {"running": number, "paused": 0},
        "loop_lag_seconds": number / 10,
    }


def placed(scenario: Callable[[Place], Awaitable[None]]) -> None:
    """Run a scenario."""

    async def main() -> None:
        place = Place()
        for _ in range(3):
            place.add()
        await scenario(place)
        for calls in place.town.calls.values():
            await calls.close()

    run(main(), VirtualLoop())


def silence(place: Place, token: int) -> None:
    """Let nothing that a node says arrive."""
    place.town.lost = lambda sender, *_: sender == token
    place.town.bus = False


def test_each_call_counts_once_however_often_it_is_looked() -> None:
    """Only what was committed since the last look is read; all who look see all of it."""

    async def scenario(place: Place) -> None:
        place.rows.calls += [called(no, "error" if no > 8 else "success") for no in range(1, 11)]
        await asyncio.gather(*(place.asked.tools() for _ in range(20)))
        place.rows.calls.append(called(11))
        place.rows.calls.append(called(12, "rejected"))
        report = (await place.asked.tools()).health.report("pay", NOW)
        assert report.hour.calls[CallStatus.SUCCESS] == 9
        assert report.hour.calls[CallStatus.REJECTED] == 1
        assert report.hour.success_rate == 9 / 11
        assert report.status is HealthStatus.DEGRADED
        assert place.rows.reads[-1] == 10
        other = await place.oversights[2].tools()
        assert other.health.report("pay", NOW) == report

    placed(scenario)


def test_look_that_is_cut_short_goes_on_where_it_was() -> None:
    """Nothing is counted twice, nothing left out."""

    async def scenario(place: Place) -> None:
        count = 5 * TURN_CALLS
        place.rows.calls += [called(no) for no in range(1, count + 1)]
        recall = asyncio.ensure_future(place.asked.recall())
        await asyncio.sleep(READ_S)
        while place.asked.health.report("pay", NOW).hour.total == 0:
            await asyncio.sleep(0)
        recall.cancel()
        await asyncio.wait({recall})
        assert place.asked.health.report("pay", NOW).hour.total < count
        seen = await place.asked.tools()
        assert seen.health.report("pay", NOW).hour.total == count

    placed(scenario)


def test_calls_of_yesterday_are_not_counted() -> None:
    """A day is all that is told."""

    async def scenario(place: Place) -> None:
        place.rows.calls += [called(1, at=NOW - 86_401), called(2)]
        assert (await place.asked.tools()).health.report("pay", NOW).day.total == 1

    placed(scenario)


def test_breaker_that_is_open_anywhere_is_open() -> None:
    """Failures add up, the first trial counts, and it is said where it is open."""

    async def scenario(place: Place) -> None:
        assert (await place.asked.tools()).standing("pay").breaker is BreakerState.CLOSED
        place.executed[1].fail(FAILURES, NOW - 10)
        place.executed[2].fail(2)
        standing = (await place.asked.tools()).standing("pay")
        assert (standing.breaker, standing.nodes) == (BreakerState.OPEN, ("seat-2",))
        assert (standing.failures, standing.retry_at) == (FAILURES + 2, NOW + 20)
        place.executed[2].fail(3, NOW - 20)
        standing = (await place.oversights[2].tools()).standing("pay")
        assert (standing.nodes, standing.retry_at) == (("seat-2", "seat-3"), NOW + 10)

    placed(scenario)


def test_trouble_is_that_of_nodes_that_run_tools() -> None:
    """And named with its node; what a node can't reach that runs none is no matter."""

    async def scenario(place: Place) -> None:
        place.troubles[:] = ["not reached", None, "not reached"]
        for oversight in place.oversights:
            standing = (await oversight.tools()).standing("pay")
            assert standing.trouble == "seat-3: not reached"

    placed(scenario)


def test_silent_node_is_named() -> None:
    """It costs a second, and the others are told of; of one that is buried nobody speaks."""

    async def scenario(place: Place) -> None:
        place.executed[1].fail(FAILURES)
        place.rows.calls += [called(no) for no in range(1, 6)]
        silence(place, 3)
        loop = asyncio.get_running_loop()
        before = loop.time()
        seen = await place.asked.tools()
        assert loop.time() - before < ANSWER_S + 0.1
        assert (seen.unanswered, seen.standing("pay").nodes) == (["seat-3"], ("seat-2",))
        assert seen.health.report("pay", NOW).status is HealthStatus.HEALTHY
        figures = await place.asked.figures()
        assert (figures["nodes"], figures["unanswered"]) == (2, ["seat-3"])
        assert figures["tool_calls"] == 3
        place.town.bury(3)
        assert (await place.asked.tools()).unanswered == []

    placed(scenario)


def test_sightings_are_shared_out() -> None:
    """Each node that runs missions gives its newest: together they are no more than one's."""

    async def scenario(place: Place) -> None:
        place.executed[1].see(KEPT)
        place.executed[2].see(3)
        place.executed[0].see(1)
        seen = await place.asked.sightings()
        assert len(seen) == KEPT // 2 + 3 + 1
        assert seen[1] == Sighting("pay", "m_1", str(KEPT // 2), 1, asks=False, at=NOW)

    placed(scenario)


def test_figures_add_up() -> None:
    """But every node counts all events, and of lags the worst is told."""

    async def scenario(place: Place) -> None:
        assert await place.asked.figures() == {
            "tool_calls": 6,
            "events": 300,
            "processes_by_state": {"running": 6, "paused": 0},
            "loop_lag_seconds": 0.3,
            "nodes": 3,
            "unanswered": [],
        }

    placed(scenario)


def test_figures_of_another_version() -> None:
    """What it does not say is not counted; what it says besides is no matter."""
    other: dict[str, Any] = {"tool_calls": 2, "new": 1}
    assert added([counted(1), other]) == counted(1) | {"tool_calls": 3}
