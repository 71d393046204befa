"""``tower.status`` of many nodes: each says its part, and the one that was asked adds them up."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from control_tower.cluster.calls import Ack, Calls, Nothing
from control_tower.cluster.ports import Node, Nodes
from events.payloads import JsonObject
from server.shared import Shared

ANSWER_S = 1.0
"""How long the other nodes have. What one says that is slower is missing, and it is said so."""

METHOD = "status"

SUMMED = ("processes", "ended", "queues", "slots")
TOLD = ("node", "role", "draining", "slots")
NAMED = ("clients", "loop_blocked")
"""Lists in which each entry gets its node's name."""

OF_ONE_NODE = ("deliveries_per_s",)
"""Rates that add up. Of events and ended missions every node sees all, so its own are all."""


class ClusterStatus:
    """Asks all nodes, and answers those that ask.

    Args:
        part: what this node says, as one that is alone says it.
        role: of this node.
    """

    def __init__(
        self, part: Callable[[], JsonObject], role: str, nodes: Nodes, calls: Calls
    ) -> None:
        self._part = part
        self._role = role
        self._nodes = nodes
        self._calls = calls
        self._shared: Shared[JsonObject] = Shared()
        calls.serve(METHOD, Nothing, self._answer)

    async def status(self) -> JsonObject:
        """Return the result of ``tower.status``."""
        return await self._shared(self._asked)

    async def _asked(self) -> JsonObject:
        own, alive = self._nodes.token, self._nodes.alive()
        others = [token for token in alive if token != own]
        parts = await self._calls.ask_all(others, METHOD, Nothing(), ANSWER_S)
        return merged(own, alive, {own: self._said(), **parts})

    async def _answer(self, _: Nothing, _ack: Ack | None) -> JsonObject:
        return self._said()

    def _said(self) -> JsonObject:
        return self._part() | {"role": self._role}


def merged(own: int, alive: Mapping[int, Node], parts: Mapping[int, JsonObject]) -> JsonObject:
    """Return the status of all nodes.

    Args:
        own: the token of the node that was asked, whose offset and name it is.
        alive: who lives, by token.
        parts: what nodes said, by token, our own among it.
    """
    said = parts[own]
    status = {name: value for name, value in said.items() if name != "role"}
    for name in SUMMED:
        status[name] = summed(part.get(name, {}) for part in parts.values())
    for name in NAMED:
        status[name] = [
            {**each, "node": part.get("node")}
            for part in parts.values()
            for each in part.get(name, ())
        ]
    rates = [part.get("rates", {}) for part in parts.values()]
    status["rates"] = said["rates"] | {
        name: round(sum(each.get(name, 0.0) for each in rates), 1) for name in OF_ONE_NODE
    }
    tokens = sorted(alive.keys() | parts.keys())
    status["nodes"] = [_node(token, alive.get(token), parts.get(token)) for token in tokens]
    return status


def summed(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return counts by name, added up; a name that any of them has stays, also at 0."""
    found: Counter[str] = Counter()
    for each in counts:
        found.update(each)
    return dict(found)


def _node(token: int, member: Node | None, part: JsonObject | None) -> JsonObject:
    """Return a node as it is shown; of one that has not answered, what its membership tells."""
    shown: JsonObject = {"node": None, "token": token, "answered": part is not None}
    if member is not None:
        shown |= {"node": member.name, "load": None if member.leaves else member.load}
        if member.url:
            shown["url"] = member.url
    if part is not None:
        shown |= {name: part[name] for name in TOLD if name in part}
    return shown
