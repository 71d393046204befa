"""The tower and the sessions on a node where nobody is at home: everything works as at home."""

import asyncio

import pytest

from control_tower.commands import (
    Caller,
    ClarificationAnswer,
    ConfirmationAnswer,
    DecisionAnswer,
    QuotaIncrease,
    Submission,
)
from control_tower.errors import Conflict, Forbidden, InvalidParams, NotFound
from control_tower.execution.context import Context
from control_tower.quota.quotas import ResourceQuota
from control_tower.records import InterruptKind, MessageRecord, Priority, SessionRecord
from control_tower.sessions import Sessions
from control_tower.tower import Tower
from events.payloads import JsonObject
from tests.rig.tower import ALICE, BOB, OPERATOR
from tests.rig.town import TownNode, Village

VIEWER = Caller("eve", "viewer")


async def endless(ctx: Context) -> None:
    """An agent that only a cancel ends."""
    await ctx.step("work", asyncio.sleep, 100_000, idempotent=True)


async def asks(ctx: Context) -> str:
    """An agent that asks for words."""
    return await ctx.clarify("Which?")


async def confirms(ctx: Context) -> bool:
    """An agent that asks for a yes."""
    return (await ctx.confirm("Really?")).approved


async def thinks(ctx: Context) -> str:
    """An agent whose quota has no room for a turn."""
    return str((await ctx.llm([{"role": "user", "content": "hi"}])).text)


class Abroad(Village):
    """Two nodes; alice is at home with the first, and asks the second."""

    def __init__(self) -> None:
        super().__init__(2)
        for program in (endless, asks, confirms, thinks):
            self.agent(program, program.__name__)

    @property
    def home(self) -> TownNode:
        """Where alice is at home."""
        return self.nodes[0]

    @property
    def there(self) -> tuple[Tower, Sessions]:
        """What she asks."""
        return self.nodes[1].tower, self.nodes[1].sessions

    async def begin(self, agent: str = "endless", **fields: object) -> str:
        """Submit a mission of hers at her home."""
        submission = Submission(mission="go", agent=agent, **fields)  # type: ignore[arg-type]
        reply = await self.home.tower.submit(ALICE, submission, body_sha256="")
        self.session_id = str(reply["session_id"])
        return str(reply["mission_id"])

    async def asked(self, agent: str, **fields: object) -> str:
        """Return the id of a question that a mission of hers asks."""
        pid = await self.begin(agent, **fields)
        mission = await self.home.local.settled(pid, 60)
        return str(mission["pending_interrupt"])


class Acks(list[object]):
    """What was acknowledged; the home gave each to the bus before it published its event."""

    def __init__(self, world: Village, event: str) -> None:
        super().__init__()
        self._world = world
        self._event = event

    def __call__(self, reply: object) -> None:
        """Note it."""
        self.append(reply)

    def check(self, reply: object) -> None:
        """Fail unless the reply was acknowledged, once, and first."""
        assert self == [reply]
        types = [each["type"] for each in self._world.ledger.events]
        assert self._event not in types[: self._world.town.replied[-1]]
        assert self._event in types


def test_a_submit_is_acknowledged_once_and_first() -> None:
    """With the reply that it returns."""
    world = Abroad()

    async def scenario() -> None:
        await world.home.tower.send_message(
            ALICE, "", Submission(mission="x", agent="asks"), body_sha256=""
        )
        tower, _ = world.there
        for key in (None, "k"):
            acks: list[JsonObject] = []
            submission = Submission(mission="go", agent="endless", idempotency_key=key)
            reply = await tower.submit(ALICE, submission, body_sha256="h", ack=acks.append)
            assert acks == [reply]
        again = await tower.submit(ALICE, submission, body_sha256="h", ack=acks.append)
        assert again == reply | {"duplicate": True}
        assert acks == [reply]

    world.run(scenario)


