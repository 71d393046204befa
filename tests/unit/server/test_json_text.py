"""JSON from outside: NUL refused, half emojis mended, depth and integers bounded."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_tower.errors import InvalidParams
from server.json_text import MAX_DEPTH, check_free, clean, mend


@pytest.mark.parametrize("text", [rb'"\u0000"', rb'"a\\\u0000b"', rb'{"\u0000": 1}'])
def test_nul_is_refused(text: bytes) -> None:
    """PostgreSQL can't store it, so no store may have it."""
    with pytest.raises(InvalidParams):
        clean(text)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (rb'{"a": "b", "mission": "a\u0000b"}', "mission"),
        (rb'{"a": "\\u0000", "inputs": {"deep": ["\u0000"]}}', "inputs"),
        (rb'{"\u0000": "\u0000"}', None),
        (rb'["\u0000"]', None),
        (rb'{"mission": "\u0000"', None),
    ],
)
def test_a_refused_nul_is_named_by_its_field(text: bytes, field: str | None) -> None:
    """Of the outermost object, as far as the text is one."""
    with pytest.raises(InvalidParams) as refusal:
        clean(text)
    assert refusal.value.details.get("field") == field


def test_an_escaped_backslash_is_no_escape() -> None:
    r"""`\\u0000` in JSON is a backslash and five letters."""
    assert clean(rb'"\\u0000 \\ud800"') == rb'"\\u0000 \\ud800"'


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        (rb'"\ud800"', "�"),
        (rb'"a\udc00b"', "a�b"),
        (rb'"\ud83d\ude00"', "😀"),
        (rb'"\ud83d\ud83d\ude00"', "�😀"),
        (rb'"\uD800\u0041"', "�A"),
    ],
)
def test_half_an_emoji_is_mended(sent: bytes, meant: str) -> None:
    """A browser sends it when a text was cut; the whole message must not be lost for that."""
    assert msgspec.json.decode(clean(sent)) == meant
    assert msgspec.json.decode(mend(sent.decode())) == meant


@given(st.text())
def test_any_text_without_nul_passes_as_it_is(text: str) -> None:
    """Escaped or not."""
    text = text.replace("\0", "")
    for ascii_only in (True, False):
        sent = json.dumps(text, ensure_ascii=ascii_only).encode(errors="surrogatepass")
        assert msgspec.json.decode(clean(sent)) == text


def nested(depth: int) -> object:
    """Lists in lists."""
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


def test_depth_is_bounded() -> None:
    """Far below where a recursive encoder gives up."""
    check_free(nested(MAX_DEPTH - 1), "inputs")
    with pytest.raises(InvalidParams, match="levels deep"):
        check_free(nested(MAX_DEPTH + 1), "inputs")


@pytest.mark.parametrize("value", [10**30, {"a": [-(10**30)]}, [2**63]])
def test_integers_are_bounded(value: object) -> None:
    """What a database column or a browser can't hold is refused at the door."""
    with pytest.raises(InvalidParams, match="64 bits"):
        check_free(value, "inputs")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_ordinary_values_pass(value: object) -> None:
    """Nothing else is looked at."""
    check_free(value, "inputs")
