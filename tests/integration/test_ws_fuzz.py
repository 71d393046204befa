"""Nonsense over a real socket to a real server: every method, every field, and bytes at random."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import connect

from server.reference.asyncapi import METHODS
from server.wire.close_codes import POLICIES
from tests.faults.herd import HEAD
from tests.integration.tower_process import TowerProcess, Wire, wire
from tests.integration.ws_rig import frame
from tests.unit.server.test_rpc_params import METHODS as TABLE

pytestmark = pytest.mark.slow

DEEP: Any = 1
for _ in range(70):
    DEEP = [DEEP]

NASTY: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 2**63 - 1, 2**63, 10**30, 1e308, "", "x", "0", " ", "\ud800", "a\0b",
    "é" * 300, "😀" * 5_000, "../../etc/passwd", "'; DROP TABLE events; --", "%s%n", "*",
    "system", "mission:", "9999-99-99T99:99:99Z", "-1", [], [None], {}, ["system"], {"": ""},
    {"a": DEEP}, {"a": 10**30}, {"max_llm_calls": 10**18}, {"max_cost_usd": 1e308},
)  # fmt: skip
"""Values that fit no field, or that fit one in a way that nobody thought of."""

GOOD: dict[str, dict[str, Any]] = {
    "subscribe": {"topics": ["system"]},
    "unsubscribe": {"topics": ["system"]},
    "mission.submit": {"mission": "calculate 1", "subscribe": False},
    "message.send": {"message": "calculate 1", "subscribe": False},
    "mission.set_priority": {"priority": "low"},
    "mission.extend_quota": {"quota": {"max_llm_calls": 1}},
    "confirm": {"approved": False},
    "clarify": {"answer": "x"},
    "interrupt.answer": {"decision": "cancel"},
}
"""What else a call needs, so that it is this field that is looked at."""


@pytest.fixture(scope="module")
def tower(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TowerProcess]:
    """A server that does not mind how fast."""
    folder: Path = tmp_path_factory.mktemp("fuzz") / "data"
    process = TowerProcess(folder, TOWER_RATE_LIMITS="off").start()
    yield process
    process.end()


@pytest.mark.parametrize("method", sorted(METHODS))
async def test_no_value_of_any_field_is_an_internal_error(tower: TowerProcess, method: str) -> None:
    """It is done, or refused in the words of the contract; the connection goes on."""
    async with wire(tower.ws_url) as ws:
        known = await _known_ids(ws)
        fields = [field.encode_name for field in msgspec.structs.fields(TABLE[method].params)]
        needed = {name: known[name] for name in fields if name in known}
        for field in (*fields, "surprise"):
            for value in NASTY:
                sent = {**needed, **GOOD.get(method, {}), field: value}
                reply = await _reply(ws, method, sent)
                code = reply["error"]["data"]["code"] if "error" in reply else "fine"
                assert code != "internal", sent
        for params in (None, [], 1, "x", DEEP, [1, 2]):
            reply = await _reply(ws, method, params)
            assert reply["error"]["code"] == -32602
    assert '"level": "error"' not in tower.log.read_text()


async def _known_ids(ws: Wire) -> dict[str, str]:
    """Return ids of things that are there: nonsense beside them is looked at more closely."""
    ack = await ws.call("mission.submit", mission="ask me my name")
    question = (await ws.event("interrupt.raised"))["data"]["interrupt_id"]
    spare = await ws.call("session.create")
    return {
        "mission_id": ack["mission_id"],
        "session_id": spare["session_id"],
        **dict.fromkeys(("interrupt_id", "confirmation_id", "clarification_id"), question),
    }


async def _reply(ws: Wire, method: str, params: Any) -> dict[str, Any]:
    request = {"jsonrpc": "2.0", "id": "fuzz", "method": method, "params": params}
    await ws.send(json.dumps(request))
    while True:
        message = await ws.receive()
        if message.get("id") == "fuzz":
            return message


async def test_bytes_at_random_close_with_a_listed_code_or_not_at_all(tower: TowerProcess) -> None:
    """After a good handshake: frames of nonsense, good frames around nonsense, halves of frames."""
    random = Random(6455)
    for _ in range(200):
        code = await _closed_after(tower, _nonsense(random))
        assert code is None or code in {int(each) for each in POLICIES}
    async with connect(tower.ws_url, proxy=None) as connection:
        await connection.send('{"jsonrpc":"2.0","id":1,"method":"ping"}')
        assert json.loads(await connection.recv())["result"]
    assert '"level": "error"' not in tower.log.read_text()


def _nonsense(random: Random) -> bytes:
    pieces = []
    for _ in range(random.randint(1, 5)):
        body = random.randbytes(random.choice((0, 1, 2, 10, 125, 126, 200)))
        match random.randrange(4):
            case 0:
                pieces.append(random.randbytes(random.randint(1, 40)))
            case 1:
                fin, bits = random.random() < 0.7, random.choice((0, 0, 0, 0x40))
                pieces.append(frame(random.randrange(16), body, fin=fin, bits=bits))
            case 2:
                pieces.append(frame(1, b'{"jsonrpc":"2.0","id":1,"method":"ping"}'))
            case 3:
                whole = frame(1, body)
                pieces.append(whole[: random.randint(0, len(whole))])
    return b"".join(pieces)


async def _closed_after(tower: TowerProcess, data: bytes) -> int | None:
    """Return the code with which the server closed; None if the client had to end it itself."""
    port = int(tower.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(HEAD)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        writer.write_eof()
        received = await reader.read()
    except ConnectionError:
        return None
    finally:
        writer.close()
    closes = [code for opcode, code in _frames(received) if opcode == 8]
    return closes[-1] if closes else None


def _frames(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield opcode and the first two bytes, as a close has its code there."""
    at = 0
    while at + 2 <= len(data):
        size, body = data[at + 1], at + 2
        if size == 126:
            size, body = int.from_bytes(data[at + 2 : at + 4]), at + 4
        elif size == 127:
            size, body = int.from_bytes(data[at + 2 : at + 10]), at + 10
        code = int.from_bytes(data[body : body + 2]) if size >= 2 else 1000
        yield data[at] & 15, code
        at = body + size