def test_a_mission_is_paused_resumed_changed_and_cancelled() -> None:
    """Each is acknowledged before its event is published, and shows the mission as it is then."""
    world = Abroad()

    async def scenario() -> None:
        pid = await world.begin()
        tower, _ = world.there
        paused = Acks(world, "mission.paused")
        paused.check(await tower.pause(ALICE, pid, "wait", ack=paused))
        resumed = Acks(world, "mission.resumed")
        resumed.check(await tower.resume(ALICE, pid, ack=resumed))
        updated = Acks(world, "mission.updated")
        changed = await tower.set_priority(ALICE, pid, Priority.HIGH, ack=updated)
        updated.check(changed)
        assert changed["priority"] == "high"
        before = changed["quota"]["max_llm_calls"]
        extended = await tower.extend_quota(ALICE, pid, QuotaIncrease(max_llm_calls=5))
        assert extended["quota"]["max_llm_calls"] == before + 5
        cancelled = Acks(world, "mission.cancelled")
        cancelled.check(await tower.cancel(ALICE, pid, "enough", ack=cancelled))
        assert cancelled[0]["state"] == "terminated"  # type: ignore[index]
        assert (await tower.cancel(ALICE, pid))["state"] == "terminated"

    world.run(scenario)


@pytest.mark.parametrize(
    ("agent", "answer", "kind"),
    [
        ("asks", ClarificationAnswer(answer="this"), InterruptKind.CLARIFICATION),
        ("confirms", ConfirmationAnswer(approved=True), InterruptKind.CONFIRMATION),
    ],
)
def test_a_question_is_answered(
    agent: str, answer: ClarificationAnswer | ConfirmationAnswer, kind: InterruptKind
) -> None:
    """By its kind's door, once; the same again is the same, another is a conflict."""
    world = Abroad()

    async def scenario() -> None:
        interrupt_id = await world.asked(agent)
        tower, _ = world.there
        other = frozenset(InterruptKind) - {kind}
        with pytest.raises(Conflict):
            await tower.answer(ALICE, interrupt_id, answer, kinds=other)
        acks = Acks(world, "interrupt.resolved")
        done = await tower.answer(ALICE, interrupt_id, answer, kinds=frozenset({kind}), ack=acks)
        assert done["status"] == "resolved"
        acks.check(done)
        assert await tower.answer(ALICE, interrupt_id, answer) == done

    world.run(scenario)


def test_a_quota_is_extended_by_an_answer() -> None:
    """The decision's own fields arrive; one without an amount is refused, naming the field."""
    world = Abroad()

    async def scenario() -> None:
        interrupt_id = await world.asked("thinks", quota=ResourceQuota(max_llm_calls=0))
        tower, _ = world.there
        with pytest.raises(InvalidParams) as caught:
            await tower.answer(ALICE, interrupt_id, DecisionAnswer(decision="extend"))
        assert caught.value.details == {"field": "quota"}
        more = DecisionAnswer(decision="extend", quota=QuotaIncrease(max_llm_calls=2))
        done = await tower.answer(ALICE, interrupt_id, more)
        assert done["status"] == "resolved"

    world.run(scenario)


def test_a_message_answers_the_open_question_or_is_a_mission() -> None:
    """Wherever it is said."""
    world = Abroad()

    async def scenario() -> None:
        interrupt_id = await world.asked("asks")
        tower, _ = world.there
        said = Submission(mission="this", session_id=world.session_id, agent="endless")
        answered = await tower.send_message(ALICE, "this", said, body_sha256="")
        assert answered["answered"] == interrupt_id
        await world.ended(answered["mission_id"])
        new = await tower.send_message(ALICE, "this", said, body_sha256="")
        assert new["mission_id"] != answered["mission_id"]

    world.run(scenario)


def test_a_mission_is_explained_by_its_home() -> None:
    """Its place in the session's queue is known there only."""
    world = Abroad()

    async def scenario() -> None:
        first = await world.begin()
        behind = await world.begin(session_id=world.session_id)
        tower, _ = world.there
        explained = await tower.explain(ALICE, behind)
        assert explained["position"] == 1
        assert explained["waiting_for"] == {"missions": [first]}
        await tower.cancel(ALICE, first)
        assert (await tower.explain(ALICE, first))["state"] == "terminated"

    world.run(scenario)


