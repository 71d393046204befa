"""Scheduling as tower.md has it: who runs, who waits, who yields, who is told why."""

import asyncio
from typing import Any

import pytest

from control_tower.commands import ClarificationAnswer, Submission
from control_tower.errors import Busy, Conflict, Forbidden, NotFound, QuotaRefused
from control_tower.execution.context import Context
from control_tower.limits import TowerLimits
from control_tower.quota.quotas import ResourceQuota
from control_tower.records import Priority
from tests.rig.tower import ALICE, BOB, OPERATOR, World


async def steps(ctx: Context) -> str:
    """A program of ten steps of a second."""
    for n in range(10):
        await ctx.step(f"s{n}", asyncio.sleep, 1, idempotent=True)
    return ctx.mission


async def nap(ctx: Context) -> str:
    """A program that sleeps in memory, holding its slot."""
    await ctx.step("nap", asyncio.sleep, 100, idempotent=True)
    return "rested"


def test_a_realtime_mission_overtakes_at_the_next_call() -> None:
    """With one slot, ten normal missions running or queued yield to one realtime mission."""
    world = World(TowerLimits(max_running=1))
    world.agent(steps)

    async def scenario() -> None:
        normal = [await world.submit(f"n{n}") for n in range(10)]
        await asyncio.sleep(2.5)
        urgent = await world.submit("urgent", OPERATOR, priority=Priority.REALTIME)
        await asyncio.sleep(1)
        assert (await world.tower.mission(OPERATOR, urgent))["state"] == "running"
        assert "mission.preempted" in world.ledger.types(normal[0])
        await world.ended(urgent)
        for pid in normal:
            await world.ended(pid)
        ends = [e["mission_id"] for e in world.ledger.events if e["type"] == "mission.completed"]
        assert ends[0] == urgent
        assert set(ends[1:]) == set(normal)
        assert all(not r.has_slot for r in world.tower._a.memory.processes.values())
        assert world.tower._a.admission.queue.running == 0

    world.run(scenario)


def test_two_users_finish_at_the_same_pace() -> None:
    """A hundred missions of one user do not hold up ten of another."""
    world = World(TowerLimits(max_running=1))

    async def one(ctx: Context) -> str:
        await ctx.step("s", asyncio.sleep, 1, idempotent=True)
        return "x"

    world.agent(one)

    async def scenario() -> None:
        for n in range(100):
            await world.submit(f"a{n}", ALICE)
        tens = [await world.submit(f"b{n}", BOB) for n in range(10)]
        await asyncio.sleep(23)
        ended = [e["user_id"] for e in world.ledger.events if e["type"] == "mission.completed"]
        assert ended.count("bob") == 10
        assert 9 <= ended.count("alice") <= 14
        assert all([(await world.tower.mission(BOB, pid))["state"] == "terminated" for pid in tens])

    world.run(scenario)


def test_an_idle_mission_still_runs() -> None:
    """Ageing lifts it past a stream of normal ones within the stated bound."""
    world = World(TowerLimits(max_running=1))

    async def one(ctx: Context) -> str:
        await ctx.step("s", asyncio.sleep, 1, idempotent=True)
        return "x"

    world.agent(one)

    async def scenario() -> None:
        await world.submit("first", ALICE)
        idle = await world.submit("idle", BOB, priority=Priority.IDLE)
        for n in range(200):
            await world.submit(f"n{n}", ALICE)
        await world.ended(idle, timeout_s=5 * 30)

    world.run(scenario)


def test_a_queued_mission_is_told_where_it_stands() -> None:
    """mission.queued and explain give cause and place; explain follows the queue."""
    world = World(TowerLimits(max_running=1))
    world.agent(nap)

    async def scenario() -> None:
        await world.submit("first")
        second = await world.submit("second")
        third = await world.submit("third")
        queued = world.ledger.last(third, "mission.queued")["data"]
        assert queued == {"position": 2, "cause": "no_slot"}
        explained = await world.tower.explain(ALICE, second)
        assert (explained["state"], explained["cause"], explained["position"]) == (
            "ready",
            "no_slot",
            1,
        )
        with pytest.raises(NotFound):
            await world.tower.explain(BOB, second)

    world.run(scenario)


def test_a_user_at_their_limit_waits_while_others_run() -> None:
    """The limit a user holds nobody else up, and is given as the cause."""
    world = World(TowerLimits(max_running=4, max_running_per_user=1))
    world.agent(nap)

    async def scenario() -> None:
        await world.submit("a1")
        second = await world.submit("a2")
        other = await world.submit("b1", BOB)
        assert world.ledger.last(second, "mission.queued")["data"]["cause"] == "user_limit"
        assert (await world.tower.mission(BOB, other))["state"] == "running"

    world.run(scenario)


