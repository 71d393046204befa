"""What a node says in a tick, and that it is understood, whatever comes."""

from random import Random

import msgspec
import pytest

from events.bus_messages import (
    PIECE_BYTES,
    Ask,
    Heard,
    Interest,
    Item,
    Message,
    NotOurs,
    Reader,
    Reply,
    TextSaid,
    UnitSaid,
    sender_of,
)
from events.outbox import LARGEST_BYTES, Outbox
from events.types import Committed, Ephemeral, Scope
from tests.unit.events.fakes import scope_of

M1 = scope_of(mission="m1")
SYSTEM = Scope(None, None)
HEAD = b"\x02" + b"\0" * 8


def durable(offset: int, body: bytes = b"{}", scope: Scope = M1) -> Committed:
    """Make an event."""
    return Committed(offset, "step.started", scope, body)


DELTA = Ephemeral("llm.delta", M1, b"text")


def outbox(
    reached: int = 0, fresh: int = 0, interest: int = 0, most_bytes: int = 8 << 20
) -> Outbox:
    """Return an open outbox of node 7."""
    box = Outbox(7, reached, lambda: fresh, lambda: interest, most_bytes)
    box.open()
    return box


def rounds(box: Outbox) -> list[list[tuple[int | None, bytes]]]:
    """Take all that waits."""
    return [list(letters) for letters in iter(box.take, [])]


def taken(box: Outbox) -> list[bytes]:
    """Take all that waits, which is to all."""
    letters = [letter for letters in rounds(box) for letter in letters]
    assert {to for to, _ in letters} <= {None}
    return [data for _, data in letters]


def test_a_tick_is_one_message_in_order() -> None:
    """What all are told arrives as it was put in, equal to what it was."""
    box = outbox(reached=4, fresh=9, interest=2)
    change = Interest(3, ["mission:m1"], [], whole=False, missed=False, answer=True)
    box.unit([durable(5), durable(6, b"[]", SYSTEM)])
    box.reply(3, "call-1", b"\x00reply")
    box.tell(change)
    box.tell(Ask(4))
    (data,) = taken(box)
    assert sender_of(data) == 7
    said: list[Item] = [
        UnitSaid([durable(5), durable(6, b"[]", SYSTEM)]),
        Reply(3, "call-1", b"\x00reply"),
    ]
    assert Reader().read(data) == Message(1, 4, 9, 2, [*said, change, Ask(4)])


def test_text_goes_before_the_events_of_its_tick() -> None:
    """Each node gets its own in order, and is told which event it follows."""
    box = outbox(reached=4, fresh=9)
    box.text([2, 3], DELTA)
    box.unit([durable(10)])
    box.text([3], DELTA)
    box.heard(3, 8)
    ((to_first, first), (to_second, second), (to_all, events)) = rounds(box)[0]
    assert (to_first, to_second, to_all) == (2, 3, None)
    assert Reader().read(first) == Message(0, 0, 0, 0, [TextSaid(4, 9, DELTA)])
    text: list[Item] = [TextSaid(4, 9, DELTA), TextSaid(10, 10, DELTA), Heard(8, 10)]
    assert Reader().read(second) == Message(0, 0, 0, 0, text)
    assert Reader().read(events).items == [UnitSaid([durable(10)])]
    assert box.size_bytes == 0


