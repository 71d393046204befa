"""The status of many nodes: added up from what each says, whoever is silent."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from control_tower.cluster.calls import Calls
from control_tower.cluster.ports import Node
from events.payloads import JsonObject
from server.figures.cluster_status import ANSWER_S, ClusterStatus, merged
from tests.rig.town import Town, TownNodes, TownPost
from tests.rig.virtual_loop import VirtualLoop, run


def part(name: str, running: int, **fields: Any) -> JsonObject:
    """Return what a node says."""
    return {
        "processes": {"running": running, "waiting": 1},
        "ended": {"completed": 10 * running},
        "queues": {"ready": 2},
        "slots": {"running": running, "free": 3},
        "loop_blocked": [{"task": "t", "where": name, "seconds": 1.0}],
        "draining": False,
        "node": name,
        "rates": {"events_per_s": 50.0, "deliveries_per_s": 0.2, "missions_per_s": 5.0},
        "nodes": [name],
        "offset": 7 * running,
        "clients": [{"connection_id": f"c_{name}", "user_id": "alice"}],
    } | fields


def in_town(scenario: Callable[[Town, ClusterStatus], Coroutine[Any, Any, None]]) -> None:
    """Run a scenario on the first of three nodes."""
    loop = VirtualLoop()

    async def main() -> None:
        town = Town()
        asked = []
        for token, name in enumerate(("one", "two", "three"), start=1):
            town.seated[token] = Node(token, f"seat-{token}", f"http://{name}", True, token)
            post = TownPost(town, token)
            calls = town.calls[token] = Calls(post, token, lambda: town.seated, post)
            role = "worker" if token == 3 else "all"
            nodes = TownNodes(town, token)
            asked.append(ClusterStatus(lambda n=name, t=token: part(n, t), role, nodes, calls))  # type: ignore[misc]
        await scenario(town, asked[0])
        for calls in town.calls.values():
            await calls.close()

    run(main(), loop)


def test_all_nodes_are_added_up() -> None:
    """Counts are sums; what only one node can tell is that of who was asked."""

    async def scenario(_: Town, asked: ClusterStatus) -> None:
        status = await asked.status()
        assert status["processes"] == {"running": 6, "waiting": 3}
        assert status["ended"] == {"completed": 60}
        assert status["queues"] == {"ready": 6}
        assert status["slots"] == {"running": 6, "free": 9}
        assert (status["node"], status["offset"], status["draining"]) == ("one", 7, False)
        clients = [(each["connection_id"], each["node"]) for each in status["clients"]]
        assert clients == [("c_one", "one"), ("c_two", "two"), ("c_three", "three")]
        assert [each["node"] for each in status["loop_blocked"]] == ["one", "two", "three"]
        assert status["nodes"][2] == {
            "node": "three",
            "token": 3,
            "answered": True,
            "load": 3,
            "url": "http://three",
            "role": "worker",
            "draining": False,
            "slots": {"running": 3, "free": 3},
        }
        assert set(status) == set(part("x", 1))

    in_town(scenario)


def test_rates_count_nothing_twice() -> None:
    """Every node sees all events and each delivers its own."""

    async def scenario(_: Town, asked: ClusterStatus) -> None:
        rates = (await asked.status())["rates"]
        assert rates == {"events_per_s": 50.0, "deliveries_per_s": 0.6, "missions_per_s": 5.0}

    in_town(scenario)


def test_silent_node_is_shown_as_such() -> None:
    """It costs a second, and the others are shown."""

    async def scenario(town: Town, asked: ClusterStatus) -> None:
        town.lost = lambda sender, *_: sender == 2
        town.bus = False
        loop = asyncio.get_running_loop()
        before = loop.time()
        status = await asked.status()
        assert loop.time() - before < ANSWER_S + 0.1
        assert status["slots"] == {"running": 4, "free": 6}
        assert status["nodes"][1] == {
            "node": "seat-2",
            "token": 2,
            "answered": False,
            "load": 2,
            "url": "http://two",
        }

    in_town(scenario)


def test_crowd_asks_once() -> None:
    """Who asks at the same time shares what is answered."""

    async def scenario(town: Town, asked: ClusterStatus) -> None:
        found = await asyncio.gather(*(asked.status() for _ in range(50)))
        assert all(each["slots"] == {"running": 6, "free": 9} for each in found)
        assert len([letter for letter in town.letters if letter[0] == 1]) <= 4

    in_town(scenario)


def test_node_of_another_version() -> None:
    """What it does not say is not counted; what it says besides is no matter."""
    own, other = part("one", 1), {"node": "two", "role": "web", "draining": True, "slots": {}}
    status = merged(1, {}, {1: own, 2: {**other, "new": 1}})
    assert status["slots"] == {"running": 1, "free": 3}
    assert [each["node"] for each in status["nodes"]] == ["one", "two"]
    assert "new" not in status