def test_a_busy_session_is_enqueued_rejected_interrupted_or_shared() -> None:
    """on_busy in its four ways."""
    world = World()
    world.agent(nap)

    async def scenario() -> None:
        first = await world.submit("first")
        session = (await world.tower.mission(ALICE, first))["session_id"]
        queued = await world.submit("queued", session_id=session)
        assert (await world.tower.mission(ALICE, queued))["state_reason"] == "session_busy"
        assert world.ledger.last(queued, "mission.queued")["data"] == {
            "position": 1,
            "cause": "session_busy",
        }
        with pytest.raises(Busy):
            await world.submit("rejected", session_id=session, on_busy="reject")
        shared = await world.submit("shared", session_id=session, on_busy="parallel")
        assert (await world.tower.mission(ALICE, shared))["state"] == "running"
        urgent = await world.submit("interrupts", session_id=session, on_busy="interrupt")
        assert (await world.ended(first))["outcome"] == "cancelled"
        assert (await world.ended(shared))["outcome"] == "cancelled"
        await asyncio.sleep(1)
        assert (await world.tower.mission(ALICE, urgent))["state"] == "running"
        assert (await world.tower.mission(ALICE, queued))["state"] == "blocked"
        await world.ended(urgent)
        await world.ended(queued)

    world.run(scenario)


def test_a_session_whose_mission_waits_is_not_busy_and_a_resumed_one_goes_ahead() -> None:
    """Waiting frees the session; answered while it is busy, the mission goes before the queued."""
    world = World()

    async def main(ctx: Context) -> str:
        if ctx.mission == "asks":
            return await ctx.clarify("What?")
        return await nap(ctx)

    world.agent(main)

    async def scenario() -> None:
        asking = await world.submit("asks")
        question = await world.question(asking)
        session = question["session_id"]
        second = await world.submit("second", session_id=session)
        third = await world.submit("third", session_id=session)
        assert (await world.tower.mission(ALICE, second))["state"] == "running"
        await world.tower.answer(
            ALICE, question["interrupt_id"], ClarificationAnswer(answer="this")
        )
        explained = await world.tower.explain(ALICE, asking)
        assert (explained["state"], explained["cause"], explained["position"]) == (
            "blocked",
            "session_busy",
            1,
        )
        await world.ended(asking)
        assert (await world.tower.mission(ALICE, second))["state"] == "terminated"
        assert (await world.tower.mission(ALICE, third))["state"] == "running"

    world.run(scenario)


def test_pause_holds_and_resume_goes_on() -> None:
    """What is in flight still records its outcome; nothing more is begun until the resume."""
    world = World()
    world.agent(steps)

    async def scenario() -> None:
        pid = await world.submit("x")
        await asyncio.sleep(2.5)
        assert (await world.tower.pause(ALICE, pid, "lunch"))["state"] == "paused"
        with pytest.raises(Conflict):
            await world.tower.pause(ALICE, pid)
        await asyncio.sleep(50)
        assert world.ledger.types(pid).count("step.completed") == 3
        await world.tower.resume(ALICE, pid)
        with pytest.raises(Conflict):
            await world.tower.resume(ALICE, pid)
        mission = await world.ended(pid)
        assert mission["result"] == "x"
        assert world.ledger.types(pid).count("step.started") == 10
        assert mission["usage"]["elapsed_seconds"] < 15

    world.run(scenario)


def test_a_paused_mission_survives_a_restart_and_an_answer() -> None:
    """An answer to a paused mission is recorded and used after the resume."""
    world = World()

    async def main(ctx: Context) -> str:
        return await ctx.clarify("What?")

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit("x")
        question = await world.question(pid)
        await world.tower.pause(ALICE, pid)
        await world.restart()
        await world.tower.answer(
            ALICE, question["interrupt_id"], ClarificationAnswer(answer="this")
        )
        assert (await world.tower.mission(ALICE, pid))["state"] == "paused"
        await world.tower.resume(ALICE, pid)
        assert (await world.ended(pid))["result"] == "this"

    world.run(scenario)


def test_deadlines_delayed_starts_and_running_time() -> None:
    """deadline_s ends it, start_at delays it, timeout_seconds counts only running time."""
    world = World()

    async def main(ctx: Context) -> str:
        if ctx.mission == "ask":
            await ctx.clarify("?")
        if ctx.mission == "sleep":
            await ctx.sleep(50)
            return "slept"
        return await nap(ctx)

    world.agent(main)

    async def scenario() -> None:
        late = await world.submit("ask", deadline_s=30.0)
        delayed = await world.submit("delayed", start_at="2027-01-15T08:01:00Z")
        short = await world.submit("short", quota=ResourceQuota(timeout_seconds=10))
        sleeping = await world.submit("sleep", quota=ResourceQuota(timeout_seconds=10))
        assert (await world.tower.mission(ALICE, delayed))["state_reason"] == "start_at"
        assert (await world.tower.explain(ALICE, delayed))["eta_s"] > 50
        await world.restart()
        assert (await world.ended(short))["outcome"] == "timed_out"
        assert (await world.ended(sleeping))["result"] == "slept"
        ended = await world.ended(late)
        assert ended["outcome"] == "timed_out"
        assert world.ledger.types(late)[-2:] == ["interrupt.cancelled", "mission.timed_out"]
        await asyncio.sleep(15)
        assert (await world.tower.mission(ALICE, delayed))["state"] == "running"
        assert (await world.ended(delayed))["result"] == "rested"

    world.run(scenario)


