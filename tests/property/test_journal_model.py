"""The journal does what a list of outcomes does, whatever is put, delivered and begun again."""

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from control_tower.execution.journal import Divergence, Journal, with_offset
from control_tower.records import StepRecord, StepStatus

STEPS = ["1", "2", "3.1.1", "3.2.1", "3.2.2", "4"]
KINDS = ["tool", "step", "sleep"]
OPEN = (StepStatus.ASKED, StepStatus.APPROVED, StepStatus.STARTED)
FINAL = (StepStatus.COMPLETED, StepStatus.FAILED)

picks = st.integers(0, 2**16)


class Comparison(RuleBasedStateMachine):
    """Drives the journal and its model: records by step, and the outcomes in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.journal = Journal()
        self.records: dict[str, StepRecord] = {}
        self.outcomes: list[str] = []
        self.delivered = 0
        self.recorded = 0
        self.offset = 0

    @rule(step=st.sampled_from(STEPS), kind=st.sampled_from(KINDS), status=st.sampled_from(OPEN))
    def put_open(self, step: str, kind: str, status: StepStatus) -> None:
        """A call is recorded, or its record goes on to another status without an outcome."""
        before = self.records.get(step)
        if before is not None and before.status in FINAL:
            return
        record = before or _record(step, kind)
        self._put(msgspec.structs.replace(record, status=status))

    @rule(pick=picks, status=st.sampled_from(FINAL), gap=st.integers(1, 5))
    @precondition(lambda self: self._open())
    def put_outcome(self, pick: int, status: StepStatus, gap: int) -> None:
        """A call gets its outcome, at an offset above all before it."""
        record = self._open()[pick % len(self._open())]
        self.offset += gap
        done = with_offset(msgspec.structs.replace(record, status=status), self.offset)
        self._put(done)
        self.outcomes.append(done.step)

    @rule(step=st.sampled_from(STEPS))
    def put_instant(self, step: str) -> None:
        """A value without an event is known, and waited for by nobody."""
        if step not in self.records:
            self._put(msgspec.structs.replace(_record(step, "now"), status=StepStatus.COMPLETED))

    @rule()
    @precondition(lambda self: self.delivered < len(self.outcomes))
    def deliver(self) -> None:
        """The next outcome is the first in order that was not delivered."""
        expected = self.journal.expected()
        assert expected == self.records[self.outcomes[self.delivered]]
        self.journal.delivered()
        self.delivered += 1

    @rule(read_again=st.booleans(), pick=picks)
    def begin_again(self, read_again: bool, pick: int) -> None:
        """A new run, over the same journal or one read from the store in any order."""
        if read_again:
            records = sorted(self.records.values(), key=lambda r: hash((r.step, pick)))
            self.journal = Journal(records)
        else:
            self.journal.rewind()
        self.delivered, self.recorded = 0, len(self.outcomes)

    @rule(step=st.sampled_from(STEPS), kind=st.sampled_from(KINDS), other=st.booleans())
    def check(self, step: str, kind: str, other: bool) -> None:
        """A call that differs from its record in kind, name or arguments is told from it."""
        sha256 = "another" if other else f"sha of {step}"
        record = self.records.get(step)
        fits = record is None or (record.kind == kind and not other)
        if fits:
            self.journal.check(step, kind, f"a {kind}", sha256)
            return
        assert record is not None
        with pytest.raises(Divergence) as raised:
            self.journal.check(step, kind, f"a {kind}", sha256)
        assert raised.value.step == step
        assert raised.value.expected == f"{record.kind} a {record.kind}"
        assert raised.value.got.startswith(f"{kind} a {kind}")
        assert raised.value.got.endswith("other arguments") == (record.kind == kind)

    @invariant()
    def it_is_as_the_model_says(self) -> None:
        """What is open, what is to come, and whether it was recorded before the run."""
        assert {record.step: record for record in self.journal} == self.records
        assert dict(self.journal.open) == {record.step: record for record in self._open()}
        assert self.journal.undelivered == (self.delivered < len(self.outcomes))
        assert self.journal.replaying == (self.delivered < self.recorded)
        assert self.journal.replayed_steps == self.recorded
        if not self.journal.undelivered:
            assert self.journal.expected() is None
        for step in STEPS:
            assert self.journal.find(step) == self.records.get(step)

    def _open(self) -> list[StepRecord]:
        return [record for record in self.records.values() if record.status in OPEN]

    def _put(self, record: StepRecord) -> None:
        self.records[record.step] = record
        self.journal.put(record)


def _record(step: str, kind: str) -> StepRecord:
    return StepRecord(
        pid="m_1",
        step=step,
        kind=kind,
        name=f"a {kind}",
        call_sha256=f"sha of {step}",
        arguments=None,
        status=StepStatus.STARTED,
        idempotent=False,
        started_at=0.0,
    )


TestJournal = Comparison.TestCase
TestJournal.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
