"""Letters in pieces, and the outbox: bounds, order, and what is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_tower.store import outbox
from control_tower.store.letters import (
    LETTER_BYTES,
    PIECE_BYTES,
    UNFINISHED_S,
    Assembly,
    LetterTooLong,
    pieces,
)
from control_tower.store.outbox import Outbox


def given_to(assembly: Assembly, *texts: str) -> list[tuple[int, bytes]]:
    """Return the letters that pieces complete."""
    return [letter for text in texts if (letter := assembly.take(text, 0)) is not None]


@given(st.integers(0, 3 * PIECE_BYTES), st.binary(min_size=1, max_size=64))
def test_letter_comes_out_as_it_went_in(size: int, pattern: bytes) -> None:
    """Of any length and any bytes, in notifications that PostgreSQL takes."""
    letter = (pattern * (size // len(pattern) + 1))[:size]
    cut = list(pieces(2**53, 2**53, letter))
    assert all(0 < len(piece) < 8000 and piece.isascii() for piece in cut)
    assembly = Assembly()
    assert given_to(assembly, *cut) == [(2**53, letter)]
    assert len(assembly) == 0


def test_senders_do_not_disturb_each_other() -> None:
    """Pieces of different senders come mixed."""
    one, two = (list(pieces(sender, 1, bytes([sender]) * 20_000)) for sender in (1, 2))
    mixed = [piece for pair in zip(one, two, strict=True) for piece in pair]
    assert given_to(Assembly(), *mixed) == [(1, b"\1" * 20_000), (2, b"\2" * 20_000)]


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_letter_with_a_hole_is_dropped(missing: int) -> None:
    """Whichever piece is lost; the next letter arrives."""
    torn = list(pieces(1, 1, b"a" * 3 * PIECE_BYTES))
    del torn[missing]
    whole = list(pieces(1, 2, b"b" * 2 * PIECE_BYTES))
    assembly = Assembly()
    assert given_to(assembly, *torn, *whole) == [(1, b"b" * 2 * PIECE_BYTES)]
    assert len(assembly) == 0


def test_beginning_of_a_letter_is_dropped_after_a_while() -> None:
    """A sender that died in the middle leaves nothing behind."""
    assembly = Assembly()
    first, second = pieces(1, 1, b"a" * 2 * PIECE_BYTES)
    assembly.take(first, 100)
    assembly.forget_old(100 + UNFINISHED_S - 1)
    assert len(assembly) == 1
    assembly.forget_old(100 + UNFINISHED_S)
    assert len(assembly) == 0
    assert assembly.take(second, 200) is None


@pytest.mark.parametrize(
    "text",
    ["", "hello", "1.1.0.1", "1.1.0.1.???", "a.1.0.1.", "1.1.1.1.", "1.1.0.99999.", "1.1.-1.2."],
)
def test_what_is_no_piece_is_refused(text: str) -> None:
    """Anybody who may use the database may notify."""
    with pytest.raises(ValueError, match=r"."):
        Assembly().take(text, 0)


def test_letter_that_is_too_long_is_not_sent() -> None:
    """Who sends it is told; what was put before and after it goes."""
    box = Outbox(1)
    box.put(2, b"before")
    with pytest.raises(LetterTooLong):
        box.put(2, b"x" * (LETTER_BYTES + 1))
    box.put(None, b"after")
    assert [to for to, _ in box.batch()] == [2, None]
    assert box.batch() == []


def test_outbox_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is lost; there is room again for what was taken."""
    monkeypatch.setattr(outbox, "WAITING_BYTES", 10)
    box = Outbox(1)
    for letter in (b"12345", b"67890", b"lost"):
        box.put(2, letter)
    assert given_to(Assembly(), *(text for _, text in box.batch())) == [
        (1, b"12345"),
        (1, b"67890"),
    ]
    box.put(2, b"12345")
    assert len(box.batch()) == 1


def test_old_letters_are_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waited too long for the database is lost, and takes no room."""
    now = 1000.0
    monkeypatch.setattr(outbox, "monotonic", lambda: now)
    monkeypatch.setattr(outbox, "WAITING_BYTES", 5)
    box = Outbox(1)
    box.put(2, b"old")
    now += outbox.LIFE_S + 1
    assert box.batch() == []
    box.put(2, b"young")
    assert len(box.batch()) == 1


def test_long_letter_goes_in_several_batches() -> None:
    """No transaction is larger than its bound, and order is kept."""
    box = Outbox(1)
    box.put(2, b"x" * (3 << 20))
    box.put(2, b"y")
    batches = []
    while batch := box.batch():
        batches.append(batch)
    assert len(batches) > 2
    letters = given_to(Assembly(), *(text for batch in batches for _, text in batch))
    assert [len(letter) for _, letter in letters] == [3 << 20, 1]


def test_rest_of_a_letter_is_dropped_with_its_beginning() -> None:
    """After a part of it was lost nothing more of it is sent."""
    box = Outbox(1)
    box.put(2, b"x" * (3 << 20))
    box.put(2, b"y")
    box.batch()
    box.drop_rest()
    assert given_to(Assembly(), *(text for _, text in box.batch())) == [(1, b"y")]