def test_cancel_stops_whatever_a_mission_does() -> None:  # noqa: C901, PLR0915  # one table
    """Asleep, in a tool, streaming, waiting, with children, queued: within 100 ms, and silent."""
    world = World()
    stopped: list[str] = []

    async def slow() -> str:
        try:
            await asyncio.sleep(1000)
        finally:
            stopped.append("tool")
        return "?"

    world.tools.add(slow)

    async def main(ctx: Context) -> Any:
        match ctx.mission:
            case "sleep":
                await ctx.sleep(1000)
            case "tool":
                await ctx.tool("slow")
            case "stream":
                while True:
                    ctx.delta("x")
                    await asyncio.sleep(0.01)
            case "wait":
                await ctx.clarify("?")
            case "children":
                child = await ctx.spawn("main", "sleep")
                await child.result()
            case "parallel":
                await ctx.parallel(nap, nap)

    world.agent(main)

    async def scenario() -> None:
        names = ("sleep", "tool", "stream", "wait", "children", "parallel")
        pids = {name: await world.submit(name) for name in names}
        await asyncio.sleep(5)
        for name, pid in pids.items():
            before = world.loop.time()
            mission = await world.tower.cancel(ALICE, pid, "enough")
            assert (mission["outcome"], mission["state_reason"]) == ("cancelled", "enough"), name
            again = await world.tower.cancel(ALICE, pid)
            assert again["outcome"] == "cancelled"
            assert world.loop.time() - before < 0.1
        cut = world.ledger.last(pids["tool"], "mission.cancelled")["data"]
        assert cut["unfinished"] == [{"step": "1", "tool": "slow"}]
        assert (cut["by"], cut["reason"]) == ("alice", "enough")
        await asyncio.sleep(0.1)
        count, deltas = len(world.ledger.events), len(world.ledger.deltas)
        await asyncio.sleep(2000)
        assert (len(world.ledger.events), len(world.ledger.deltas)) == (count, deltas)
        assert stopped == ["tool"]
        assert world.tower._a.memory.processes == {}
        assert len(world.tower._a.timers) == 0

    world.run(scenario)


def test_a_program_that_swallows_everything_is_closed() -> None:
    """Neither parking nor cancelling depends on the program's good will."""
    world = World(TowerLimits(park_after_s=5))
    alive: list[int] = []

    async def main(ctx: Context) -> str:
        while True:
            try:
                await ctx.sleep(20)
            except BaseException:  # noqa: BLE001  # what the test is about
                alive.append(1)
            else:
                return "slept"

    world.agent(main)

    async def scenario() -> None:
        parked = await world.submit("x")
        await asyncio.sleep(15)
        assert alive == [1, 1]  # Parked, then GeneratorExit
        assert parked not in world.tower._a.memory.processes
        assert (await world.ended(parked))["result"] == "slept"
        cancelled = await world.submit("y")
        await asyncio.sleep(1)
        await world.tower.cancel(ALICE, cancelled)
        await asyncio.sleep(30)
        tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        assert tasks == []

    world.run(scenario)


def test_an_idempotency_key_returns_the_same_reply() -> None:
    """The same key and body: the same mission; another body: conflict; another user: their own."""
    world = World()
    world.agent(nap)

    async def scenario() -> None:
        submission = Submission(mission="x", idempotency_key="k")
        first, second = await asyncio.gather(
            world.tower.submit(ALICE, submission, body_sha256="1"),
            world.tower.submit(ALICE, submission, body_sha256="1"),
        )
        assert first["mission_id"] == second["mission_id"]
        assert (first["duplicate"], second["duplicate"]) == (False, True)
        assert first["offset"] == second["offset"]
        with pytest.raises(Conflict):
            await world.tower.submit(ALICE, submission, body_sha256="2")
        other = await world.tower.submit(BOB, submission, body_sha256="1")
        assert other["mission_id"] != first["mission_id"]
        await world.restart()
        third = await world.tower.submit(ALICE, submission, body_sha256="1")
        assert (third["mission_id"], third["duplicate"]) == (first["mission_id"], True)

    world.run(scenario)


