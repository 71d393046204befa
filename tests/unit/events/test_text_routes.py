"""Asking for text again that was dropped: soon, and not without end."""

from events.bus_messages import Interest, Reader
from events.outbox import Outbox
from events.text_routes import MISSED_SELDOM_S, TextRoutes


class Rig:
    """The routes of a node, with a clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.outbox = Outbox(1, 0, lambda: 0, lambda: self.routes.number)
        self.routes = TextRoutes(1, self.outbox, lambda: None, lambda: 0, lambda: self.now)
        self.outbox.open()

    def asks(self, dropped: int) -> bool:
        """Tell how much was dropped by now; return whether all text is asked for again."""
        self.routes.missed(dropped)
        said = [each for _, data in self.outbox.take() for each in Reader().read(data).items]
        return any(isinstance(each, Interest) and each.missed for each in said)


def test_dropped_text_is_asked_for_at_once_and_once() -> None:
    """Nothing was dropped since, so all is here."""
    rig = Rig()
    assert not rig.asks(0)
    assert rig.asks(3)
    rig.now += 10.0
    assert not rig.asks(3)
    assert rig.asks(4)


def test_looks_that_follow_closely_ask_once() -> None:
    """A connection that begins to work brings one forward."""
    rig = Rig()
    assert rig.asks(1)
    assert not rig.asks(2)
    rig.now += 1.0
    assert rig.asks(2)


def test_who_drops_the_answers_too_asks_ever_more_seldom() -> None:
    """More text makes no Redis faster; once it is quick, it is asked soon again."""
    rig = Rig()
    asked = []
    for second in range(40):
        if rig.asks(second + 1):
            asked.append(second)
        rig.now += 1.0
    assert asked == [0, 1, 3, 7, 15, 23, 31, 39]
    rig.now += MISSED_SELDOM_S
    assert not rig.asks(40)
    assert rig.asks(41)
    rig.now += 1.0
    assert rig.asks(42)