def test_a_burst_of_text_leaves_in_pieces_before_the_events() -> None:
    """However much it is, no event overtakes what came before it."""
    box = outbox()
    for _ in range(10):
        box.text([2], Ephemeral("llm.delta", M1, b"x" * (PIECE_BYTES // 3)))
    box.unit([durable(1)])
    (letters,) = rounds(box)
    assert [to for to, _ in letters] == [2, 2, 2, 2, None]


def test_scopes_are_made_once() -> None:
    """A thousand events of a mission share one scope, over messages, too."""
    box, reader = outbox(), Reader(most_scopes=2)
    scopes = set()
    for offset in (1, 2):
        box.unit([durable(offset)])
        item = reader.read(taken(box)[0]).items[0]
        assert isinstance(item, UnitSaid)
        scopes.add(id(item.events[0].scope))
        assert item.events[0].scope == M1
    assert len(scopes) == 1
    for number in range(5):
        box.unit([durable(3 + number, scope=scope_of(mission=f"x{number}"))])
        reader.read(taken(box)[0])
    assert len(reader._scopes) <= 2


def test_a_large_unit_goes_out_in_pieces() -> None:
    """Each says from where it goes on."""
    box = outbox()
    events = [durable(offset, b"x" * 10_000) for offset in range(1, 101)]
    box.unit(events)
    pieces = taken(box)
    assert all(len(data) <= 2 * PIECE_BYTES for data in pieces)
    messages = [Reader().read(data) for data in pieces]
    got: list[Committed] = []
    for message in messages:
        assert message.reached == len(got)
        for item in message.items:
            assert isinstance(item, UnitSaid)
            got += item.events
    assert got == events


@pytest.mark.parametrize("size", [LARGEST_BYTES + 1, 900])
def test_what_has_no_room_is_left_out_and_told_of(size: int) -> None:
    """What follows says that its sender had got further."""
    box = outbox(most_bytes=LARGEST_BYTES * 2 if size > 1_000 else 1_000)
    box.unit([durable(1, b"a" * 300)])
    box.unit([durable(2, b"b" * size)])
    box.text([2], DELTA)
    box.tell(Ask(0))
    text, first, second = (Reader().read(data) for letters in rounds(box) for _, data in letters)
    assert text.items == [TextSaid(2, 2, DELTA)]
    assert (first.reached, second.reached) == (0, 2)
    assert box.dropped == 1
    assert box.size_bytes == 0


def test_nothing_is_kept_that_nobody_carries() -> None:
    """While Redis is gone the outbox is empty; afterwards it says how far its node has got."""
    box = outbox()
    box.unit([durable(1)])
    box.text([3], DELTA)
    box.close()
    box.unit([durable(2)])
    box.text([3], DELTA)
    box.heard(3, 1)
    box.tell(Ask(0))
    box.reply(3, "c", b"r")
    box.beat()
    assert taken(box) == []
    assert box.dropped == 2
    box.open()
    box.beat()
    (data,) = taken(box)
    assert Reader().read(data).reached == 2


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x02",
        HEAD,
        HEAD + b"\xc1",
        HEAD + b"\x91" * 5_000,
        HEAD + msgspec.msgpack.encode([1, 0, 0, 0, [], [], [[1, 0, 0, [[0, 0, b""]]]]]),
        HEAD + msgspec.msgpack.encode([1, 0, 0, 0, ["t"], [], [[1, 0, 0, [[0, -1, b""]]]]]),
        HEAD + msgspec.msgpack.encode([1, 2**63, 0, 0, [], [], []]),
        HEAD + msgspec.msgpack.encode([1, 0, 0, 0, [], [], [[9, 0]]]),
        HEAD + b"\x97\x01\x00\x00\x00\x91\xa1\xff\x90\x90",
        b"\x03" + b"\0" * 40,
    ],
)
def test_what_is_no_message_is_said_to_be_none(data: bytes) -> None:
    """Whatever is wrong with it, it is one error."""
    with pytest.raises(NotOurs):
        Reader().read(data)


def test_a_damaged_message_is_read_or_refused() -> None:
    """Bits that fell over raise nothing else."""
    box, random = outbox(), Random(8)
    box.unit([durable(1), durable(2)])
    box.tell(Interest(1, ["system"], [], whole=True, missed=False, answer=False))
    (data,) = taken(box)
    refused = 0
    for _ in range(2_000):
        damaged = bytearray(data)
        damaged[random.randrange(len(data))] = random.randrange(256)
        try:
            Reader().read(bytes(damaged))
        except NotOurs:
            refused += 1
    assert refused
