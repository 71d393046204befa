"""Replies that come after their events were published here: nothing is missed, nothing is twice.

So it is when a submit was carried out by another node, the bus was away, and the post was slower
than the log.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from control_tower.commands import Ack, Caller
from control_tower.tower import Tower
from events.frames import payloads
from events.payloads import JsonObject
from server.access.auth import LOCAL
from server.app import Running
from server.wire.raw_channel import RawReceiver
from server.wire.rpc import MethodTable
from server.wire.ws import Connection, Sockets
from tests.contract.rest_app import open_app


class Line:
    """A connection's channel, which keeps what is sent; ``RawChannel``."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self._calls = 0

    def attach(self, receiver: RawReceiver) -> None:
        """See ``RawChannel``."""
        self.receiver = receiver

    def write(self, frames: bytes) -> None:
        """See ``RawChannel``."""
        self.said += [json.loads(body) for is_text, body in payloads(frames) if is_text]

    def buffered(self) -> int:
        """See ``RawChannel``."""
        return 0

    def pause(self) -> None:
        """See ``RawChannel``."""

    def resume(self) -> None:
        """See ``RawChannel``."""

    def close(self, code: int, reason: str) -> None:
        """See ``RawChannel``."""
        self.receiver.lost(code, reason)

    def abort(self) -> None:
        """See ``RawChannel``."""
        self.receiver.lost(1006, "")

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method and return its reply."""
        self._calls += 1
        frame = {"jsonrpc": "2.0", "id": self._calls, "method": method, "params": params}
        self.receiver.text_received(json.dumps(frame))
        return await self.find(lambda said: said.get("id") == frame["id"])

    async def find(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the first message of a kind, once it is there."""
        async with asyncio.timeout(20):
            while True:
                found = next((each for each in self.said if wanted(each)), None)
                if found is not None:
                    return found
                await asyncio.sleep(0.01)

    def events(self) -> list[dict[str, Any]]:
        """Return the durable events in the order of their coming."""
        events = [each["params"] for each in self.said if each.get("method") == "event"]
        return [each for each in events if "offset" in each]


class LateTower(Tower):
    """Acknowledges some events after the commit, as who hears of it by the post."""

    def __init__(self, tower: Tower, head: Callable[[], int], late: int) -> None:
        self._a = tower.parts
        self._head = head
        self._late = late

    async def submit(self, *args: Any, ack: Ack | None = None, **more: Any) -> JsonObject:
        """Submit."""
        return await self._say_late(await super().submit(*args, **more), ack)

    async def send_message(self, *args: Any, ack: Ack | None = None, **more: Any) -> JsonObject:
        """Send."""
        return await self._say_late(await super().send_message(*args, **more), ack)

    async def _say_late(self, reply: JsonObject, ack: Ack | None) -> JsonObject:
        async with asyncio.timeout(20):
            while self._head() < reply["offset"] + self._late:
                if (await self.mission(LOCAL, reply["mission_id"]))["state"] == "terminated":
                    break
                await asyncio.sleep(0.005)
        if ack is not None and not reply.get("duplicate"):
            ack(reply)
        return reply


@contextlib.asynccontextmanager
async def late(folder: Path, events: int) -> AsyncIterator[tuple[Running, Line]]:
    """Run a tower whose replies are so many events late; yield it and a connection."""
    async with open_app(folder) as (running, _):
        services = running.services
        services.tower = LateTower(services.tower, lambda: services.hub.head, events)
        sockets = Sockets(
            services.hub,
            MethodTable(services),
            authenticate=_nobody_comes,
            snapshot=services.tower.snapshot,
        )
        line = Line()
        connection = Connection(sockets, line, LOCAL)
        sockets._connections[connection] = None
        sockets.known(None, LOCAL)
        connection.start()
        yield running, line
        line.abort()
        await sockets.close()


async def _nobody_comes(_: object) -> Caller | None:
    return None


def is_a(said: dict[str, Any], event_type: str) -> bool:
    """Whether it is an event of a type."""
    return bool(said.get("params", {}).get("type") == event_type)


def is_end(said: dict[str, Any]) -> bool:
    """Whether it is a mission's last event."""
    return is_a(said, "mission.completed")


@pytest.mark.parametrize("events", [0, 1, 3, 100])
@pytest.mark.parametrize("method", ["mission.submit", "message.send"])
async def test_a_late_reply_is_followed_by_all_events(
    tmp_path: Path, events: int, method: str
) -> None:
    """From the first of the mission's to its last, each once, whatever was published before."""
    words = "mission" if method == "mission.submit" else "message"
    async with late(tmp_path, events) as (running, line):
        reply = await line.call(method, **{words: "calculate 2 + 2"})
        await line.find(is_end)
        pid = reply["result"]["mission_id"]
        page = await running.services.log.read([f"mission:{pid}"], 0, running.services.hub.head)
        offsets = [each["offset"] for each in line.events()]
        assert offsets == [each.offset for each in page.events]
        first = next(at for at, said in enumerate(line.said) if said.get("method") == "event")
        assert line.said.index(reply) < first


async def test_a_late_reply_does_not_replay_what_is_subscribed(tmp_path: Path) -> None:
    """A client that has the user's topic gets everything once: implicit topics add nothing."""
    async with late(tmp_path, 3) as (_, line):
        await line.call("subscribe", topics=["user:local"])
        await line.call("mission.submit", mission="calculate 2 + 2")
        await line.find(is_end)
        offsets = [each["offset"] for each in line.events()]
        assert offsets == sorted(set(offsets))


async def test_a_repeated_submit_waits_for_what_other_nodes_committed(tmp_path: Path) -> None:
    """Its mission may be another node's, and not known here yet; it is followed all the same."""
    async with late(tmp_path, 0) as (running, line):
        submit = {"mission": "ask me my name", "idempotency_key": "k"}
        first = await line.call("mission.submit", **submit, subscribe=False)
        asked: list[str] = []
        real = running.services.tower.snapshot

        async def others() -> None:
            asked.append("others")

        def snapshot(topics: Sequence[str]) -> list[JsonObject]:
            return real(topics) if asked else []

        running.services.hub.others = others
        running.services.tower.snapshot = snapshot  # type: ignore[method-assign]
        again = await line.call("mission.submit", **submit)
        assert again["result"] == first["result"] | {"duplicate": True}
        raised = await line.find(lambda said: is_a(said, "interrupt.raised"))
        interrupt_id = raised["params"]["data"]["interrupt_id"]
        await line.call("clarify", clarification_id=interrupt_id, answer="Ada")
        await line.find(is_end)


async def test_a_late_reply_without_a_subscription_is_only_a_reply(tmp_path: Path) -> None:
    """Nothing is replayed to who did not ask for it."""
    async with late(tmp_path, 2) as (_, line):
        reply = await line.call("mission.submit", mission="calculate 2 + 2", subscribe=False)
        assert reply["result"]["mission_id"]
        await asyncio.sleep(0.2)
        assert line.events() == []
