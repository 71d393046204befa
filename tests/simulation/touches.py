"""What may touch the world, when, how often, and with which arguments."""

from typing import TYPE_CHECKING

from control_tower.records import InterruptKind, StepStatus
from tests.simulation.tooling import Execution

if TYPE_CHECKING:
    from tests.simulation.auditor import Auditor

FINAL = (StepStatus.COMPLETED, StepStatus.FAILED)


class Touches:
    """Judges each attempt at the moment in which it touches the world."""

    def __init__(self, auditor: "Auditor") -> None:
        self._auditor = auditor
        self._touched: dict[tuple[str, str], list[Execution]] = {}

    def judge(self, done: Execution) -> None:
        """Judge an attempt at the moment in which it touches the world."""
        self._auditor.note(str(done))
        key = (done.pid, done.step)
        earlier = self._touched.setdefault(key, [])
        if not done.what.idempotent:
            earlier.append(done)
        record = self._auditor.steps.get(key)
        where = f"{done.pid} step {done.step} ({done.what.kind} {done.what.name})"
        if record is not None and record.status in FINAL:
            self._auditor.breach(f"{where}: ran again after its outcome was journaled")
        if done.pid in self._auditor.screen.ended:
            self._auditor.breach(f"{where}: ran after its mission ended")
        if not done.what.idempotent:
            allowed = 1 + self._auditor.retries.get(key, 0)
            if len(earlier) > allowed:
                self._auditor.breach(f"{where}: ran {len(earlier)} times, allowed {allowed}")
            if record is None or record.status is not StepStatus.STARTED:
                said = None if record is None else record.status
                self._auditor.breach(f"{where}: ran with its intent {said}")
            elif done.what.attempt is not None and record.attempt != done.what.attempt:
                self._auditor.breach(
                    f"{where}: attempt {done.what.attempt}, intended {record.attempt}"
                )
        if done.what.kind == "tool" and done.what.name in ("wipe", "publish"):
            self._judge_approval(done, where)

    def _judge_approval(self, done: Execution, where: str) -> None:
        put = [
            record
            for record in self._auditor.interrupts.values()
            if (record.mission_id, record.step) == (done.pid, done.step)
            and record.kind is InterruptKind.CONFIRMATION
        ]
        if len(put) != 1 or put[0].answer is None or not put[0].answer.get("approved"):
            self._auditor.breach(f"{where}: ran without approval: {put}")
            return
        approved = put[0].answer.get("arguments", put[0].arguments)
        if done.what.arguments != approved:
            self._auditor.breach(f"{where}: ran with {done.what.arguments}, approved {approved}")