def test_who_may_do_what() -> None:
    """A viewer changes nothing, a user nothing of another's, realtime is an operator's."""
    world = World()
    world.agent(nap)
    viewer = type(ALICE)("carol", "viewer")

    async def scenario() -> None:
        pid = await world.submit("x")
        with pytest.raises(Forbidden):
            await world.submit("y", viewer)
        with pytest.raises(Forbidden):
            await world.tower.cancel(viewer, pid)
        with pytest.raises(NotFound):
            await world.tower.cancel(BOB, pid)
        with pytest.raises(NotFound):
            await world.submit(
                "z", BOB, session_id=(await world.tower.mission(ALICE, pid))["session_id"]
            )
        with pytest.raises(Forbidden):
            await world.submit("y", ALICE, priority=Priority.REALTIME)
        with pytest.raises(NotFound, match=r"There are: main\."):
            await world.submit("y", agent="nobody")
        with pytest.raises(NotFound):
            await world.submit("y", profile="nothing")
        assert (await world.tower.mission(viewer, pid))["pid"] == pid

    world.run(scenario)


def test_a_drain_leaves_missions_ready_for_the_next_start() -> None:
    """Running missions reach a call and go on after the restart; nothing runs twice."""
    world = World()
    ran: list[str] = []

    async def work(name: str) -> None:
        ran.append(name)
        await asyncio.sleep(0.1)

    async def main(ctx: Context) -> str:
        for n in range(20):
            await ctx.step(f"s{n}", work, f"{ctx.mission}.{n}")
        return ctx.mission

    world.agent(main)

    async def scenario() -> None:
        pids = [await world.submit(f"m{n}") for n in range(50)]
        await asyncio.sleep(1)
        before = world.loop.time()
        await world.tower.stop(15)
        assert world.loop.time() - before < 2
        await world.restart()
        for pid in pids:
            assert (await world.ended(pid))["outcome"] == "completed"
        assert len(ran) == len(set(ran)) == 50 * 20

    world.run(scenario)


def test_a_users_account_has_its_limits_and_says_when_to_come_again() -> None:
    """Queued missions, missions, tokens and cost a day; kept over a restart; others unaffected."""
    limits = TowerLimits(max_running=1, max_queued_per_user=2, missions_per_day=5)
    world = World(limits)
    world.agent(nap)

    async def scenario() -> None:
        for n in range(3):
            await world.submit(f"a{n}")
        with pytest.raises(QuotaRefused) as refused:
            await world.submit("too many")
        assert refused.value.details["limit"] == 2
        assert refused.value.retry_after_s is not None
        await world.submit("b", BOB)
        await world.restart()
        with pytest.raises(QuotaRefused):
            await world.submit("too many")
        await asyncio.sleep(400)
        for n in range(2):
            await world.submit(f"again{n}")
        await asyncio.sleep(400)
        with pytest.raises(QuotaRefused) as refused:
            await world.submit("the sixth")
        assert refused.value.details["resource"] == "missions a day"
        assert 15 * 3600 < (refused.value.retry_after_s or 0) <= 16 * 3600
        await asyncio.sleep(16 * 3600)
        await world.submit("the next day")

    world.run(scenario)


def test_what_a_users_missions_spend_is_on_their_account() -> None:
    """Tokens of model turns count for the day; the next submit is refused."""
    world = World(TowerLimits(tokens_per_day=30))

    async def main(ctx: Context) -> str:
        return (await ctx.llm([{"role": "user", "content": "hi"}])).text

    world.agent(main)

    async def scenario() -> None:
        for n in range(2):
            await world.ended(await world.submit(f"m{n}"))
        with pytest.raises(QuotaRefused) as refused:
            await world.submit("more")
        assert (refused.value.details["used"], refused.value.details["limit"]) == (30, 30)
        days = await world.store.user_days("2027-01-15", 9, 0)
        assert [(d.user_id, d.missions, d.usage.llm_calls) for d in days] == [("alice", 2, 2)]
        await world.restart()
        with pytest.raises(QuotaRefused):
            await world.submit("more")

    world.run(scenario)


def test_running_time_is_warned_of_once_at_eighty_percent() -> None:
    """Time that a mission waits does not count towards the warning either."""
    world = World()

    async def main(ctx: Context) -> str:
        await ctx.sleep(1000)
        for n in range(9):
            await ctx.step(f"s{n}", asyncio.sleep, 1, idempotent=True)
            await ctx.sleep(10)
        return "done"

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit(quota=ResourceQuota(timeout_seconds=10))
        mission = await world.ended(pid)
        assert mission["outcome"] == "completed"
        warned = [e["data"] for e in world.ledger.of(pid) if e["type"] == "quota.warned"]
        assert warned == [{"resource": "elapsed_seconds", "used": 8.0, "limit": 10.0}]

    world.run(scenario)
