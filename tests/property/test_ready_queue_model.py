"""The ready queue does what the slow one does, whatever is asked of it in whatever order."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from control_tower.errors import KernelBug
from control_tower.records import Priority
from control_tower.schedule import fair_share
from control_tower.schedule.ready_queue import ReadyQueue
from tests.property.ready_queue_model import LEVELS, Model, Place

USERS = ["ann", "bob", "cem", "dov"]
priorities = st.sampled_from(LEVELS)
picks = st.integers(0, 2**16)


class Comparison(RuleBasedStateMachine):
    """Drives the queue and its model together."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000.0
        self.count = 0

    @initialize(
        slots=st.integers(1, 4),
        per_user=st.sampled_from([None, 1, 2]),
        weights=st.dictionaries(st.sampled_from(USERS), st.sampled_from([0.5, 2.0, 4.0])),
    )
    def begin(self, slots: int, per_user: int | None, weights: dict[str, float]) -> None:
        """Make a queue and its model."""
        self.queue = ReadyQueue(slots=slots, slots_per_user=per_user, weights=weights)
        self.model = Model(slots, per_user, weights)

    def fresh(self) -> str:
        """Return a pid that was not used."""
        self.count += 1
        return f"m{self.count}"

    def one_of(self, places: dict[str, Place], pick: int) -> str:
        """Return one of the pids."""
        return sorted(places)[pick % len(places)]

    @rule(user=st.sampled_from(USERS), priority=priorities, many=st.integers(1, 3))
    def push(self, user: str, priority: Priority, many: int) -> None:
        """Queue some missions of a user."""
        for _ in range(many):
            pid = self.fresh()
            self.queue.push(pid, user, priority, self.now)
            level = LEVELS.index(priority)
            self.model.age(self.now)
            self.model.join(
                level, Place(pid, user, priority, level, self.now), self.now, carried=False
            )

    @rule()
    def pop(self) -> None:
        """Give a slot to the next."""
        grant = self.queue.pop(self.now)
        if not self.model.free():
            assert grant is None
            return
        self.model.age(self.now)
        place = self.model.pop(self.now)
        assert (grant and (grant.pid, grant.user_id, grant.priority, grant.effective)) == (
            place and (place.pid, place.user, place.priority, LEVELS[place.level])
        )

    @rule(user=st.sampled_from(USERS), priority=priorities)
    def take(self, user: str, priority: Priority) -> None:
        """Ask for a slot past the queue."""
        pid = self.fresh()
        grant = self.queue.take(pid, user, priority, self.now)
        level = LEVELS.index(priority)
        if not self.model.free() or self.model.full(user):
            assert grant is None
            return
        self.model.age(self.now)
        waits = any(self.model.listed(above) for above in range(level + 1))
        assert (grant is None) == waits
        if grant is not None:
            self.model.activate(level, self.model.desk(level, user), self.now)
            self.model.start(level, Place(pid, user, priority, level, self.now), self.now)
            self.model.pass_over(user)

    @precondition(lambda self: self.model.runs())
    @rule(pick=picks)
    def release(self, pick: int) -> None:
        """Let a running mission end."""
        pid = self.one_of(self.model.runs(), pick)
        self.queue.release(pid, self.now)
        self.model.release(pid, self.now)

    @precondition(lambda self: self.model.runs())
    @rule(pick=picks)
    def preempt(self, pick: int) -> None:
        """Let a running mission go back to the queue with its effective priority."""
        pid = self.one_of(self.model.runs(), pick)
        place = self.model.runs()[pid]
        effective = LEVELS[place.level]
        self.queue.release(pid, self.now)
        self.queue.push(pid, place.user, place.priority, self.now, effective=effective)
        self.model.release(pid, self.now)
        self.model.age(self.now)
        place.since = self.now
        self.model.join(place.level, place, self.now, carried=True)

    @precondition(lambda self: self.model.queued())
    @rule(pick=picks)
    def remove(self, pick: int) -> None:
        """Cancel a queued mission."""
        pid = self.one_of(self.model.queued(), pick)
        assert self.queue.remove(pid)
        self.model.drop(self.model.queued()[pid])

    @precondition(lambda self: self.model.queued() or self.model.runs())
    @rule(pick=picks, priority=priorities)
    def reprioritise(self, pick: int, priority: Priority) -> None:
        """Change a priority."""
        pid = self.one_of(self.model.queued() | self.model.runs(), pick)
        unchanged = (self.model.queued() | self.model.runs())[pid].priority is priority
        self.queue.reprioritise(pid, priority, self.now)
        if not unchanged:
            self.model.age(self.now)
            self.model.reprioritise(pid, priority, self.now)

    @rule(by=st.sampled_from([0.125, 0.875, 1.0, 4.0, 29.875, 30.0, 31.5, 100.0]))
    def let_time_pass(self, by: float) -> None:
        """Move the clock."""
        self.now += by

    @rule(pick=picks)
    def look(self, pick: int) -> None:
        """Compare what may be asked without changing anything but age."""
        self.model.age(self.now)
        dues = self.model.dues()
        assert self.queue.next_ageing(self.now) == (dues[0][0] if dues else None)
        yielding = self.model.yielding(self.now)
        assert self.queue.victim(self.now) == (yielding[0] if yielding else None)
        assert [pid for pid in self.model.runs() if self.queue.should_yield(pid, self.now)] == [
            pid for pid in self.model.runs() if pid in yielding
        ]
        order = [place.pid for place in self.model.order(self.now)]
        assert [self.queue.position(pid, self.now) for pid in order] == list(
            range(1, len(order) + 1)
        )
        for pid in self.model.runs():
            assert self.queue.position(pid, self.now) is None

    @precondition(lambda self: self.model.queued() or self.model.runs())
    @rule(pick=picks)
    def refuse(self, pick: int) -> None:
        """Illegal requests change nothing."""
        pid = self.one_of(self.model.queued() | self.model.runs(), pick)
        with pytest.raises(KernelBug):
            self.queue.push(pid, "ann", Priority.NORMAL, self.now)
        with pytest.raises(KernelBug):
            self.queue.take(pid, "ann", Priority.NORMAL, self.now)
        if pid in self.model.queued():
            with pytest.raises(KernelBug):
                self.queue.release(pid, self.now)
        else:
            assert not self.queue.remove(pid)
        assert not self.queue.remove("nobody")

    @invariant()
    def slots_are_accounted_for(self) -> None:
        """No slot is leaked, and nobody has more than one may."""
        if not hasattr(self, "queue"):
            return
        assert self.queue.running == len(self.model.runs())
        assert self.queue.free == self.model.free() >= 0
        assert self.queue.queued == len(self.queue) == len(self.model.queued())
        for user in USERS:
            assert self.queue.running_of(user) == self.model.running_of(user)
            assert self.queue.slots_per_user is None or (
                self.queue.running_of(user) <= self.queue.slots_per_user
            )


def test_the_queue_equals_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every grant, place, victim and timer is the model's, with exact tags."""
    monkeypatch.setattr(fair_share, "SLACK_S", 0.0)
    run_state_machine_as_test(
        Comparison, settings=settings(max_examples=150, stateful_step_count=60, deadline=None)
    )
