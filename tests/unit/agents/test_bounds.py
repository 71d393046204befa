"""What may enter as JSON, and what tools' outputs become."""

import math
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.bounds import (
    MAX_DEPTH,
    OutOfBounds,
    check_inside,
    clean_text,
    encoded,
    jsonable,
    storable,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"a": "x\0y"}, "a: contains NUL"),
        ({"a\0": 1}, "contains NUL"),
        ({"a": ["\ud800"]}, r"a\[0\]: contains half of a surrogate pair"),
        ({"a": math.nan}, "a: not a finite number"),
        ({"a": {"b": 2**63}}, "a.b: an integer beyond 64 bits"),
        ({1: 2}, "not text"),
        ({"a": object()}, "a: not JSON"),
    ],
)
def test_what_cannot_be_kept_is_refused(value: object, said: str) -> None:
    """The message names the place."""
    with pytest.raises(OutOfBounds, match=said):
        check_inside(value)


def test_depth_is_bounded() -> None:
    """A nest of lists is refused one level beyond the bound."""
    nest: Any = 1
    for _ in range(MAX_DEPTH):
        nest = [nest]
    check_inside(nest)
    with pytest.raises(OutOfBounds, match="nested deeper"):
        check_inside([nest])


def test_size_is_bounded() -> None:
    """The bound is on the bytes of the JSON text."""
    assert encoded("é", 4) == '"é"'.encode()
    with pytest.raises(OutOfBounds, match="longer than"):
        encoded("é", 3)


@pytest.mark.parametrize("value", [object(), {"a": {object()}}, b"\xff"])
def test_what_has_no_json_is_refused(value: object) -> None:
    """Also where a cyclic value would never end."""
    with pytest.raises(OutOfBounds):
        storable(value)


def test_a_cycle_is_refused() -> None:
    """A list that holds itself has no JSON."""
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(OutOfBounds):
        jsonable(cycle)


def test_outputs_are_spelled_as_the_journal_will_have_them() -> None:
    """Dates, tuples, NaN, NUL and huge integers become what can be stored."""
    output = storable(
        {"at": datetime(2026, 1, 2, tzinfo=UTC), "t": (1, math.nan), "n": "a\0b\ud800", "i": 2**80}
    )
    assert output == {
        "at": "2026-01-02T00:00:00Z",
        "t": [1, None],
        "n": "a\ufffdb\ufffd",
        "i": str(2**80),
    }


@given(JSON)
def test_a_stored_output_reads_back_the_same(value: Any) -> None:
    """What a first run sees is what a replay sees."""
    kept = storable(value)
    assert msgspec.json.decode(msgspec.json.encode(kept)) == kept
    check_inside(kept)


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_clean_text_can_be_encoded(text: str) -> None:
    """Cleaning leaves good text alone and makes any text good."""
    cleaned = clean_text(text)
    assert "\0" not in cleaned
    assert len(cleaned) == len(text)
    assert cleaned.encode().decode() == cleaned
