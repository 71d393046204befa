"""Topics, globs and conditions."""

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import BadFilter, BadTopic
from events.payloads import EVENT_TYPES
from events.topics import Filter, build_filters, parse_topic, type_matches
from tests.unit.events.fakes import scope_of


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("system", ("system", None)),
        ("session:s_1", ("session", "s_1")),
        ("user:a:b@c", ("user", "a:b@c")),
        ("mission:m_é", ("mission", "m_é")),
    ],
)
def test_a_topic_has_a_kind_and_an_id(text: str, parsed: tuple[str, str | None]) -> None:
    """An id may be almost anything, colons too."""
    assert parse_topic(text) == parsed


@pytest.mark.parametrize(
    "text",
    ["", "session", "session:", "system:x", "System", "team:1", "user:a\nb", f"user:{'x' * 201}"],
)
def test_what_is_no_topic_is_refused(text: str) -> None:
    """So that a misspelt topic is not a silent one."""
    with pytest.raises(BadTopic):
        parse_topic(text)


@given(
    glob=st.text("abc.*_", min_size=1, max_size=8),
    event_type=st.sampled_from([*EVENT_TYPES, "abc", "a.b", "c"]),
)
def test_globs_match_as_the_shell_does(glob: str, event_type: str) -> None:
    """A star is any run of characters, dots too."""
    assert type_matches((glob,), event_type) == fnmatch.fnmatchcase(event_type, glob)


def test_a_filter_of_types_holds_for_deltas_too() -> None:
    """Who asks for missions' events only is not sent tokens."""
    scope = scope_of(mission="m1")
    assert not Filter("system", ("mission.*",)).matches("llm.delta", scope)
    assert Filter("system").matches("llm.delta", scope)
    assert not Filter("system", deltas=False).matches("llm.delta", scope)
    assert Filter("system", deltas=False).matches("mission.started", scope)


def test_conditions_narrow_the_system_topic() -> None:
    """All of them must hold; an event without the field does not match."""
    (one,) = build_filters(["system"], where={"agent": "demo", "user_id": "u1"})
    assert one.matches("mission.started", scope_of(user="u1", agent="demo"))
    assert not one.matches("mission.started", scope_of(user="u2", agent="demo"))
    assert not one.matches("session.created", scope_of(user="u1"))


def test_a_mission_topic_includes_descendants() -> None:
    """A child's events are about its parent, too."""
    child = scope_of(mission="m2", parent="m1")
    assert Filter("mission:m1").matches("step.started", child)
    assert Filter("mission:m2").matches("step.started", child)
    assert not Filter("mission:m3").matches("step.started", child)


def test_equal_calls_make_equal_filters() -> None:
    """The order of topics' types and conditions does not make another view."""
    first = build_filters(["system"], ["b.*", "a.*"], where={"agent": "x", "user_id": "y"})
    second = build_filters(["system"], ["a.*", "b.*"], where={"user_id": "y", "agent": "x"})
    assert set(first) == set(second)
    assert build_filters(["system"], ["*", "a.b"]) == build_filters(["system"])


def test_a_topic_named_twice_is_one() -> None:
    """A doubled topic is the same subscription."""
    assert build_filters(["system", "user:a", "system"]) == build_filters(["system", "user:a"])


@pytest.mark.parametrize(
    "types", [[], ["Mission.*"], ["a" * 65], ["*a*b*c*d*"], ["x y"], [f"t{n}" for n in range(51)]]
)
def test_globs_that_make_no_sense_are_refused(types: list[str]) -> None:
    """Also those with so many stars that matching would be slow."""
    with pytest.raises(BadFilter) as refused:
        build_filters(["system"], types)
    assert refused.value.field == "types"


@pytest.mark.parametrize(
    ("topics", "where"),
    [
        (["session:s"], {"agent": "x"}),
        (["system", "user:a"], {"agent": "x"}),
        (["system"], {"a": "b"}),
    ],
)
def test_conditions_belong_to_system_only(topics: list[str], where: dict[str, str]) -> None:
    """Elsewhere, and with unknown names, they are refused."""
    with pytest.raises(BadFilter) as refused:
        build_filters(topics, where=where)
    assert refused.value.field == "where"


def test_a_call_names_a_topic() -> None:
    """None at all is a mistake."""
    with pytest.raises(BadTopic):
        build_filters([])
