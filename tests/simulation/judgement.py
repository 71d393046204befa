"""The last judgement: what must hold once every mission has ended."""

import asyncio
import json
from functools import partial
from typing import TYPE_CHECKING, Any

from control_tower.ending import _text_and_value
from control_tower.errors import AgentError
from control_tower.execution.calls import Call
from control_tower.execution.context import Context, Services
from control_tower.execution.journal import Divergence, Journal
from control_tower.execution.outcomes import as_json
from control_tower.execution.run import Run
from control_tower.records import InterruptStatus, ProcessControlBlock, StepStatus
from control_tower.states import Outcome, State
from control_tower.store import InlineStore
from events.types import Committed
from tests.simulation.people import INCREASE, Ledger
from tests.simulation.tooling import Minds
from tests.simulation.world import World

if TYPE_CHECKING:
    from control_tower.tower import Tower

FOREIGN = "foreign_cancellation"


def judge_memory(world: World) -> None:
    """Nothing of any mission is left in the tower."""
    tower: Tower | None = world.tower
    assert tower is not None
    a = tower._a
    queue, gate = a.admission.queue, a.admission.gate
    left: dict[str, Any] = {
        "processes": list(a.memory.processes),
        "resting": list(a.residence.resting),
        "accounts": {pid: (x.used, x.reserved) for pid, x in a.budget.accounts.items()},
        "waiting calls": list(a.budget.waiting),
        "sessions held": list(gate._sessions),
        "running": queue.running,
        "queued": queue.queued,
        "running of users": dict(queue._running_of),
        "timers": list(a.timers._due),
        "kernel tasks": list(a.memory.tasks),
        "tasks": [task.get_coro() for task in world.life.unfinished],
    }
    for name, what in left.items():
        if what:
            world.auditor.breach(f"left at the end, {name}: {what}")


async def judge_durable(world: World, ledger: Ledger) -> None:
    """The database says what was acknowledged, and the log is whole."""
    store = InlineStore(world.connection, world.auditor.screen)
    await _judge_log(world, store)
    _judge_steps(world)
    _judge_ledger(world, ledger)
    _judge_retries(world)
    _judge_quotas(world)


async def _judge_log(world: World, store: InlineStore) -> None:
    auditor = world.auditor
    log: list[Committed] = []
    after = 0
    while True:
        page = await store.read(["system"], after, auditor.head)
        log += page.events
        after = page.upto
        if after >= auditor.head:
            break
    if [event.offset for event in log] != list(range(1, auditor.head + 1)):
        auditor.breach("the log has gaps")
    bodies = {event.offset: json.loads(event.body)["params"] for event in log}
    for shown in auditor.screen.events:
        if bodies.get(shown["offset"]) != shown:
            auditor.breach(f"shown {shown}, stored {bodies.get(shown['offset'])}")
    for pid, pcb in auditor.missions.items():
        stored = await store.mission(pid)
        if stored != pcb:
            auditor.breach(f"{pid}: stored {stored}, committed {pcb}")
        own = [body for body in bodies.values() if body["mission_id"] == pid]
        if own[0]["type"] not in ("mission.submitted", "message.created"):
            auditor.breach(f"{pid} begins with {own[0]}")
        if pcb.usage.events < len(own) and not pcb.children and pcb.parent_pid is None:
            auditor.breach(f"{pid}: {len(own)} events, {pcb.usage.events} charged")


def _judge_steps(world: World) -> None:
    for (pid, step), record in world.auditor.steps.items():
        if record.status is StepStatus.ASKED and not world.auditor.missions[pid].outcome:
            world.auditor.breach(f"{pid} step {step} still asks")
    for question in world.auditor.interrupts.values():
        if question.status is InterruptStatus.PENDING:
            world.auditor.breach(f"{question.interrupt_id} is still pending")


def _judge_ledger(world: World, ledger: Ledger) -> None:
    auditor = world.auditor
    for reply in ledger.submitted:
        if reply["mission_id"] not in auditor.missions:
            auditor.breach(f"acknowledged and lost: {reply}")
    for interrupt_id, (_, said) in ledger.answered.items():
        record = auditor.interrupts.get(interrupt_id)
        if record is None or record.answer != said:
            auditor.breach(f"{interrupt_id}: acknowledged {said}, stored {record}")
    for pid, times in ledger.extended.items():
        first, last = auditor.first_quotas[pid], auditor.missions[pid].quota.max_llm_calls
        wanted = None if first is None else first + times * INCREASE.max_llm_calls
        if wanted is not None and (last is None or last < wanted):
            auditor.breach(f"{pid}: extended {times} times from {first}, now {last}")
    for reply in ledger.cancelled:
        pcb = auditor.missions[reply["mission_id"]]
        if pcb.outcome is None or pcb.outcome.value != reply["outcome"]:
            auditor.breach(f"cancelled {reply}, stored {pcb.outcome}")


