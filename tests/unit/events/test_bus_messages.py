"""What a node says in a tick, and that it is understood, whatever comes."""

from random import Random

import msgspec
import pytest

from events.bus_messages import PIECE_BYTES, NotOurs, Reader, Reply, UnitSaid, sender_of
from events.outbox import LARGEST_BYTES, Outbox
from events.types import Committed, Ephemeral, Scope
from tests.unit.events.fakes import scope_of

M1 = scope_of(mission="m1")
SYSTEM = Scope(None, None)


def durable(offset: int, body: bytes = b"{}", scope: Scope = M1) -> Committed:
    """Make an event."""
    return Committed(offset, "step.started", scope, body)


def outbox(reached: int = 0, fresh: int = 0, most_bytes: int = 8 << 20) -> Outbox:
    """Return an open outbox of node 7."""
    box = Outbox(7, reached, lambda: fresh, most_bytes)
    box.open()
    return box


def taken(box: Outbox) -> list[bytes]:
    """Take all that waits."""
    messages = []
    while (message := box.take()) is not None:
        messages.append(message)
    return messages


def test_a_tick_is_one_message_in_order() -> None:
    """Units, deltas and replies arrive as they were put in, equal to what they were."""
    box = outbox(reached=4, fresh=9)
    delta = Ephemeral("llm.delta", M1, b"text")
    box.unit([durable(5), durable(6, b"[]", SYSTEM)], [delta])
    box.reply(3, "call-1", b"\x00reply")
    box.unit((), [delta])
    (data,) = taken(box)
    assert sender_of(data) == 7
    message = Reader().read(data)
    assert (message.number, message.reached, message.fresh) == (1, 4, 9)
    assert list(message.items) == [
        UnitSaid([durable(5), durable(6, b"[]", SYSTEM)], [delta]),
        Reply(3, "call-1", b"\x00reply"),
        UnitSaid((), (delta,)),
    ]


def test_scopes_are_made_once() -> None:
    """A thousand events of a mission share one scope, over messages, too."""
    box, reader = outbox(), Reader(most_scopes=2)
    scopes = set()
    for offset in (1, 2):
        box.unit([durable(offset)], ())
        item = reader.read(taken(box)[0]).items[0]
        assert isinstance(item, UnitSaid)
        scopes.add(id(item.events[0].scope))
        assert item.events[0].scope == M1
    assert len(scopes) == 1
    for number in range(5):
        box.unit([durable(3 + number, scope=scope_of(mission=f"x{number}"))], ())
        reader.read(taken(box)[0])
    assert len(reader._scopes) <= 2


def test_a_large_unit_goes_out_in_pieces() -> None:
    """Each says from where it goes on; the ephemeral ones are behind the last."""
    box = outbox()
    events = [durable(offset, b"x" * 10_000) for offset in range(1, 101)]
    box.unit(events, [Ephemeral("llm.delta", M1, b"text")])
    messages = [Reader().read(data) for data in taken(box)]
    assert len(messages) >= len(events) * 10_000 // PIECE_BYTES
    got: list[Committed] = []
    for message in messages:
        assert message.reached == len(got)
        for item in message.items:
            assert isinstance(item, UnitSaid)
            got += item.events
    assert got == events
    last = messages[-1].items[-1]
    assert isinstance(last, UnitSaid)
    assert len(last.after) == 1


@pytest.mark.parametrize("size", [LARGEST_BYTES + 1, 900])
def test_what_has_no_room_is_left_out_and_told_of(size: int) -> None:
    """What follows says that its sender had got further."""
    box = outbox(most_bytes=LARGEST_BYTES * 2 if size > 1_000 else 1_000)
    box.unit([durable(1, b"a" * 300)], ())
    box.unit([durable(2, b"b" * size)], ())
    box.unit((), [Ephemeral("llm.delta", M1, b"text")])
    first, second = (Reader().read(data) for data in taken(box))
    assert (first.reached, second.reached) == (0, 2)
    assert box.dropped == 1
    assert box.size_bytes == 0


def test_nothing_is_kept_that_nobody_carries() -> None:
    """While Redis is gone the outbox is empty; afterwards it says how far its node has got."""
    box = outbox()
    box.unit([durable(1)], ())
    box.close()
    box.unit([durable(2)], ())
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
        b"\x01",
        b"\x01" + b"\0" * 8,
        b"\x01" + b"\0" * 8 + b"\xc1",
        b"\x01" + b"\0" * 8 + b"\x91" * 5_000,
        b"\x01" + b"\0" * 8 + msgspec.msgpack.encode([1, 0, 0, [], [], [[1, [0, 0, b""]]]]),
        b"\x01" + b"\0" * 8 + msgspec.msgpack.encode([1, 0, 0, ["t"], [], [[1, [0, -1, b""]]]]),
        b"\x01" + b"\0" * 8 + msgspec.msgpack.encode([1, 2**63, 0, [], [], []]),
        b"\x01" + b"\0" * 8 + b"\x96\x01\x00\x00\x91\xa1\xff\x90\x90",
        b"\x02" + b"\0" * 40,
    ],
)
def test_what_is_no_message_is_said_to_be_none(data: bytes) -> None:
    """Whatever is wrong with it, it is one error."""
    with pytest.raises(NotOurs):
        Reader().read(data)


def test_a_damaged_message_is_read_or_refused() -> None:
    """Bits that fell over raise nothing else."""
    box, random = outbox(), Random(8)
    box.unit([durable(1), durable(2)], [Ephemeral("llm.delta", M1, b"text")])
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
