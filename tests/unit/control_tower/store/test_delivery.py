"""From commits to the loop: in order, in slices, whatever the completions do."""

from collections.abc import Callable, Sequence

from control_tower.store.delivery import Delivery
from control_tower.unit import Commit, Guard, GuardFailed, Unit
from events.payloads import LlmDelta
from events.types import Committed, Ephemeral, Scope, ephemeral
from tests.contract.store.kit import joined

NOWHERE = Scope(None, None)


class Turns:
    """A loop whose turns the test takes."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def call_soon(self, call: Callable[[], None]) -> None:
        """Run it in the next turn."""
        self.calls.append(call)

    def turn(self) -> None:
        """Take a turn."""
        calls, self.calls = self.calls, []
        for call in calls:
            call()


class Said:
    """Notes what is published; raises when told to."""

    def __init__(self) -> None:
        self.words: list[object] = []
        self.fails = False

    def publish(self, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
        """``events.log.Publish``."""
        self.words += [event.offset for event in events]
        self.words += [event.type for event in after]
        if self.fails:
            raise RuntimeError("a bug of the hub")


def committed(offset: int) -> Commit:
    """Return the commit of one event."""
    draft = joined()
    return Commit((Committed(offset, draft.type, NOWHERE, draft.body(offset)),))


def delivery(said: Said, turns: Turns, slice_s: float = 10.0) -> tuple[Delivery, list[Guard]]:
    """Return a delivery and the guards it forgave."""
    forgiven: list[Guard] = []
    return Delivery(said, forgiven.append, turns.call_soon, 0, slice_s), forgiven


def test_a_long_group_is_cut_and_goes_on_in_order() -> None:
    """With no time at all each turn delivers one; what comes later waits behind."""
    said, turns = Said(), Turns()
    cut, _ = delivery(said, turns, slice_s=0.0)
    cut.deliver([Unit(), Unit(), Unit()], [committed(1), committed(2), committed(3)])
    assert (said.words, cut.head) == ([1], 1)
    cut.deliver([Unit()], [committed(4)])
    assert said.words == [1]
    turns.turn()
    assert said.words == [1, 2]
    turns.turn()
    turns.turn()
    assert (said.words, cut.head) == ([1, 2, 3, 4], 4)
    turns.turn()
    cut.deliver([Unit()], [committed(5)])
    assert said.words == [1, 2, 3, 4, 5]


def test_finish_leaves_nothing() -> None:
    """At the end of the store there is no later turn to wait for."""
    said, turns = Said(), Turns()
    cut, _ = delivery(said, turns, slice_s=0.0)
    cut.deliver([Unit(), Unit(), Unit()], [committed(1), committed(2), committed(3)])
    cut.finish()
    assert said.words == [1, 2, 3]
    turns.turn()
    assert said.words == [1, 2, 3]


def test_a_completion_that_delivers_more_does_not_jump_the_queue() -> None:
    """A unit's events come before anything its completion causes."""
    said, turns = Said(), Turns()
    whole, _ = delivery(said, turns)
    first = Unit(committed=lambda _: whole.deliver([Unit()], [committed(2)]))
    whole.deliver([first], [committed(1)])
    assert said.words == [1, 2]


def test_a_hub_that_raises_stops_no_unit() -> None:
    """Each following unit is completed and published."""
    said, turns = Said(), Turns()
    said.fails = True
    whole, _ = delivery(said, turns)
    whole.deliver([Unit(), Unit()], [committed(1), committed(2)])
    assert (said.words, whole.head) == ([1, 2], 2)


def test_ephemerals_of_a_unit_without_events_are_published() -> None:
    """They have no offset and move no head."""
    said, turns = Said(), Turns()
    whole, _ = delivery(said, turns)
    delta = ephemeral(LlmDelta(step=None, attempt=1, at=0, text="x"), NOWHERE, 1.0)
    whole.deliver([Unit(after=[delta])], [Commit(())])
    assert (said.words, whole.head) == (["llm.delta"], 0)


def test_a_refused_unit_publishes_nothing_and_is_forgiven_when_heard() -> None:
    """Only then may its mission go on; its ephemerals fall with it."""
    said, turns = Said(), Turns()
    whole, forgiven = delivery(said, turns)
    delta = ephemeral(LlmDelta(step=None, attempt=1, at=0, text="x"), NOWHERE, 1.0)
    guard = Guard("m_1", 1, 7)
    heard: list[object] = []

    def refused(reason: object) -> None:
        heard.append((reason, list(forgiven)))

    reason = GuardFailed("stale")
    whole.deliver([Unit([joined()], guard=guard, after=[delta], refused=refused)], [reason])
    assert heard == [(reason, [])]
    assert forgiven == [guard]
    assert said.words == []
