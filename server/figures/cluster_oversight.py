"""Governance over many nodes: what each of them says, put together by the one that is asked.

Calls of tools are read from the database, where every node's are, those of nodes that are gone,
too: each look takes in what was committed since the last one, and counts it call by call, so that
rates and means are those of all calls. What only the nodes know, they are asked: where their
breakers stand, which calls their executors were seen to make, what they have counted. A node that
has not answered in time is named.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from agents.breaker import BreakerState
from agents.health import HealthBook
from agents.witness import KEPT, Sighting
from control_tower.audit import ToolCallRecord
from control_tower.cluster.calls import Ack, Calls, Nothing
from control_tower.cluster.ports import Nodes
from control_tower.patience import patiently
from events.payloads import JsonObject
from server.figures.cluster_status import ANSWER_S, summed
from server.figures.oversight import Seen, Standing, standing_here
from server.parts import RECALLED_CALLS
from server.services import Services
from server.shared import Shared

TOOLS = "oversight.tools"
SIGHTINGS = "oversight.sightings"
FIGURES = "oversight.figures"

TURN_CALLS = 1_000
"""How many calls are counted before the loop may do something else: about 2 ms."""

WORST_FIRST = (BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED)

SEEN_BY_ALL = ("events",)
"""Every node counts each event of the log, so the one that counts longest has counted most."""

WORST = ("loop_lag_seconds",)
"""Figures of which the worst is told; all others add up."""


class CallLog(Protocol):
    """The ended attempts of tools, on all nodes."""

    async def newest_tool_calls(self, most: int, after: int = 0) -> list[ToolCallRecord]:
        """Return the newest with a number above ``after``, newest first."""


class _Most(msgspec.Struct):
    """How many to send at most."""

    most: int


class _Standings(msgspec.Struct):
    """Of the tools that don't stand as a new one does."""

    tools: dict[str, Standing]


class _Sightings(msgspec.Struct):
    """The newest attempts, oldest first; as rows, since they are many."""

    rows: list[tuple[str, str, str, int, bool, float]]


