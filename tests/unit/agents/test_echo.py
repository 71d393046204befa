"""The echo agent: its mission's words back, or as many pieces as it is told."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.builtin.echo import MAX_TOKENS, _pieces, echo

MakeContext = Callable[..., Any]


async def test_words_are_streamed(make_ctx: MakeContext) -> None:
    """One delta a word; together they are the mission."""
    ctx = make_ctx("hello  big world\n")
    assert await echo(ctx) == "hello  big world\n"
    assert ctx.deltas == ["hello  ", "big ", "world\n"]


@pytest.mark.parametrize("tokens", [0, 1, 7, 200])
@pytest.mark.parametrize("mission", ["a b", "   "])
async def test_as_many_deltas_as_asked_for(
    make_ctx: MakeContext, mission: str, tokens: int
) -> None:
    """Exactly N, whatever the mission."""
    ctx = make_ctx(mission, inputs={"tokens": tokens})
    text = await echo(ctx)
    assert len(ctx.deltas) == tokens
    assert "".join(ctx.deltas) == text


@pytest.mark.parametrize("tokens", [-1, MAX_TOKENS + 1, 1.5, "7", True])
async def test_a_bad_number_fails(make_ctx: MakeContext, tokens: Any) -> None:
    """With a message that says what is wrong."""
    with pytest.raises(ValueError, match=r"inputs\.tokens"):
        await echo(make_ctx("x", inputs={"tokens": tokens}))


@given(st.text())
def test_pieces_are_the_whole_text(mission: str) -> None:
    """Nothing is lost between them."""
    assert "".join(_pieces(mission, None)) == mission
