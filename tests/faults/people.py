"""The clients of the kill tests: they submit, follow, answer, and come back after each kill.

Each keeps what a careful client keeps: its unacknowledged calls, to make them again with the same
keys, and the last offset that it saw, to resume from there.
"""

import asyncio
import itertools
import json
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidMessage

from tests.faults.line import Line, Lost
from tests.faults.scripts import IN_THREAD, Author, approves, words_for
from tests.faults.witness import TERMINAL, Event, Ledger, Sink
from tests.integration.tower_process import Refused

DROPPED = 0.04
"""Of the calls: how many lose their connection, kills aside."""


class Place(Protocol):
    """Where the server is, as the clients know it."""

    async def ws_url(self) -> str:
        """Return where `/ws` is, once the server runs."""

    def notice(self, what: str) -> None:
        """Something happened at a client; a kill may be due at just that."""

    async def all_awake(self) -> None:
        """Wait until no server is suspended that may go on with what it was at."""


@dataclass(slots=True, frozen=True)
class Shared:
    """What all clients of a run share."""

    place: Place
    ledger: Ledger
    sink: Sink
    random: Random
    numbers: "itertools.count[int]"


class Person:
    """One client over all of its connections.

    Attributes:
        received: offsets of the durable events received, in order, over all connections.
        streams: by mission, the text made of its deltas as wire.md says.
        holed: missions of whose deltas one in the middle did not come.
        unbroken: missions that ended on the connection on which they began.
        open: missions submitted and not seen to end: key → pid (None until known).
    """

    def __init__(self, name: str, shared: Shared, topics: list[str], in_flight: int) -> None:
        self.name = name
        self.topics = topics
        self.received: list[int] = []
        self.streams: dict[str, str] = {}
        self.holed: set[str] = set()
        self.unbroken: set[str] = set()
        self.open: dict[str, str | None] = {}
        self.connections = 0
        self._shared = shared
        self._joined = asyncio.Event()
        self._line: Line | None = None
        self._room = asyncio.Semaphore(in_flight)
        self._actions: set[asyncio.Task[None]] = set()
        self._enough = False
        self._epoch: str | None = None
        self._attempts: dict[str, int] = {}
        self._began_on: dict[str, int] = {}

    # -- connections ----------------------------------------------------------------------

    async def attend(self) -> None:
        """Be connected, for ever: connect again whenever the connection is lost."""
        while True:
            url = await self._shared.place.ws_url()
            try:
                async with connect(url, compression=None, max_size=None, proxy=None) as connection:
                    self.connections += 1
                    await self._use(Line(connection, self._hear, self._sent))
            except (OSError, Lost, InvalidHandshake, InvalidMessage, EOFError):
                pass
            await asyncio.sleep(0.02)

    async def _use(self, line: Line) -> None:
        reading = asyncio.create_task(line.read())
        try:
            await self._join(line)
            self._line = line
            self._joined.set()
            await asyncio.wait({reading})
        finally:
            self._joined.clear()
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _join(self, line: Line) -> None:
        who = {} if self.name == "operator" else {"user_id": self.name}
        hello = await line.call("hello", **who)
        if self._epoch not in (None, hello["epoch"]):
            self._wrong(f"the epoch changed from {self._epoch} to {hello['epoch']}")
        self._epoch = hello["epoch"]
        await self.catch_up(line)

    async def catch_up(self, line: Line) -> None:
        """Subscribe from where it had come to."""
        if self.topics:
            since = self.received[-1] if self.received else 0
            await self._resume(line, self.topics, since)

    async def _resume(self, line: Line, topics: list[str], since: int) -> None:
        reply = await line.call("subscribe", topics=topics, since=since, epoch=self._epoch)
        if not reply["recovered"]:
            self._wrong(f"{topics} did not resume from {since}: {reply}")

    async def insist(self, method: str, **params: Any) -> Any:
        """Make a call until it is answered, over as many connections as that takes."""
        for again in itertools.count():
            await self._joined.wait()
            assert self._line is not None
            if again:
                self._shared.ledger.resent[method] += 1
                params |= self.repeated(method, params)
            elif self._shared.random.random() < DROPPED:
                self._drop_soon(self._line)
            try:
                return await self._line.call(method, **params)
            except Lost:
                await asyncio.sleep(0.01)
            except TimeoutError:
                self._wrong(f"{method} {params} was not answered")
                raise
            except Refused as refused:
                if refused.code != "unavailable":
                    raise
                await asyncio.sleep(0.05)
        raise AssertionError("never")

    def _drop_soon(self, line: Line) -> None:
        """Lose the connection about when the reply comes: was the call heard, or not?"""
        delay_s = self._shared.random.uniform(0, 0.008)
        asyncio.get_running_loop().call_later(delay_s, line.connection.transport.abort)

    def repeated(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Return what is different in a call that is made again.

        A mission is not followed then: its events come by our own topics, and some of them came
        before, perhaps, on a connection that is lost by now.
        """
        return {"subscribe": False} if method == "mission.submit" else {}

    def _sent(self, method: str) -> None:
        self._shared.place.notice(f"sent {method}")

    def _wrong(self, what: str) -> None:
        self._shared.ledger.wrong.append(f"{self.name}: {what}")

    # -- events ---------------------------------------------------------------------------

    def _hear(self, event: Event, text: str) -> None:
        if "offset" in event:
            if self.take(event):
                self._shared.ledger.saw(self.name, event["offset"], text)
                self._note_connection(event)
                self.react(event)
        elif event["type"] == "llm.delta":
            self._stream(event)
        self._shared.place.notice(event["type"])

    def take(self, event: Event) -> bool:
        """Keep an event's offset; whether it is new, as it must be."""
        if self.received and event["offset"] <= self.received[-1]:
            self._wrong(f"offset {event['offset']} came after {self.received[-1]}")
            return False
        self.received.append(event["offset"])
        return True

    def _note_connection(self, event: Event) -> None:
        pid, kind = event["mission_id"], event["type"]
        if kind == "mission.submitted":
            self._began_on[pid] = self.connections
        elif kind in TERMINAL and self._began_on.get(pid) == self.connections:
            self.unbroken.add(pid)

    def _stream(self, event: Event) -> None:
        data, pid = event["data"], event["mission_id"]
        if data.get("step") is not None or data["attempt"] < self._attempts.get(pid, 0):
            return
        self._attempts[pid] = data["attempt"]
        text = self.streams.get(pid, "")
        if data["at"] > len(text):
            self.holed.add(pid)
        self.streams[pid] = text[: data["at"]] + data["text"]

    def react(self, event: Event) -> None:
        """Do what a person does about an event: answer, and note what ended."""
        if event["type"] == "interrupt.raised":
            self.act(self._answer(event["data"], event["mission_id"]))
        elif event["type"] == "mission.submitted" and not event["data"].get("parent_id"):
            key = json.loads(event["data"]["mission"])["key"]
            self.open[key] = event["mission_id"]
        elif event["type"] in TERMINAL:
            key = next((k for k, pid in self.open.items() if pid == event["mission_id"]), None)
            if key is not None:
                del self.open[key]
                self._room.release()

    # -- deeds ----------------------------------------------------------------------------

    def act(self, deed: Any) -> None:
        """Do something in a task of its own."""
        task = asyncio.create_task(deed)
        self._actions.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._actions.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._wrong(f"a deed failed: {error!r}")

    async def work(self) -> None:
        """Keep its missions in flight until :meth:`enough`."""
        await self._joined.wait()
        while True:
            await self._room.acquire()
            if self._enough:
                return
            self.act(self._submit(f"{self.name}{next(self._shared.numbers)}"))

    def enough(self) -> None:
        """Submit nothing more."""
        self._enough = True
        self._room.release()

    @property
    def idle(self) -> bool:
        """Whether nothing of it is under way."""
        return not self.open and not self._actions

    async def end(self) -> None:
        """Stop whatever is still under way."""
        for task in self._actions:
            task.cancel()
        await asyncio.gather(*self._actions, return_exceptions=True)

    async def _submit(self, key: str) -> None:
        random, ledger = self._shared.random, self._shared.ledger
        agent = random.choice(("worker", "worker", "worker", "teller", "plain"))
        mission = Author(random, key).mission(agent)
        ledger.missions[key] = (mission, agent)
        self.open.setdefault(key, None)
        reply = await self.insist(
            "mission.submit",
            mission=mission,
            agent=agent,
            idempotency_key=key,
            priority=random.choice(("high", "normal", "low")),
            **self.placement(random),
        )
        ledger.submitted[key] = reply
        ledger.write("submitted", key=key, reply=reply)
        await self.acknowledged(key, reply)
        await self.interfere(reply["mission_id"], random)

    def placement(self, random: Random) -> dict[str, Any]:
        """Return further fields of a submit."""
        return {}

    async def acknowledged(self, key: str, reply: dict[str, Any]) -> None:
        """A submit was acknowledged."""

    async def interfere(self, pid: str, random: Random) -> None:
        """Maybe cancel or pause a mission of its own."""
        dice = random.random()
        await asyncio.sleep(random.uniform(0, 0.6))
        if dice < 0.05:
            block = await self.insist("mission.cancel", mission_id=pid, reason="enough")
            if block["state"] != "terminated":
                self._wrong(f"a cancelled mission is {block['state']}")
            self._shared.ledger.cancelled.add(pid)
            self._shared.ledger.write("cancelled", pid=pid)
        elif dice < 0.12:
            for method in ("mission.pause", "mission.resume"):
                await self._try_to(method, mission_id=pid)
                await asyncio.sleep(random.uniform(0, 0.3))

    async def _answer(self, question: dict[str, Any], pid: str) -> None:
        await asyncio.sleep(self._shared.random.uniform(0, 0.3))
        if question["kind"] == "unknown_outcome" and question.get("tool") in IN_THREAD:
            # A careful person looks for traces only when who began it can leave none any more.
            await self._shared.place.all_awake()
        method, params = self._answer_to(question)
        said = {"interrupt": question["interrupt_id"], "method": method} | params
        if await self._try_to(method, **params) is not None:
            self._shared.ledger.answered[question["interrupt_id"]] = said
            self._shared.ledger.write("answered", pid=pid, **said)

    async def _try_to(self, method: str, **params: Any) -> Any:
        """Insist; return None if the mission had ended or moved on before."""
        try:
            return await self.insist(method, **params)
        except Refused as refused:
            if refused.code != "conflict":
                raise
            return None

    def _answer_to(self, question: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        ident = question["interrupt_id"]
        match question["kind"]:
            case "clarification":
                words = words_for(question["message"])
                return "clarify", {"clarification_id": ident, "answer": words}
            case "confirmation":
                asked = question["arguments"]
                label = asked["label"] if asked else question["message"]
                return "confirm", {"confirmation_id": ident, "approved": approves(label)}
            case _:
                return "interrupt.answer", {"interrupt_id": ident} | self._decide(question)

    def _decide(self, question: dict[str, Any]) -> dict[str, Any]:
        """Look whether an effect in doubt has left its trace, and say so."""
        ledger, asked = self._shared.ledger, question["arguments"]
        label = asked["label"] if "label" in asked else asked["arguments"][0]
        if self._shared.sink.has(label):
            decision: dict[str, Any] = {"decision": "it_happened", "result": f"{label} done"}
        elif self._shared.random.random() < 0.7:
            decision = {"decision": "retry"}
        else:
            decision = {"decision": "fail"}
            ledger.failed[label] = question["interrupt_id"]
        ledger.decided[decision["decision"]] += 1
        return decision
