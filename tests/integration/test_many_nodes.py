"""Nodes that all serve, over one PostgreSQL and one Redis: to which a client talks does not matter.

Users are spread: each is at home on one node, and here half of what is asked comes in at another.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import pytest
from websockets.exceptions import InvalidStatus

from tests.integration.tower_process import TowerProcess, Wire, wire
from tests.rig.postgres import new_database
from tests.rig.redis import server_url

pytestmark = pytest.mark.slow


class Cluster:
    """Nodes over one database and one Redis."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.folder = folder
        self.shared = {"TOWER_DATABASE_URL": database_url, "TOWER_REDIS_URL": server_url()}
        self.nodes: list[TowerProcess] = []

    def start(self, **settings: str) -> TowerProcess:
        """Start one more."""
        name = f"node-{len(self.nodes)}"
        node = TowerProcess(self.folder / name, **self.shared, **settings)
        self.nodes.append(node)
        return node.start()

    def end(self) -> None:
        """End all."""
        for node in self.nodes:
            node.end()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, postgres: str) -> Iterator[Cluster]:
    """Two nodes for the tests of a module; each test has users of its own."""
    made = Cluster(tmp_path_factory.mktemp("cluster"), new_database(postgres))
    try:
        made.start()
        made.start()
        yield made
    finally:
        made.end()


async def joined(stack: AsyncExitStack, node: TowerProcess, user: str) -> Wire:
    """Connect to a node as a user."""
    ws = await stack.enter_async_context(wire(node.ws_url))
    await ws.call("hello", user_id=user)
    return ws


async def at_home(cluster: Cluster, user: str) -> None:
    """Give a user a home: the first node, where they ask for something first."""
    async with wire(cluster.nodes[0].ws_url) as ws:
        await ws.call("hello", user_id=user)
        await ws.call("mission.submit", mission="calculate 1 + 1")
        await ws.ended()


async def test_every_node_shows_every_step_live(cluster: Cluster) -> None:
    """The same events in the same order, text as it streams; the reply comes before its events."""
    async with AsyncExitStack() as stack:
        await at_home(cluster, "ann")
        here, there = [await joined(stack, node, "ann") for node in cluster.nodes]
        watching = await joined(stack, cluster.nodes[0], "ann")
        since = (await there.call("subscribe", topics=["user:ann"]))["offset"]
        await watching.call("subscribe", topics=["user:ann"], since=since)
        before = len(there.messages)
        ack = await there.call("mission.submit", mission="count to 30")
        assert [m for m in there.messages[before:] if m.get("method") == "event"] == []
        assert (await there.ended())["mission_id"] == ack["mission_id"]
        await watching.ended()
        mine = [event["offset"] for event in there.durable]
        assert mine == [event["offset"] for event in watching.durable]
        assert mine == sorted(set(mine))
        for ws in (there, watching):
            deltas = [event["data"] for event in ws.events if event["type"] == "llm.delta"]
            text = ""
            for delta in deltas:
                text = text[: delta["at"]] + delta["text"]
            assert text == "".join(f"{n}\n" for n in range(1, 31)).strip() or len(deltas) >= 30
        assert (await here.call("mission.get", mission_id=ack["mission_id"]))[
            "outcome"
        ] == "completed"


async def test_calls_on_topics_take_effect_in_the_order_of_asking(cluster: Cluster) -> None:
    """Although a subscribe waits for the other nodes, and an unsubscribe for nobody."""
    async with AsyncExitStack() as stack:
        ws = await joined(stack, cluster.nodes[0], "tom")
        for number, method in enumerate(("subscribe", "unsubscribe") * 3):
            params = {"topics": ["user:tom"]}
            call = {"jsonrpc": "2.0", "id": f"c{number}", "method": method, "params": params}
            await ws.send(json.dumps(call))
        replies = {
            message["id"]: message["result"] for message in [await ws.receive() for _ in range(6)]
        }
        assert [replies[f"c{n}"]["topics"] for n in range(6)] == [["user:tom"], []] * 3


