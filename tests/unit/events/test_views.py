"""The index of views."""

from events.payloads import LlmDelta, MissionStarted
from events.topics import Filter
from events.views import ViewIndex
from tests.unit.events.fakes import scope_of

STARTED = MissionStarted.TYPE


def test_what_matches_follows_every_change() -> None:
    """Though the latest answer is kept: for the same scope, asked again after each change."""
    index, scope = ViewIndex(), scope_of(mission="m1")
    plain, quiet = Filter("mission:m1"), Filter("mission:m1", deltas=False)
    assert index.matching(STARTED, scope) == []
    view = index.private(frozenset({plain}))
    assert index.matching(STARTED, scope) == [view]
    index.reduce(view, "mission:m1")
    assert index.matching(STARTED, scope) == []
    index.extend(view, quiet)
    assert index.matching(STARTED, scope) == [view]
    assert index.matching(LlmDelta.TYPE, scope) == []
    index.extend(view, plain)
    assert index.matching(LlmDelta.TYPE, scope) == [view]
    index.retire(view)
    assert index.matching(LlmDelta.TYPE, scope) == []


def test_the_answer_for_one_mission_is_not_given_for_another() -> None:
    """What is kept is for one scope."""
    index = ViewIndex()
    view = index.shared(frozenset({Filter("mission:m2")}))
    one, two = scope_of(mission="m1"), scope_of(mission="m2")
    assert index.matching(STARTED, one) == []
    assert index.matching(STARTED, two) == [view]
    assert index.matching(STARTED, one) == []
