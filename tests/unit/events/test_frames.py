"""Frames against another implementation of RFC 6455."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import Protocol, Side

from events.frames import PING, close_frame, payloads, text_frame

SIZES = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000]


def _received(frames: bytes) -> list[Frame]:
    client = Protocol(Side.CLIENT, max_size=None)
    client.receive_data(frames)
    assert client.parser_exc is None
    return [frame for frame in client.events_received() if isinstance(frame, Frame)]


@pytest.mark.parametrize("size", SIZES)
def test_a_client_understands_frames_of_every_size(size: int) -> None:
    """Each of the three forms of a length, and their borders."""
    (frame,) = _received(text_frame(b"x" * size))
    assert (frame.opcode, frame.fin, len(frame.data)) == (Opcode.TEXT, True, size)


@given(st.lists(st.one_of(st.binary(max_size=300), st.just(b"y" * 70_000)), max_size=6))
def test_joined_frames_come_apart_again(bodies: list[bytes]) -> None:
    """For transports that want messages; pings between them are told apart."""
    joined = PING.join(text_frame(body) for body in bodies)
    assert [body for is_text, body in payloads(joined) if is_text] == bodies
    assert sum(not is_text for is_text, _ in payloads(joined)) == max(0, len(bodies) - 1)


def test_a_close_carries_code_and_reason() -> None:
    """As the client sees it."""
    (frame,) = _received(close_frame(4413, "reading too slowly"))
    assert Close.parse(bytes(frame.data)) == Close(4413, "reading too slowly")


def test_a_long_reason_is_cut_at_a_character() -> None:
    """A control frame has 125 bytes, and half a character would be a protocol error."""
    (frame,) = _received(close_frame(1012, "é" * 100))
    reason = Close.parse(bytes(frame.data)).reason
    assert reason == "é" * 61