def test_a_mission_that_settles_elsewhere_is_waited_for() -> None:
    """And shown as its row says."""
    world = Abroad()

    async def scenario() -> None:
        pid = await world.begin("asks")
        tower, _ = world.there
        assert (await tower.settled(pid, 60))["state"] == "waiting"
        with pytest.raises(NotFound):
            await tower.settled("m_none", 1)

    world.run(scenario)


def test_what_is_anothers_is_not_there_on_any_node() -> None:
    """Nor may a viewer change it; no home is made for who may not have one."""
    world = Abroad()

    async def scenario() -> None:
        pid = await world.begin()
        interrupt_id = await world.asked("asks")
        tower, sessions = world.there
        for caller, refusal in ((BOB, NotFound), (VIEWER, Forbidden)):
            with pytest.raises(refusal):
                await tower.cancel(caller, pid)
            with pytest.raises(refusal):
                await tower.answer(caller, interrupt_id, ClarificationAnswer(answer="x"))
            with pytest.raises(refusal):
                await sessions.update(caller, world.session_id, title="x")
        with pytest.raises(Forbidden):
            await tower.submit(VIEWER, Submission(mission="go"), body_sha256="")
        with pytest.raises(NotFound):
            await tower.explain(BOB, pid)
        assert world.town.homes == {"alice": 1}

    world.run(scenario)


def test_an_operator_acts_on_anybodys() -> None:
    """At the owner's home, not the operator's."""
    world = Abroad()

    async def scenario() -> None:
        pid = await world.begin()
        tower, _ = world.there
        await tower.submit(OPERATOR, Submission(mission="go", agent="endless"), body_sha256="")
        assert (await tower.cancel(OPERATOR, pid))["state"] == "terminated"
        assert world.town.homes == {"alice": 1, "root": 2}

    world.run(scenario)


def test_a_session_is_changed_deleted_and_restored() -> None:
    """Its row comes back whole, and is acknowledged first."""
    world = Abroad()

    async def scenario() -> None:
        await world.begin()
        _, sessions = world.there
        updated = Acks(world, "session.updated")
        renamed = await sessions.update(ALICE, world.session_id, title="New", ack=updated)
        assert isinstance(renamed, SessionRecord)
        updated.check(renamed)
        assert renamed.title == "New"
        assert await sessions.get(ALICE, world.session_id) == renamed
        deleted = await sessions.delete(ALICE, world.session_id)
        assert deleted.deleted_at is not None
        with pytest.raises(NotFound):
            await sessions.update(ALICE, world.session_id, title="x")
        restored = await sessions.restore(ALICE, world.session_id)
        assert restored == renamed
        assert await sessions.restore(ALICE, world.session_id) == restored

    world.run(scenario)


def test_a_message_is_edited_and_deleted() -> None:
    """Likewise."""
    world = Abroad()

    async def scenario() -> None:
        await world.begin()
        _, sessions = world.there
        [message] = await sessions.messages(ALICE, world.session_id)
        edited = await sessions.edit_message(ALICE, message.message_id, "went")
        assert isinstance(edited, MessageRecord)
        assert (edited.content, edited.original_content) == ("went", "go")
        deleted = await sessions.delete_message(ALICE, message.message_id)
        assert deleted.deleted_at is not None
        with pytest.raises(NotFound):
            await sessions.delete_message(ALICE, message.message_id)

    world.run(scenario)


def test_a_session_is_erased_with_its_missions() -> None:
    """By the home's eraser: its missions end there first."""
    world = Abroad()

    async def scenario() -> None:
        pid = await world.begin()
        _, sessions = world.there
        acks: list[SessionRecord] = []
        eraser = world.nodes[1].eraser
        gone = await sessions.erase(ALICE, world.session_id, eraser, ack=acks.append)
        assert acks == [gone]
        await asyncio.sleep(5)
        assert await world.store.mission(pid) is None
        assert pid not in world.home.local.parts.memory.processes
        with pytest.raises(NotFound):
            await sessions.get(ALICE, world.session_id, include_deleted=True)

    world.run(scenario)