async def test_a_short_text_is_whole_where_it_was_asked_for(cluster: Cluster) -> None:
    """Its home is elsewhere, and over before it could be told who reads here."""
    async with AsyncExitStack() as stack:
        for user in (f"short-{number}" for number in range(10)):
            await at_home(cluster, user)
            there = await joined(stack, cluster.nodes[1], user)
            await there.call("mission.submit", mission="calculate 1 + 1")
            told = (await there.ended())["data"]["result"]
            deltas = [event["data"] for event in there.events if event["type"] == "llm.delta"]
            assert "".join(delta["text"] for delta in deltas) == told
            assert deltas[0]["at"] == 0


async def test_a_short_text_is_whole_over_http_at_any_node(cluster: Cluster) -> None:
    """A stream of a mission that runs elsewhere."""
    await at_home(cluster, "local")
    async with httpx2.AsyncClient(base_url=cluster.nodes[1].url, timeout=30) as http:
        reply = await http.post("/api/v1/execute/stream", json={"mission": "count to 20"})
    events = [
        json.loads(line.removeprefix("data: "))
        for line in reply.text.splitlines()
        if line.startswith("data: ")
    ]
    deltas = [event["data"] for event in events if event["type"] == "llm.delta"]
    assert "".join(delta["text"] for delta in deltas) == events[-1]["data"]["result"]


async def test_a_question_is_answered_and_a_mission_cancelled_at_any_node(
    cluster: Cluster,
) -> None:
    """Also over HTTP; what becomes of it is seen at the other one."""
    async with AsyncExitStack() as stack:
        await at_home(cluster, "bea")
        here, there = [await joined(stack, node, "bea") for node in cluster.nodes]
        ack = await there.call("mission.submit", mission="write plan.txt: rest; delete plan.txt")
        raised = await there.event("interrupt.raised")
        seen = await here.call("subscribe", topics=[f"mission:{ack['mission_id']}"])
        (active,) = seen["snapshot"]["missions"]
        assert active["state"] == "waiting"
        assert active["pending_interrupts"] == [raised["data"]["interrupt_id"]]
        await here.call("confirm", confirmation_id=raised["data"]["interrupt_id"], approved=True)
        assert (await there.ended())["type"] == "mission.completed"
        assert (await here.ended())["type"] == "mission.completed"
        slow = await here.call("mission.submit", mission="wait 60 seconds")
        await here.event("mission.blocked")
        await there.call("mission.cancel", mission_id=slow["mission_id"], reason="enough")
        cancelled = await here.ended()
        assert (cancelled["type"], cancelled["data"]["reason"]) == ("mission.cancelled", "enough")


async def test_a_client_goes_on_at_another_node_by_its_offset(cluster: Cluster) -> None:
    """However fast it is there: no gap, no double, whatever that node had shown by then."""
    async with AsyncExitStack() as stack:
        await at_home(cluster, "cid")
        source = await joined(stack, cluster.nodes[0], "cid")
        await source.call("subscribe", topics=["user:cid"])
        seen: list[int] = []
        for turn in range(20):
            ack = await source.call("mission.submit", mission="calculate 2 + 2")
            ws = await joined(stack, cluster.nodes[turn % 2], "cid")
            since = max([ack["offset"] - 1, *seen[-1:]])
            reply = await ws.call("subscribe", topics=["user:cid"], since=since)
            assert reply["recovered"], reply
            while (await ws.ended())["mission_id"] != ack["mission_id"]:
                pass
            seen += [event["offset"] for event in ws.durable if event["offset"] > since]
        await asyncio.sleep(0.2)
        while len(source.durable) < len(seen):
            await source.receive()
        assert seen == [event["offset"] for event in source.durable]


