"""The breaker: as its table says, and as a plain model has it."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agents.breaker import (
    FAILURES,
    OPEN_S,
    RECHECK_S,
    TRANSITIONS,
    WINDOW_S,
    Breaker,
    BreakerState,
)


def opened(now: float = 0.0) -> Breaker:
    """Return a breaker that has just opened."""
    breaker = Breaker()
    for _ in range(FAILURES):
        breaker.failed(now, trial=False)
    return breaker


def test_the_table_names_every_state() -> None:
    """No state is without its arrows."""
    assert set(TRANSITIONS) == set(BreakerState)
    assert all(targets <= set(BreakerState) for targets in TRANSITIONS.values())


def test_five_failures_within_five_minutes_open_it() -> None:
    """The fifth says that it changed; until 30 s later nothing is let through."""
    breaker = Breaker()
    changes = [breaker.failed(float(at), trial=False) for at in range(FAILURES)]
    assert changes == [False, False, False, False, True]
    assert breaker.state is BreakerState.OPEN
    assert breaker.blocked_until(4.0) == 4.0 + OPEN_S
    assert breaker.blocked_until(4.0 + OPEN_S) is None
    with pytest.raises(ValueError, match="open"):
        breaker.admit(10.0)


def test_old_failures_do_not_count() -> None:
    """Five failures spread over more than five minutes leave it closed."""
    breaker = Breaker()
    for at in range(FAILURES):
        breaker.failed(at * WINDOW_S / (FAILURES - 1), trial=False)
    assert breaker.state is BreakerState.CLOSED


def test_one_trial_decides() -> None:
    """While it runs others wait; its success closes the breaker, its failure opens it anew."""
    breaker = opened()
    assert breaker.admit(OPEN_S) is True
    assert str(breaker.state) == "half_open"
    assert breaker.blocked_until(OPEN_S) == OPEN_S + RECHECK_S
    assert breaker.failed(OPEN_S + 1, trial=True) is True
    assert breaker.blocked_until(OPEN_S + 1) == OPEN_S + 1 + OPEN_S
    breaker.admit(2 * OPEN_S + 1)
    assert breaker.succeeded(trial=True) is True
    assert str(breaker.state) == "closed"
    assert breaker.retry_at is None
    assert breaker.failures(2 * OPEN_S + 1) == 0


def test_an_abandoned_trial_makes_room_for_another() -> None:
    """A cancelled mission's trial does not block the tool for ever."""
    breaker = opened()
    breaker.admit(OPEN_S)
    breaker.abandoned(trial=True)
    assert breaker.blocked_until(OPEN_S) is None
    assert breaker.admit(OPEN_S) is True


def test_late_ends_of_earlier_calls_do_not_count() -> None:
    """A call that began before it opened neither closes nor prolongs it."""
    breaker = opened()
    assert breaker.succeeded(trial=False) is False
    assert breaker.failed(OPEN_S - 1, trial=False) is False
    assert breaker.retry_at == OPEN_S


def test_an_operator_closes_it() -> None:
    """Reset forgets the failures, and says whether it changed anything."""
    breaker = opened()
    assert breaker.reset() is True
    assert breaker.reset() is False
    assert breaker.failures(0.0) == 0
    assert breaker.admit(0.0) is False


class BreakerAgainstModel(RuleBasedStateMachine):
    """Random calls against a model that keeps the whole history."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.breaker = Breaker()
        self.failed_at: list[float] = []
        self.open_until: float | None = None
        self.trial = False

    @rule(seconds=st.floats(0, 400))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @precondition(lambda self: self.open_until is None)
    @rule()
    def fail_closed(self) -> None:
        """A call fails while it is closed."""
        assert self.breaker.blocked_until(self.now) is None
        self.breaker.failed(self.now, self.breaker.admit(self.now))
        self.failed_at.append(self.now)
        recent = [at for at in self.failed_at if at > self.now - WINDOW_S]
        if len(recent) >= FAILURES:
            self.open_until = self.now + OPEN_S

    @precondition(lambda self: self.open_until is None)
    @rule()
    def succeed_closed(self) -> None:
        """A call works while it is closed."""
        assert self.breaker.succeeded(self.breaker.admit(self.now)) is False

    @precondition(lambda self: self.open_until is not None and not self.trial)
    @rule()
    def try_it(self) -> None:
        """A trial begins as soon as its time has come, and not before."""
        assert self.open_until is not None
        if self.now < self.open_until:
            assert self.breaker.blocked_until(self.now) == self.open_until
        else:
            assert self.breaker.admit(self.now) is True
            self.trial = True

    @precondition(lambda self: self.trial)
    @rule(works=st.booleans())
    def end_trial(self, works: bool) -> None:
        """The trial decides."""
        self.trial = False
        if works:
            assert self.breaker.succeeded(trial=True)
            self.failed_at, self.open_until = [], None
        else:
            assert self.breaker.failed(self.now, trial=True)
            self.failed_at, self.open_until = [], self.now + OPEN_S

    @rule()
    def reset(self) -> None:
        """An operator closes it."""
        assert self.breaker.reset() is (self.open_until is not None)
        self.failed_at, self.open_until, self.trial = [], None, False

    @invariant()
    def states_agree(self) -> None:
        """The state is what the history says."""
        if self.open_until is None:
            assert self.breaker.state is BreakerState.CLOSED
        elif self.trial:
            assert self.breaker.state is BreakerState.HALF_OPEN
        else:
            assert self.breaker.state is BreakerState.OPEN


TestBreakerAgainstModel = BreakerAgainstModel.TestCase