class ClusterOversight:
    """The :class:`server.figures.oversight.Oversight` of all nodes.

    Attributes:
        health: what was read so far.
    """

    def __init__(self, services: Services, log: CallLog, nodes: Nodes, calls: Calls) -> None:
        self._services = services
        self._log = log
        self._nodes = nodes
        self._calls = calls
        self._read_to = 0
        self._looks: Shared[Seen] = Shared()
        self._sights: Shared[Sequence[Sighting]] = Shared()
        self._counts: Shared[JsonObject] = Shared()
        self.health = HealthBook()
        calls.serve(TOOLS, Nothing, self._tell_tools)
        calls.serve(SIGHTINGS, _Most, self._tell_sightings)
        calls.serve(FIGURES, Nothing, self._tell_figures)

    # -- looking ----------------------------------------------------------------------------

    async def recall(self) -> None:
        """Count the last day's calls before anybody asks. Waits for a database that is away."""
        await patiently(self._read)

    async def tools(self) -> Seen:
        """Return how the tools are now on all nodes that run missions."""
        return await self._looks(self._look)

    async def sightings(self) -> Sequence[Sighting]:
        """Return the newest attempts, of each node a share."""
        return await self._sights(self._see)

    async def figures(self) -> JsonObject:
        """Return what all nodes have counted."""
        return await self._counts(self._count)

    async def _look(self) -> Seen:
        workers = self._workers()
        said, _ = await asyncio.gather(self._ask(workers, TOOLS, Nothing()), self._read())
        parts = {token: msgspec.convert(each, _Standings).tools for token, each in said.items()}
        if self._nodes.token in workers:
            parts[self._nodes.token] = self._standings()
        standings = merged({self._name(token): part for token, part in parts.items()})
        return Seen(
            self._services.clock.now(),
            self.health,
            lambda name: standings.get(name, Standing()),
            self._silent(workers, parts),
        )

    async def _read(self) -> None:
        """Count what was called since the last look; cut short, the next one goes on from there."""
        found = await self._log.newest_tool_calls(RECALLED_CALLS, self._read_to)
        found.reverse()
        for start in range(0, len(found), TURN_CALLS):
            calls = found[start : start + TURN_CALLS]
            self.health.recall(calls, self._services.clock.now())
            self._read_to = calls[-1].no
            await asyncio.sleep(0)

    async def _see(self) -> Sequence[Sighting]:
        workers = self._workers()
        share = -(-KEPT // max(1, len(workers)))
        said = await self._ask(workers, SIGHTINGS, _Most(share))
        found = list(self._services.tools.witness)
        for each in said.values():
            found += [Sighting(*row) for row in msgspec.convert(each, _Sightings).rows]
        return found

    async def _count(self) -> JsonObject:
        alive = list(self._nodes.alive())
        parts = await self._ask(alive, FIGURES, Nothing())
        parts[self._nodes.token] = self._services.figures()
        return added(list(parts.values())) | {
            "nodes": len(parts),
            "unanswered": self._silent(alive, parts),
        }

    # -- telling ----------------------------------------------------------------------------

    async def _tell_tools(self, _: Nothing, _ack: Ack | None) -> JsonObject:
        return _json(_Standings(self._standings()))

    async def _tell_sightings(self, asked: _Most, _ack: Ack | None) -> JsonObject:
        newest = list(self._services.tools.witness)[-asked.most :]
        rows = [(s.tool, s.pid, s.step, s.attempt, s.asks, s.at) for s in newest]
        return _json(_Sightings(rows))

    async def _tell_figures(self, _: Nothing, _ack: Ack | None) -> JsonObject:
        return self._services.figures()

    def _standings(self) -> dict[str, Standing]:
        services = self._services
        all_here = {name: standing_here(services, name) for name in services.registry.tools}
        return {name: each for name, each in all_here.items() if each != Standing()}

    # -- nodes ------------------------------------------------------------------------------

    def _workers(self) -> list[int]:
        return [token for token, node in self._nodes.alive().items() if node.runs_missions]

    async def _ask(
        self, tokens: Iterable[int], method: str, arguments: object
    ) -> dict[int, JsonObject]:
        others = [token for token in tokens if token != self._nodes.token]
        return await self._calls.ask_all(others, method, arguments, ANSWER_S)

    def _name(self, token: int) -> str:
        node = self._nodes.alive().get(token)
        return str(token) if node is None else node.name

    def _silent(self, asked: Iterable[int], parts: Mapping[int, object]) -> list[str]:
        """Return the names of those who live and have not answered."""
        alive = self._nodes.alive()
        return [self._name(token) for token in asked if token in alive and token not in parts]


def _json(said: object) -> JsonObject:
    plain: JsonObject = msgspec.to_builtins(said)
    return plain


def merged(parts: Mapping[str, Mapping[str, Standing]]) -> dict[str, Standing]:
    """Return how tools stand over all nodes, from what each says, by its name.

    A breaker that is open anywhere is open: somebody's missions wait for it. Its next trial is the
    first that any such node may make.
    """
    found: dict[str, list[tuple[str, Standing]]] = {}
    for node, part in parts.items():
        for tool, standing in part.items():
            found.setdefault(tool, []).append((node, standing))
    return {tool: _worst(said) for tool, said in found.items()}


def _worst(said: Sequence[tuple[str, Standing]]) -> Standing:
    worst = min((each.breaker for _, each in said), key=WORST_FIRST.index)
    trials = [
        each.retry_at for _, each in said if each.breaker is worst and each.retry_at is not None
    ]
    troubles = [f"{node}: {each.trouble}" for node, each in said if each.trouble is not None]
    return Standing(
        breaker=worst,
        failures=sum(each.failures for _, each in said),
        retry_at=min(trials, default=None),
        trouble="; ".join(troubles) or None,
        nodes=tuple(sorted(node for node, each in said if each.breaker is not BreakerState.CLOSED)),
    )


def added(parts: Sequence[JsonObject]) -> JsonObject:
    """Return the figures of all nodes from those of each."""
    total: JsonObject = {}
    for name, value in parts[0].items():
        values = [part[name] for part in parts if name in part]
        if name in SEEN_BY_ALL or name in WORST:
            total[name] = max(values)
        elif isinstance(value, Mapping):
            total[name] = summed(values)
        else:
            total[name] = sum(values)
    return total