async def test_replies_come_before_their_events_under_load(cluster: Cluster) -> None:
    """Hundreds of commands that are passed on, from ten connections that hear everything."""
    async with AsyncExitStack() as stack:
        await at_home(cluster, "dan")

        async def one() -> None:
            ws = await joined(stack, cluster.nodes[1], "dan")
            await ws.call("subscribe", topics=["user:dan"])
            for _ in range(30):
                before = len(ws.messages)
                ack = await ws.call("mission.submit", mission="calculate 3 + 3")
                early = [
                    message["params"]
                    for message in ws.messages[before:]
                    if message.get("method") == "event"
                    and message["params"].get("mission_id") == ack["mission_id"]
                ]
                assert early == []

        await asyncio.gather(*(one() for _ in range(10)))


async def test_a_session_is_renamed_and_erased_through_any_node(cluster: Cluster) -> None:
    """And is gone at the other."""
    first, second = (node.url for node in cluster.nodes)
    async with httpx2.AsyncClient(timeout=30) as http:
        made = (await http.post(f"{first}/api/v1/chat/sessions", json={"title": "one"})).json()
        path = f"/api/v1/chat/sessions/{made['session_id']}"
        renamed = await http.patch(f"{second}{path}", json={"title": "two"})
        assert renamed.status_code == 200, renamed.text
        assert (await http.get(f"{first}{path}")).json()["title"] == "two"
        assert (await http.delete(f"{second}{path}?soft=false")).status_code in {200, 204}
        assert (await http.get(f"{first}{path}")).status_code == 404


async def test_one_node_tells_of_a_missions_end(cluster: Cluster) -> None:
    """Its home; whoever gathers the logs of all finds one line a mission."""
    async with AsyncExitStack() as stack:
        await at_home(cluster, "fay")
        ws = await joined(stack, cluster.nodes[1], "fay")
        ack = await ws.call("mission.submit", mission="calculate 5 + 5")
        await ws.ended()
    lines = [
        line
        for node in cluster.nodes
        for line in node.log.read_text().splitlines()
        if "mission.ended" in line and ack["mission_id"] in line
    ]
    assert len(lines) == 1


async def test_the_status_is_that_of_all_nodes(cluster: Cluster) -> None:
    """Whichever is asked: who there is, and the clients of each."""
    async with AsyncExitStack() as stack:
        here, there = [await joined(stack, node, "eve") for node in cluster.nodes]
        for node in cluster.nodes:
            ws = await stack.enter_async_context(wire(node.ws_url))
            status = await ws.call("tower.status")
            assert [each["answered"] for each in status["nodes"]] == [True, True]
            clients = [each for each in status["clients"] if each["user_id"] == "eve"]
            assert {each["node"] for each in clients} == {each["node"] for each in status["nodes"]}
        assert here is not there
    async with httpx2.AsyncClient(timeout=30) as http:
        ready = (await http.get(f"{cluster.nodes[0].url}/ready")).json()
        assert ready["components"]["redis"]["status"] == "up"


async def test_a_ticket_opens_one_connection_at_any_node(cluster: Cluster) -> None:
    """Where it was issued does not matter, nor where somebody tries it again."""
    async with httpx2.AsyncClient(timeout=30) as http:
        made = await http.post(f"{cluster.nodes[0].url}/api/v1/ws-tickets")
    ticket = made.json()["ticket"]
    async with wire(f"{cluster.nodes[1].ws_url}?ticket={ticket}") as ws:
        assert await ws.call("ping")
    for node in cluster.nodes:
        with pytest.raises(InvalidStatus) as refused:
            async with wire(f"{node.ws_url}?ticket={ticket}"):
                pass
        assert refused.value.response.status_code == 401


async def test_prometheus_is_told_of_the_bus(cluster: Cluster) -> None:
    """By each node, of its own links."""
    async with httpx2.AsyncClient(timeout=30) as http:
        for node in cluster.nodes:
            text = (await http.get(f"{node.url}/metrics")).text
            assert "tower_bus_connected 1.0" in text
