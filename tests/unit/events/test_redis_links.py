"""The connections to Redis: what is asked of them, and how their loss is spread."""

from random import Random

import pytest

from events.redis_links import Pauses, connections


@pytest.mark.parametrize(
    "url", ["redis://:hunter22/x@cache/0", "redis://:hunter22@cache:x", "http://:hunter22@cache"]
)
def test_a_url_that_is_none_is_not_quoted(url: str) -> None:
    """What is wrong with it may be its password."""
    with pytest.raises(ValueError, match="not the URL") as refused:
        connections(url)
    assert "hunter" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_nothing_is_tried_again_unseen() -> None:
    """A PUBLISH that redis-py repeats would be a message twice."""
    connection = connections("redis://cache").make_connection()  # type: ignore[no-untyped-call]
    assert connection.retry.get_retries() == 0


def test_pauses_grow_to_a_bound_and_differ() -> None:
    """So that a thousand nodes do not come back at one moment; and they begin short again."""
    pauses = Pauses(Random(1))
    waited = [pauses.next() for _ in range(12)]
    assert waited[0] <= 0.05
    assert 1.0 <= waited[-1] <= 2.0
    assert len(set(waited)) == 12
    pauses.forget()
    assert pauses.next() <= 0.05
