"""A program that is run again over its journal sees what it saw, makes the calls it made.

Programs are trees of calls and parallel branches; their calls end in an order that hypothesis
chooses. A run is cut after any number of outcomes and gone on with, and its program is changed
in any one place, which must be noticed before anything new is done.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from control_tower.execution.calls import Call, Emit, Kind
from control_tower.execution.journal import Divergence, Journal
from control_tower.execution.run import Run
from control_tower.records import StepRecord, StepStatus
from tests.rig.virtual_loop import VirtualLoop

Tree = list["str | list[Tree]"]
"""A sequence of calls by name and of forks, which are lists of branches."""

names = st.sampled_from("abcde")
trees: st.SearchStrategy[Tree] = st.recursive(
    st.lists(names, min_size=1, max_size=3),
    lambda inner: st.lists(names | st.lists(inner, min_size=1, max_size=3), max_size=3),
    max_leaves=10,
)
picks = st.lists(st.integers(0, 2**16), min_size=60, max_size=60)


@dataclass
class Stage:
    """A host: it ends calls when told to, one at a time, and writes down what happens."""

    journal: Journal
    offset: int = 0
    made: dict[str, Call] = field(default_factory=dict)
    begun: list[str] = field(default_factory=list)
    seen: list[tuple[str, object]] = field(default_factory=list)
    result: object = None
    over: bool = False
    diverged: Divergence | None = None

    def may_deliver(self, run: Run) -> bool:
        """The mission always runs."""
        return True

    def call_made(self, run: Run, call: Call) -> None:
        """A call without an outcome: only once everything recorded has been delivered."""
        assert not self.journal.replaying
        self.made[call.step] = call
        if self.journal.find(call.step) is None:
            self.begun.append(call.step)
            self.journal.put(_record(call))

    def run_ended(self, run: Run, result: object, error: BaseException | None) -> None:
        """The program returned."""
        if error is not None:
            raise error
        self.result, self.over = result, True

    def run_cut(self, run: Run, step: str) -> None:
        """Nothing cancels a call here."""
        raise AssertionError(step)

    def run_diverged(self, run: Run, divergence: Divergence) -> None:
        """The program does not fit."""
        self.diverged = self.diverged or divergence

    def went_quiet(self, run: Run) -> None:
        """Nothing to do."""

    def text_streamed(self, run: Run, at: int, text: str) -> None:
        """Nothing to do."""

    def end_one(self, pick: int, gap: int) -> None:
        """Give one of the open calls its outcome."""
        step = sorted(self.made)[pick % len(self.made)]
        record = self.journal.find(step)
        assert record is not None
        del self.made[step]
        self.offset += gap
        done = msgspec.structs.replace(
            record, status=StepStatus.COMPLETED, output=self.offset, offset=self.offset
        )
        self.journal.put(done)


class Play:
    """A run of a tree on a stage, in virtual time."""

    def __init__(self, tree: Tree, journal: Journal, offset: int = 0) -> None:
        self.stage = Stage(journal, offset)
        self.run = Run("m_1", journal, self.stage)
        self.run.launch(lambda: self._sequence(tree, ""))

    async def _sequence(self, tree: Tree, prefix: str) -> list[object]:
        got: list[object] = []
        for number, part in enumerate(tree, 1):
            step = f"{prefix}{number}"
            if isinstance(part, str):
                got.append(await self._call(step, part))
            else:
                got.append(await self.run.fan_out(list(self._branches(part, step))))
        return got

    def _branches(self, branches: list[Tree], step: str) -> list[Callable[[], Awaitable[object]]]:
        return [
            partial(self._sequence, branch, f"{step}.{number}.")
            for number, branch in enumerate(branches, 1)
        ]

    async def _call(self, step: str, name: str) -> object:
        outcome: asyncio.Future[StepRecord] = asyncio.get_running_loop().create_future()
        call = Call(step, Kind.EMIT, name, name, name, Emit(name, {}), outcome)
        record = await self.run.call(call)
        self.stage.seen.append((step, record.output))
        return record.output

    async def settle(self) -> None:
        """Let the program run as far as it can."""
        for _ in range(60):
            await asyncio.sleep(0)

    async def go_on(self, picks: list[int], outcomes: int = 10**6) -> None:
        """End calls in the order of the picks, until the program has ended."""
        await self.settle()
        while self.stage.made and not self.stage.over and outcomes:
            pick = picks[outcomes % len(picks)]
            self.stage.end_one(pick, 1 + pick % 3)
            self.run.advance()
            await self.settle()
            outcomes -= 1

    async def close(self) -> None:
        """Leave nothing behind."""
        self.run.abandon()
        await asyncio.sleep(5)


def _record(call: Call) -> StepRecord:
    return StepRecord(
        pid="m_1",
        step=call.step,
        kind=call.kind,
        name=call.name,
        call_sha256=call.sha256,
        arguments=None,
        status=StepStatus.STARTED,
        idempotent=True,
        started_at=0.0,
    )


def _in_virtual_time(work: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await work()

    loop = VirtualLoop()
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


@settings(max_examples=60, deadline=None)
@given(tree=trees, picks=picks, cut=st.integers(0, 12), again=picks)
def test_a_run_cut_anywhere_goes_on_as_if_it_had_not_been(
    tree: Tree, picks: list[int], cut: int, again: list[int]
) -> None:
    """Cut after any outcome it sees the same, begins nothing twice, and comes to its end."""

    async def work() -> None:
        first = Play(tree, Journal())
        await first.go_on(picks, cut)
        await first.close()
        saved = list(first.stage.journal)
        second = Play(tree, Journal(saved), first.stage.offset)
        await second.settle()
        assert second.stage.diverged is None
        assert second.stage.seen == first.stage.seen
        assert not second.stage.begun, "a call was begun again"
        await second.go_on(again)
        assert second.stage.over
        assert second.stage.diverged is None
        await second.close()
        third = Play(tree, Journal(list(second.stage.journal)))
        await third.settle()
        assert (third.stage.seen, third.stage.result) == (second.stage.seen, second.stage.result)
        assert third.stage.over
        assert not third.stage.begun
        await third.close()

    _in_virtual_time(work)


def _places(tree: Tree, path: tuple[int, ...] = ()) -> list[tuple[int, ...]]:
    """Return where the calls of a tree are."""
    found = []
    for number, part in enumerate(tree):
        if isinstance(part, str):
            found.append((*path, number))
        else:
            for inner, branch in enumerate(part):
                found += _places(branch, (*path, number, inner))
    return found


def _changed(tree: Tree, place: tuple[int, ...], change: str) -> Tree:
    head, rest = place[0], place[1:]
    copy = list(tree)
    part = copy[head]
    if not rest:
        swaps: dict[str, Tree] = {"renamed": ["another"], "removed": [], "added": ["new", part]}
        copy[head : head + 1] = swaps[change]
    else:
        assert isinstance(part, list)
        branches = list(part)
        branches[rest[0]] = _changed(branches[rest[0]], rest[1:], change)
        copy[head] = branches
    return copy


@settings(max_examples=60, deadline=None)
@given(
    tree=trees.filter(_places),
    picks=picks,
    where=st.integers(0, 2**16),
    change=st.sampled_from(["renamed", "removed", "added"]),
)
def test_a_changed_program_is_noticed_before_it_does_anything_new(
    tree: Tree, picks: list[int], where: int, change: str
) -> None:
    """A call renamed, taken out or put in: the whole journal is known, so nothing is begun."""

    async def work() -> None:
        first = Play(tree, Journal())
        await first.go_on(picks)
        assert first.stage.over
        await first.close()
        places = _places(tree)
        mended = _changed(tree, places[where % len(places)], change)
        second = Play(mended, Journal(list(first.stage.journal)))
        await second.settle()
        assert second.stage.diverged is not None
        assert not second.stage.begun
        assert not second.stage.over
        await second.close()

    _in_virtual_time(work)
