"""What must hold at every commit, delivery and touch of the world; outside of the tower.

The auditor believes only what the database was given and what clients were shown. It keeps a
model of its own of both and writes every breach down.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from control_tower.records import (
    InterruptKind,
    InterruptRecord,
    InterruptStatus,
    ProcessControlBlock,
    StepRecord,
    StepStatus,
)
from control_tower.states import TRANSITIONS, State
from control_tower.unit import (
    Commit,
    InsertMission,
    RememberKey,
    SaveInterrupt,
    SaveMission,
    SaveStep,
    Unit,
)
from events.payloads import TERMINAL_TYPES
from events.types import Committed, Ephemeral
from tests.simulation.tooling import Execution

if TYPE_CHECKING:
    from tests.simulation.world import World

FINAL = (StepStatus.COMPLETED, StepStatus.FAILED)
ACTIVE = (State.READY, State.RUNNING)
COUNTED = ("llm_calls", "tool_calls", "children")

SAID_BY: dict[str, frozenset[State]] = {
    "mission.started": frozenset({State.RUNNING}),
    "mission.recovered": frozenset({State.RUNNING}),
    "mission.resumed": frozenset({State.RUNNING, State.READY}),
    "mission.waiting": frozenset({State.WAITING}),
    "mission.blocked": frozenset({State.BLOCKED}),
    "mission.queued": frozenset({State.READY, State.BLOCKED}),
    "mission.paused": frozenset({State.PAUSED}),
    "mission.preempted": frozenset({State.READY}),
    **{terminal: frozenset({State.TERMINATED}) for terminal in TERMINAL_TYPES},
}
"""Where a mission may stand once an event was said of it."""


class Auditor:
    """Breaches so far, and the model they are judged by."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.breaches: list[str] = []
        self.head = 0
        self.history: list[str] = []
        self.missions: dict[str, ProcessControlBlock] = {}
        self.steps: dict[tuple[str, str], StepRecord] = {}
        self.interrupts: dict[str, InterruptRecord] = {}
        self.keys: dict[tuple[str, str], dict[str, Any]] = {}
        self.terminal: dict[str, int] = {}
        self.shown_terminal: set[str] = set()
        self.shown: list[dict[str, Any]] = []
        self.deltas: list[dict[str, Any]] = []
        self.shown_upto = 0
        self.retries: dict[tuple[str, str], int] = {}
        self._started: set[tuple[str, str, int]] = set()
        self._at: dict[tuple[int, str, str | None, int], int] = {}
        self._said: dict[tuple[int, str], dict[int, str]] = {}
        self._touched: dict[tuple[str, str], list[Execution]] = {}

    def breach(self, what: str) -> None:
        """Write a breach down."""
        self.breaches.append(f"[{self.world.loop.time():.4f}] {what}")

    def note(self, what: str) -> None:
        """Write down what happened, for whoever looks at a breach."""
        self.history.append(f"[{self.world.loop.time():.4f}] {what}")

    # -- commits --------------------------------------------------------------------------

    def applied(self, unit: Unit, commit: Commit) -> None:
        """Judge a committed unit."""
        for event in commit.events:
            if event.offset != self.head + 1:
                self.breach(f"offset {event.offset} after {self.head}")
            self.head = event.offset
        blocks = [w.pcb for w in unit.writes if isinstance(w, InsertMission | SaveMission)]
        for event in commit.events:
            self._event(event, blocks)
        for write in unit.writes:
            match write:
                case InsertMission(pcb) | SaveMission(pcb):
                    self._block(pcb, commit, new=isinstance(write, InsertMission))
                case SaveStep(step):
                    self._step(step)
                case SaveInterrupt(interrupt):
                    self._interrupt(interrupt)
                case RememberKey(key):
                    self.keys[key.user_id, key.key] = key.reply
        self._sessions(blocks)

    def _event(self, event: Committed, blocks: list[ProcessControlBlock]) -> None:
        pid = event.scope.mission_id
        if pid is None:
            return
        if pid in self.terminal:
            self.breach(f"{pid}: {event.type} after its terminal event")
        if event.type in TERMINAL_TYPES:
            self.terminal[pid] = event.offset
            ended = next((pcb for pcb in blocks if pcb.pid == pid), None)
            said = None if ended is None or ended.outcome is None else ended.outcome.value
            if event.type != f"mission.{said}":
                self.breach(f"{pid}: {event.type} with outcome {said}")

    def _block(self, pcb: ProcessControlBlock, commit: Commit, *, new: bool) -> None:
        pid, before = pcb.pid, self.missions.get(pcb.pid)
        said = [event.type for event in commit.events if event.scope.mission_id == pid]
        if new:
            if before is not None:
                self.breach(f"{pid}: inserted twice")
            source = pcb.state if pcb.parent_pid else State.NEW
        else:
            source = State.NEW if before is None else before.state
        if not _is_path(source, said, pcb.state):
            self.breach(f"{pid}: from {source} by {said} to {pcb.state}")
        if (pcb.state is State.TERMINATED) != (pcb.outcome is not None):
            self.breach(f"{pid}: {pcb.state} with outcome {pcb.outcome}")
        if pcb.state is State.TERMINATED and pid not in self.terminal:
            self.breach(f"{pid}: terminated without a terminal event")
        if pcb.state is State.TERMINATED and pcb.pending_interrupts:
            self.breach(f"{pid}: ended with questions pending {pcb.pending_interrupts}")
        if before is not None and (pcb.attempt < before.attempt or pcb.token < before.token):
            self.breach(f"{pid}: attempt or token went back")
        for resource in COUNTED:
            limit = getattr(pcb.quota, f"max_{resource}")
            used = getattr(pcb.usage, resource)
            if pcb.account_pid is None and limit is not None and used > limit:
                self.breach(f"{pid}: {used} {resource} of {limit}")
        self.missions[pid] = pcb
        told = " ".join(f"{e.type}{_step(e)}" for e in commit.events if e.scope.mission_id == pid)
        ended = "" if pcb.outcome is None else pcb.outcome.value
        self.note(
            f"life {self.world.life.number} {pid} {pcb.agent} in {pcb.session_id} {pcb.on_busy} "
            f"{pcb.state} {pcb.state_reason or ''} {ended} by {told}"
        )

    def _step(self, step: StepRecord) -> None:
        key = (step.pid, step.step)
        before = self.steps.get(key)
        if before is not None:
            if before.status in FINAL:
                self.breach(f"{key}: an outcome was replaced")
            if (before.kind, before.name, before.call_sha256) != (
                step.kind,
                step.name,
                step.call_sha256,
            ):
                self.breach(f"{key}: became another call")
            if step.attempt < before.attempt:
                self.breach(f"{key}: attempt went back")
        if step.pid in self.terminal and step.status in FINAL and before is None:
            owner = self.missions.get(step.pid)
            if owner is not None and owner.state is State.TERMINATED:
                self.breach(f"{key}: an outcome after the end")
        self.steps[key] = step

    def _interrupt(self, record: InterruptRecord) -> None:
        before = self.interrupts.get(record.interrupt_id)
        closed = record.status is not InterruptStatus.PENDING
        if before is None and closed and record.mission_id not in self.terminal:
            self.breach(f"{record.interrupt_id}: closed before it was put")
        if before is not None and before.status is not InterruptStatus.PENDING:
            self.breach(f"{record.interrupt_id}: {before.status} became {record.status}")
        if record.status is InterruptStatus.RESOLVED and record.answered_by not in (
            record.user_id,
            *self.world.operators,
        ):
            self.breach(f"{record.interrupt_id}: answered by {record.answered_by}")
        if (record.answer or {}).get("decision") == "retry":
            key = (record.mission_id, record.step)
            self.retries[key] = self.retries.get(key, 0) + 1
        self.interrupts[record.interrupt_id] = record

    def _sessions(self, blocks: Sequence[ProcessControlBlock]) -> None:
        for pcb in blocks:
            if pcb.state not in ACTIVE or pcb.parent_pid or pcb.on_busy == "parallel":
                continue
            rivals = [
                other.pid
                for other in self.missions.values()
                if other.session_id == pcb.session_id
                and other.pid != pcb.pid
                and other.state in ACTIVE
                and not other.parent_pid
                and other.on_busy != "parallel"
            ]
            if rivals:
                self.breach(f"{pcb.pid} is active beside {rivals} in {pcb.session_id}")

    # -- what clients are shown -----------------------------------------------------------

    def begin_life(self, head: int) -> None:
        """A server begins; clients read what they missed from the log."""
        self.shown_upto = head

    def publish(self, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
        """``events.log.Publish``."""
        for event in events:
            if event.offset != self.shown_upto + 1:
                self.breach(f"showed {event.offset} after {self.shown_upto}")
            if event.offset > self.head:
                self.breach(f"showed {event.offset}, which is not committed")
            self.shown_upto = event.offset
            self._show(json.loads(event.body)["params"])
        for delta in after:
            self.publish_ephemeral(delta)

    def _show(self, event: dict[str, Any]) -> None:
        self.shown.append(event)
        pid, data = event["mission_id"], event["data"]
        if event["type"] == "step.started":
            self._started.add((pid, data["step"], data["attempt"]))
        if event["type"] in TERMINAL_TYPES:
            self.shown_terminal.add(pid)

    def publish_ephemeral(self, event: Ephemeral) -> None:
        """``ports.Publisher``."""
        params = json.loads(event.body)["params"]
        params["after"] = self.shown_upto
        self.deltas.append(params)
        pid, data = params["mission_id"], params["data"]
        if pid in self.shown_terminal:
            self.breach(f"{pid}: a delta after its terminal event")
        if data["step"] is None:
            self._judge_saying(pid, data)
        else:
            self._judge_streaming(pid, data)

    def _judge_streaming(self, pid: str, data: dict[str, Any]) -> None:
        step, attempt = data["step"], data["attempt"]
        if (pid, step, attempt) not in self._started:
            self.breach(f"{pid}: a delta of step {step}.{attempt} before its step.started")
        key = (self.world.life.number, pid, step, attempt)
        if data["at"] != self._at.get(key, 0):
            self.breach(f"{pid}: a delta of step {step} at {data['at']}, not {self._at.get(key)}")
        self._at[key] = data["at"] + len(data["text"])

    def says(self, pid: str, at: int, text: str) -> None:
        """A program is about to stream ``text``, ``at`` characters into this run."""
        said = self._said.setdefault((self.world.life.number, pid), {})
        said.update(enumerate(text, at))

    def _judge_saying(self, pid: str, data: dict[str, Any]) -> None:
        said, at, text = self._said.get((self.world.life.number, pid), {}), data["at"], data["text"]
        if "".join(said.get(place, "?") for place in range(at, at + len(text))) != text:
            self.breach(f"{pid}: streamed {text!r} at {at}, said {said}")

    # -- touches --------------------------------------------------------------------------

    def touched(self, done: Execution) -> None:
        """Judge an attempt at the moment in which it touches the world."""
        self.note(str(done))
        key = (done.pid, done.step)
        earlier = self._touched.setdefault(key, [])
        if not done.what.idempotent:
            earlier.append(done)
        record = self.steps.get(key)
        where = f"{done.pid} step {done.step} ({done.what.kind} {done.what.name})"
        if record is not None and record.status in FINAL:
            self.breach(f"{where}: ran again after its outcome was journaled")
        if done.pid in self.shown_terminal:
            self.breach(f"{where}: ran after its mission ended")
        if not done.what.idempotent:
            allowed = 1 + self.retries.get(key, 0)
            if len(earlier) > allowed:
                self.breach(f"{where}: ran {len(earlier)} times, allowed {allowed}")
            if record is None or record.status is not StepStatus.STARTED:
                said = None if record is None else record.status
                self.breach(f"{where}: ran with its intent {said}")
            elif done.what.attempt is not None and record.attempt != done.what.attempt:
                self.breach(f"{where}: attempt {done.what.attempt}, intended {record.attempt}")
        if done.what.kind == "tool" and done.what.name in ("wipe", "publish"):
            self._judge_approval(done, where)

    def _judge_approval(self, done: Execution, where: str) -> None:
        put = [
            record
            for record in self.interrupts.values()
            if (record.mission_id, record.step) == (done.pid, done.step)
            and record.kind is InterruptKind.CONFIRMATION
        ]
        if len(put) != 1 or put[0].answer is None or not put[0].answer.get("approved"):
            self.breach(f"{where}: ran without approval: {put}")
            return
        approved = put[0].answer.get("arguments", put[0].arguments)
        if done.what.arguments != approved:
            self.breach(f"{where}: ran with {done.what.arguments}, approved {approved}")

    def trace(self) -> list[bytes]:
        """Return all that was shown and done, to compare two worlds of one seed."""
        encode = msgspec.json.Encoder(order="sorted").encode
        touched = [
            encode([d.life, d.at, d.pid, d.step, d.what.name]) for d in self.world.hands.executions
        ]
        return [encode(event) for event in self.shown + self.deltas] + touched


def _step(event: Committed) -> str:
    data = json.loads(event.body)["params"]["data"]
    return f"({data['step']})" if "step" in data else ""


def _is_path(source: State, said: Sequence[str], target: State) -> bool:
    """Say whether the table has a way from ``source`` over what was said to ``target``."""
    standing = {source}
    for event in said:
        if event in SAID_BY:
            standing = {to for to in SAID_BY[event] for at in standing if _follows(at, to)}
    return any(at is target or (target is State.READY and _arrow(at, target)) for at in standing)


def _follows(at: State, to: State) -> bool:
    return at is to or _arrow(at, to) or (_arrow(at, State.READY) and _arrow(State.READY, to))


def _arrow(at: State, to: State) -> bool:
    return to in TRANSITIONS[at]
