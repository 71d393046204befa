"""People: they submit, answer, meddle, repeat themselves, and remember what they were told."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from control_tower.commands import (
    Answer,
    Caller,
    ClarificationAnswer,
    ConfirmationAnswer,
    DecisionAnswer,
    QuotaIncrease,
    Submission,
)
from control_tower.errors import Conflict, NotFound, Refusal
from control_tower.interrupts import answer_json
from control_tower.ports import InterruptQuery, MissionQuery
from control_tower.quota.quotas import ResourceQuota
from control_tower.records import Priority
from control_tower.tower import Tower
from tests.simulation.chance import Chance
from tests.simulation.plans import AGENTS, small_quota
from tests.simulation.world import ConnectionLost

if TYPE_CHECKING:
    from tests.simulation.world import World

Json = dict[str, Any]
INCREASE = QuotaIncrease(
    max_llm_calls=3,
    max_tool_calls=3,
    max_input_tokens=100,
    max_output_tokens=100,
    max_children=2,
    max_events=30,
    timeout_seconds=30,
)


@dataclass(slots=True)
class Ledger:
    """What the server has acknowledged, to everybody."""

    submitted: list[Json] = field(default_factory=list)
    answered: dict[str, tuple[str, Json]] = field(default_factory=dict)
    cancelled: list[Json] = field(default_factory=list)
    extended: dict[str, int] = field(default_factory=dict)
    requests: int = 0
    refused: int = 0
    lost: int = 0


@dataclass(slots=True)
class Errand:
    """A keyed submission: sent again until a reply comes, and later for no reason."""

    method: str
    submission: Submission
    body: str
    reply: Json | None = None


ACTS = {
    "submit": 5.0,
    "message": 1.5,
    "repeat": 2.0,
    "misuse_key": 0.3,
    "answer": 7.0,
    "answer_twice": 1.0,
    "answer_foreign": 0.7,
    "cancel": 0.8,
    "pause": 1.0,
    "resume": 2.0,
    "priority": 0.7,
    "extend": 0.8,
    "look": 2.0,
    "settled": 0.5,
}


class Person:
    """A user with a few sessions. ``live`` goes on until it is cancelled."""

    def __init__(self, world: "World", ledger: Ledger, caller: Caller, chance: Chance) -> None:
        self.world = world
        self.ledger = ledger
        self.caller = caller
        self.chance = chance
        self.sessions: list[str] = []
        self.missions: list[str] = []
        self.errands: list[Errand] = []
        self.answers: list[tuple[str, Answer]] = []
        self._acts: dict[str, Callable[[], Awaitable[None]]] = {
            "submit": self._submit,
            "message": self._message,
            "repeat": self._repeat,
            "misuse_key": self._misuse_key,
            "answer": self._answer,
            "answer_twice": self._answer_twice,
            "answer_foreign": self._answer_foreign,
            "cancel": self._cancel,
            "pause": self._pause,
            "resume": self._resume,
            "priority": self._priority,
            "extend": self._extend,
            "look": self._look,
            "settled": self._settled,
        }

    async def live(self, mean_s: float) -> None:
        """Do one thing after another."""
        while True:
            await asyncio.sleep(self.chance.delay(mean_s))
            await self._acts[self.chance.weighed(ACTS)]()

    async def _ask(self, act: Callable[[Tower], Awaitable[Any]]) -> Any:
        """Make a request; None if it was refused or the connection was lost."""
        self.ledger.requests += 1
        impatient = self.chance.happens(0.03)
        try:
            if impatient:  # the client goes away while the server works
                async with asyncio.timeout(self.chance.delay(0.002)):
                    return await self.world.request(act)
            return await self.world.request(act)
        except (Refusal, ConnectionLost, TimeoutError) as error:
            if isinstance(error, Refusal):
                self.ledger.refused += 1
            else:
                self.ledger.lost += 1
            return None

    # -- missions -------------------------------------------------------------------------

    def _submission(self, key: str | None) -> Submission:
        chance = self.chance
        session = None
        if self.sessions and chance.happens(0.8):
            session = chance.pick(self.sessions)
        elif chance.happens(0.05):
            session = "s_nowhere"
        start_at = None
        if chance.happens(0.1):
            moment = self.world.loop.wall.now() + chance.between(-5, 20)
            start_at = datetime.fromtimestamp(moment, UTC).isoformat()
        return Submission(
            mission=f"go {chance.number(0, 999)}",
            agent=f"a{chance.number(0, AGENTS - 1)}",
            session_id=session,
            inputs={"n": chance.number(0, 9)},
            priority=chance.pick((Priority.HIGH, Priority.NORMAL, Priority.NORMAL, Priority.IDLE)),
            quota=self._quota(),
            deadline_s=chance.between(1, 60) if chance.happens(0.1) else None,
            start_at=start_at,
            on_busy=chance.pick(("enqueue", "enqueue", "parallel", "interrupt", "reject")),
            idempotency_key=key,
        )

    def _quota(self) -> ResourceQuota | None:
        return small_quota(self.chance) if self.chance.happens(0.4) else None

    async def _submit(self) -> None:
        await self._accept("submit")

    async def _message(self) -> None:
        await self._accept("message")

    async def _accept(self, method: str) -> None:
        key = None
        if self.chance.happens(0.6):
            key = f"{self.caller.user_id}-{len(self.errands)}"
        submission = self._submission(key)
        errand = Errand(method, submission, f"{method} {submission}")
        if key is not None:
            self.errands.append(errand)
        await self._send(errand)
        while key is not None and errand.reply is None and self.chance.happens(0.7):
            await asyncio.sleep(self.chance.delay(1.0))
            await self._send(errand)

    async def _send(self, errand: Errand) -> None:
        acked: list[Json] = []

        def act(tower: Tower) -> Awaitable[Json]:
            if errand.method == "submit":
                return tower.submit(
                    self.caller, errand.submission, body_sha256=errand.body, ack=note
                )
            return tower.send_message(
                self.caller,
                errand.submission.mission,
                errand.submission,
                body_sha256=errand.body,
                ack=note,
            )

        def note(reply: Json) -> None:
            acked.append(reply)
            self._accepted(errand, reply)

        reply = await self._ask(act)
        if len(acked) > 1:
            self.world.auditor.breach(f"acknowledged {len(acked)} times: {acked}")
        if reply is not None:
            if acked and acked[0] != reply:
                self.world.auditor.breach(f"acknowledged {acked[0]}, replied {reply}")
            self._accepted(errand, reply)

    def _accepted(self, errand: Errand, reply: Json) -> None:
        self.ledger.submitted.append(reply)
        if "answered" in reply:
            words = {"answer": errand.submission.mission}
            self._answered(reply["answered"], words)
        plain = {name: value for name, value in reply.items() if name != "duplicate"}
        if errand.reply is not None and plain != errand.reply:
            self.world.auditor.breach(f"told {errand.reply}, then {plain}")
        errand.reply = plain
        if reply["session_id"] not in self.sessions:
            self.sessions.append(reply["session_id"])
        if reply.get("mission_id") and reply["mission_id"] not in self.missions:
            self.missions.append(reply["mission_id"])

    async def _repeat(self) -> None:
        if self.errands:
            errand = self.chance.pick(self.errands)
            if self.chance.happens(0.3):
                await asyncio.gather(self._send(errand), self._send(errand))
            else:
                await self._send(errand)

    async def _misuse_key(self) -> None:
        told = [errand for errand in self.errands if errand.reply is not None]
        if not told:
            return
        errand = self.chance.pick(told)

        async def act(tower: Tower) -> None:
            try:
                await tower.submit(self.caller, errand.submission, body_sha256="another")
            except Conflict:
                return
            self.world.auditor.breach(f"a key was used for two things: {errand.submission}")

        await self._ask(act)

    # -- questions ------------------------------------------------------------------------

    async def _pending(self) -> list[Json]:
        found: list[Json] | None = await self._ask(
            lambda tower: tower.interrupts(self.caller, InterruptQuery(limit=50))
        )
        return found or []

    async def _answer(self) -> None:
        pending = await self._pending()
        if pending:
            question = self.chance.pick(pending)
            await self.answer(question["interrupt_id"], an_answer(self.chance, question))

    async def answer(self, interrupt_id: str, answer: Answer) -> None:
        """Answer a question and remember what was acknowledged."""
        self.answers.append((interrupt_id, answer))

        def note(reply: Json) -> None:
            self._acked_answer(interrupt_id, answer, reply)

        reply = await self._ask(
            lambda tower: tower.answer(self.caller, interrupt_id, answer, ack=note)
        )
        if reply is not None:
            note(reply)

    def _acked_answer(self, interrupt_id: str, answer: Answer, reply: Json) -> None:
        if reply["status"] != "resolved" or reply["answer"] != answer_json(answer):
            self.world.auditor.breach(f"answered {answer}, told {reply}")
        self._answered(interrupt_id, answer_json(answer))

    def _answered(self, interrupt_id: str, said: Json) -> None:
        earlier = self.ledger.answered.setdefault(interrupt_id, (self.caller.user_id, said))
        if earlier[1] != said:
            self.world.auditor.breach(f"{interrupt_id}: {said} counts beside {earlier}")

    async def _answer_twice(self) -> None:
        if self.answers:
            interrupt_id, answer = self.chance.pick(self.answers)
            if self.chance.happens(0.5):
                record = self.world.auditor.interrupts.get(interrupt_id)
                if record is not None:
                    answer = an_answer(self.chance, msgspec.to_builtins(record))
            await self.answer(interrupt_id, answer)

    async def _answer_foreign(self) -> None:
        """Answer somebody else's question: it must look like none."""
        others = [
            record
            for record in self.world.auditor.interrupts.values()
            if record.user_id != self.caller.user_id
        ]
        if not others or self.caller.role != "user":
            return
        record = self.chance.pick(others)
        answer = an_answer(self.chance, msgspec.to_builtins(record))

        async def act(tower: Tower) -> None:
            try:
                await tower.answer(self.caller, record.interrupt_id, answer)
            except NotFound:
                return
            self.world.auditor.breach(f"{self.caller.user_id} answered {record.interrupt_id}")

        await self._ask(act)

    # -- meddling -------------------------------------------------------------------------

    def _some_mission(self) -> str:
        if self.missions and not self.chance.happens(0.05):
            mine = self.missions[-6:] if self.chance.happens(0.8) else self.missions
            children = self.world.auditor.missions.get(self.chance.pick(mine))
            if children is not None and children.children and self.chance.happens(0.3):
                return self.chance.pick(children.children)
            return self.chance.pick(mine)
        return "m_nowhere"

    async def _cancel(self) -> None:
        pid = self._some_mission()

        def note(reply: Json) -> None:
            self.ledger.cancelled.append(reply)
            if reply["state"] != "terminated":
                self.world.auditor.breach(f"cancelled, told {reply}")

        reply = await self._ask(lambda tower: tower.cancel(self.caller, pid, "enough", ack=note))
        if reply is not None:
            note(reply)

    async def _pause(self) -> None:
        pid = self._some_mission()
        reply = await self._ask(lambda tower: tower.pause(self.caller, pid))
        if reply is not None and reply["state"] != "paused":
            self.world.auditor.breach(f"paused, told {reply['state']}")

    async def _resume(self) -> None:
        await self.resume(self._some_mission())

    async def resume(self, pid: str) -> None:
        """Let a paused mission go on."""
        reply = await self._ask(lambda tower: tower.resume(self.caller, pid))
        if reply is not None and reply["state"] == "paused":
            self.world.auditor.breach(f"resumed, told {reply['state']}")

    async def _priority(self) -> None:
        pid, priority = self._some_mission(), self.chance.pick(tuple(Priority))
        reply = await self._ask(lambda tower: tower.set_priority(self.caller, pid, priority))
        if reply is not None and reply["priority"] != priority.value:
            self.world.auditor.breach(f"{pid}: priority {priority}, told {reply['priority']}")

    async def _extend(self) -> None:
        pid = self._some_mission()

        def note(_: Json) -> None:
            self.ledger.extended[pid] = self.ledger.extended.get(pid, 0) + 1

        await self._ask(lambda tower: tower.extend_quota(self.caller, pid, INCREASE, ack=note))

    async def _look(self) -> None:
        await self.look(self._some_mission())

    async def look(self, pid: str) -> None:
        """Look at everything, and have a mission explained."""

        async def act(tower: Tower) -> None:
            tower.status()
            self._compare(tower.snapshot(["system"]))
            await tower.missions(self.caller, MissionQuery())
            try:
                told = await tower.explain(self.caller, pid)
            except NotFound:
                if pid in self.missions and pid in self.world.auditor.missions:
                    self.world.auditor.breach(f"{pid}: explain says that there is none")
                return
            if not told["state"]:
                self.world.auditor.breach(f"{pid}: explained by {told}")

        await self._ask(act)

    def _compare(self, snapshot: list[Json]) -> None:
        """A snapshot is exact as of the last commit that the tower has learned of."""
        world = self.world
        if world.store is None or not world.store.settled:
            return
        # Ready after a restart, which says so to the database but does not insist.
        alike = {"running": "ready"}
        shown = {each["mission_id"]: alike.get(each["state"], each["state"]) for each in snapshot}
        known = {
            pid: alike.get(pcb.state.value, pcb.state.value)
            for pid, pcb in world.auditor.missions.items()
            if not pcb.outcome
        }
        if shown != known:
            world.auditor.breach(f"the snapshot says {shown}, committed is {known}")

    async def _settled(self) -> None:
        pid, patience_s = self._some_mission(), self.chance.between(0, 5)
        await self._ask(lambda tower: tower.settled(pid, patience_s))


def an_answer(chance: Chance, question: Json) -> Answer:
    """Return an answer of some kind, most often one that fits."""
    match question["kind"] if chance.happens(0.95) else "clarification":
        case "confirmation":
            arguments = None
            if chance.happens(0.3):
                arguments = {"n": chance.number(0, 99)} if chance.happens(0.8) else {"m": 1}
            message = chance.pick((None, "so be it"))
            return ConfirmationAnswer(
                approved=chance.happens(0.7), message=message, arguments=arguments
            )
        case "clarification":
            return ClarificationAnswer(answer=chance.pick(("red", "blue", "green")))
        case "resource_exhausted":
            decision = chance.weighed({"extend": 5, "finish": 2, "cancel": 1})
            quota = INCREASE if decision == "extend" and chance.happens(0.9) else None
            return DecisionAnswer(decision=decision, quota=quota)  # type: ignore[arg-type]
        case _:
            decision = chance.pick(("it_happened", "retry", "fail"))
            result = {"said": "so"} if decision == "it_happened" else None
            return DecisionAnswer(decision=decision, result=result)  # type: ignore[arg-type]
