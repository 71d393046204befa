"""The journal of one mission: what its calls returned, and the order in which it may learn so.

A program is run again from its start after a crash or a park. The journal decides what that run
sees: outcomes reach the program one at a time, in the order of their offsets, live as in replay,
so that branches of ``ctx.parallel`` meet them in the same order each time. This core keeps the
records and that order; :mod:`control_tower.execution.run` delivers.
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from control_tower.records import StepRecord, StepStatus

FINAL = frozenset({StepStatus.COMPLETED, StepStatus.FAILED})


class Divergence(Exception):
    """The program's calls differ from its journal.

    Attributes:
        step: where.
        expected: the recorded call, e.g. ``tool refund``; None if none is recorded.
        got: what the program did instead.
    """

    def __init__(self, step: str, expected: str | None, got: str) -> None:
        super().__init__(
            f"step {step}: the journal has {expected or 'nothing'}, the program made {got}"
        )
        self.step = step
        self.expected = expected
        self.got = got


class Journal:
    """Records by step, and the queue of outcomes not yet delivered to the current run."""

    def __init__(self, records: Iterable[StepRecord] = ()) -> None:
        self._records: dict[str, StepRecord] = {record.step: record for record in records}
        self._open: dict[str, StepRecord] = {
            step: record for step, record in self._records.items() if record.status not in FINAL
        }
        self._queue: list[str] = []
        self._next = 0
        self._recorded = 0
        self.rewind()

    def rewind(self) -> None:
        """Begin a new run: every recorded outcome is to be delivered again."""
        ordered = sorted(
            (record.offset, record.step)
            for record in self._records.values()
            if record.status in FINAL and record.offset is not None
        )
        self._queue = [step for _, step in ordered]
        self._next = 0
        self._recorded = len(self._queue)

    @property
    def replaying(self) -> bool:
        """Whether outcomes recorded before this run are still to be delivered."""
        return self._next < self._recorded

    @property
    def undelivered(self) -> bool:
        """Whether any outcome is still to be delivered."""
        return self._next < len(self._queue)

    @property
    def replayed_steps(self) -> int:
        """How many outcomes this run finds recorded."""
        return self._recorded

    @property
    def open(self) -> Mapping[str, StepRecord]:
        """Records without an outcome, by step."""
        return self._open

    def __iter__(self) -> Iterator[StepRecord]:
        return iter(self._records.values())

    def find(self, step: str) -> StepRecord | None:
        """Return the record of ``step``."""
        return self._records.get(step)

    def put(self, record: StepRecord) -> None:
        """Take a committed record; one that became final joins the queue of outcomes.

        Outcomes must be put in the order of their offsets, which commit order is.
        """
        self._records[record.step] = record
        if record.status not in FINAL:
            self._open[record.step] = record
            return
        self._open.pop(record.step, None)
        if record.offset is not None:
            self._queue.append(record.step)

    def expected(self) -> StepRecord | None:
        """Return the outcome that must be delivered next."""
        return self._records[self._queue[self._next]] if self.undelivered else None

    def delivered(self) -> None:
        """Note that :meth:`expected` was delivered."""
        self._next += 1

    def check(self, step: str, kind: str, name: str, call_sha256: str) -> None:
        """Compare a call that the program makes with the record of its step.

        Raises:
            Divergence: if kind, name or arguments differ.
        """
        record = self._records.get(step)
        if record is None:
            return
        if (record.kind, record.name, record.call_sha256) == (kind, name, call_sha256):
            return
        got = f"{kind} {name}"
        if (record.kind, record.name) == (kind, name):
            got += " with other arguments"
        raise Divergence(step, f"{record.kind} {record.name}", got)


def with_offset(record: StepRecord, offset: int) -> StepRecord:
    """Return ``record`` with the offset of the event that carried its outcome."""
    return msgspec.structs.replace(record, offset=offset)
