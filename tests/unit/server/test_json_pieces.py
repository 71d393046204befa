"""A large JSON object read piece by piece is what it is when read at once."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_tower.errors import InvalidParams
from server.errors import ParseError
from server.json_pieces import Pieces

TEXTS = st.text(alphabet=st.sampled_from('ab"\\[]{},: \n💩é'), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=3)


def cut(text: bytes, size: int, most: int = 10_000) -> tuple[list[bytes], bytes]:
    """Feed a text in chunks."""
    pieces = Pieces("items", most, most)
    found: list[bytes] = []
    for at in range(0, len(text), size):
        found += pieces.feed(text[at : at + size])
    return found, pieces.rest()


@given(
    around=st.tuples(OBJECTS, OBJECTS),
    items=st.lists(OBJECTS, max_size=5),
    indent=st.sampled_from([None, 1]),
    ascii_only=st.booleans(),
    size=st.integers(1, 40),
)
def test_the_parts_make_the_whole(
    around: tuple[dict[str, Any], dict[str, Any]],
    items: list[dict[str, Any]],
    indent: int | None,
    ascii_only: bool,
    size: int,
) -> None:
    """Whatever stands in it, wherever it is cut."""
    whole = {"before": around[0], "items": items, "after": around[1]}
    text = json.dumps(whole, indent=indent, ensure_ascii=ascii_only).encode()
    found, rest = cut(text, size)
    assert [json.loads(each) for each in found] == items
    assert json.loads(rest) == whole | {"items": []}


@pytest.mark.parametrize(
    "text",
    [
        b'{"items": [{} {}]}',
        b'{"items": [{},]}',
        b'{"items": [,{}]}',
        b'{"items": [{},,{}]}',
        b'{"items": [1, {}]}',
        b'{"items": ["x", {}]}',
        b'{"items": [{}, 1]}',
        b"[" * 100,
    ],
)
@pytest.mark.parametrize("size", [1, 100])
def test_what_is_no_list_of_objects_is_refused(text: bytes, size: int) -> None:
    """Where no decoder would see it any more."""
    with pytest.raises(ParseError):
        cut(text, size)


def _is_broken(part: bytes) -> bool:
    try:
        json.loads(part)
    except json.JSONDecodeError:
        return True
    return False


@pytest.mark.parametrize(
    "text",
    [b'{"items": [{"a": 1]}', b'{"items": [{}}', b'{"items": [{}', b'{"a": "x', b'{"a": "\\', b"}"],
)
def test_what_is_no_json_is_left_to_the_decoder(text: bytes) -> None:
    """Some part of it does not decode."""
    found, rest = cut(text, 3)
    assert any(_is_broken(part) for part in (*found, rest))


@pytest.mark.parametrize(
    "text", [b'{"items": [{"a": "%b"}]}', b'{"a": "%b", "items": []}', b'{"items": [%b]}']
)
def test_every_part_is_bounded(text: bytes) -> None:
    """An element, the space between elements, and all the rest."""
    filler = b" " * 200
    with pytest.raises(InvalidParams):
        cut(text % filler, 64, most=100)