def _judge_retries(world: World) -> None:
    """As many touches of what may not be repeated as a person allowed, each its own attempt."""
    seen: dict[tuple[str, str, int], int] = {}
    for done in world.hands.executions:
        if done.what.kind == "tool" and not done.what.idempotent and done.what.attempt is not None:
            key = (done.pid, done.step, done.what.attempt)
            seen[key] = seen.get(key, 0) + 1
    for key, count in seen.items():
        if count > 1:
            world.auditor.breach(f"{key} ran {count} times")


def _judge_quotas(world: World) -> None:
    """No family did more than the quota of its root allows, extensions included."""
    done: dict[tuple[str, str], set[tuple[str, str, int]]] = {}
    for each in world.hands.executions:
        record = world.auditor.steps.get((each.pid, each.step))
        if each.what.attempt is None or record is None or record.attempt < each.what.attempt:
            continue  # a function, or an attempt whose intent was lost in a crash
        if (record.kind, record.name) != (each.what.kind, each.what.name):
            continue  # likewise, and the program then took another way
        root = world.auditor.missions[each.pid].lineage[0]
        resource = "tool_calls" if each.what.kind == "tool" else "llm_calls"
        attempts = done.setdefault((root, resource), set())
        attempts.add((each.pid, each.step, each.what.attempt))
    # What a child was allowed beyond its share, its root's block says only once it has ended.
    allowed_more = {
        world.auditor.missions[pid].lineage[0]
        for pid in world.auditor.extended
        if world.auditor.missions[pid].parent_pid
    }
    for (root, resource), attempts in done.items():
        if root in allowed_more:
            continue
        limit = getattr(world.auditor.missions[root].quota, f"max_{resource}")
        if limit is not None and len(attempts) > limit:
            world.auditor.breach(f"{root}: {len(attempts)} {resource} made, {limit} allowed")


class _Witness:
    """A host that only watches: ``run.Host``."""

    def __init__(self) -> None:
        self.beyond: list[str] = []
        self.ended: tuple[object, BaseException | None] | None = None
        self.diverged: Divergence | None = None
        self.cut = False

    def may_deliver(self, run: Run) -> bool:
        """Always: nothing pauses a replay."""
        return True

    def call_made(self, run: Run, call: Call) -> None:
        """Note a call that the journal has no outcome for."""
        self.beyond.append(f"{call.step} {call.kind} {call.name}")

    def run_ended(self, run: Run, result: object, error: BaseException | None) -> None:
        """Note the end."""
        self.ended = (result, error)

    def run_cut(self, run: Run, step: str) -> None:
        """Note a cancellation from outside."""
        self.cut = True

    def run_diverged(self, run: Run, divergence: Divergence) -> None:
        """Note what differs."""
        self.diverged = divergence

    def went_quiet(self, run: Run) -> None:
        """Nothing: a replay has no state."""

    def text_streamed(self, run: Run, at: int, text: str) -> None:
        """Nothing: nobody listens."""


async def judge_replays(world: World) -> None:
    """Each program, run over its journal, makes the same calls and comes to the same end."""
    store = InlineStore(world.connection, world.auditor.screen)
    for pcb in world.auditor.missions.values():
        if pcb.started_at is None or (pcb.error or {}).get("code") == FOREIGN:
            continue
        records = await store.steps(pcb.pid)
        witness = _Witness()
        run = Run(pcb.pid, Journal(records), witness)
        services = Services(world.hands, Minds(world.hands), world.loop.wall)
        ctx = Context(pcb, run, services)
        program = world.programs[pcb.agent]
        run.launch(partial(program, ctx))
        await asyncio.sleep(20)
        _compare(world, pcb, witness)
        run.abandon()
        await asyncio.sleep(5)


def _compare(world: World, pcb: ProcessControlBlock, witness: _Witness) -> None:
    breach = world.auditor.breach
    if witness.diverged is not None and not witness.cut:
        breach(f"{pcb.pid} replays to {witness.diverged}")
    if pcb.outcome is Outcome.COMPLETED:
        if witness.ended is None or witness.ended[1] is not None or witness.beyond:
            breach(f"{pcb.pid} completed; replays to {witness.ended} beyond {witness.beyond}")
        elif as_json(_text_and_value(witness.ended[0])[1]) != pcb.result:
            breach(f"{pcb.pid} returned {pcb.result}, replays to {witness.ended[0]}")
    elif pcb.outcome is Outcome.FAILED:
        if witness.ended is None or witness.beyond:
            breach(f"{pcb.pid} failed; replays to {witness.ended} beyond {witness.beyond}")
        elif isinstance(witness.ended[1], AgentError):
            told = {"code": witness.ended[1].code, "message": witness.ended[1].message}
            if told != pcb.error:
                breach(f"{pcb.pid} failed by {pcb.error}, replays to {told}")
    if pcb.state is not State.TERMINATED:
        breach(f"{pcb.pid} is {pcb.state}")
