"""The process: how it starts, what it refuses to start with, how it ends, what it bears."""

import asyncio
import contextlib
import gc
import json
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from websockets.asyncio.client import connect

from control_tower.store import holder_of
from server.serving import listen, spare_the_collector
from tests.integration.conftest import MakeTower
from tests.integration.tower_process import ROOT, TowerProcess, wire

pytestmark = pytest.mark.slow


def test_an_unknown_setting_is_a_warning(make_tower: MakeTower) -> None:
    """It starts all the same."""
    process = make_tower(TOWER_PROT="1")
    assert "TOWER_PORT" in process.log.read_text()
    assert process.stop() == 0


def test_the_lock_names_the_server_and_ends_with_it(make_tower: MakeTower) -> None:
    """Readable by its owner only; a kill releases it."""
    process = make_tower()
    holder = holder_of(process.data_dir)
    assert holder is not None
    assert (holder.pid, holder.url) == (process.pid, process.url)
    assert (process.data_dir / "tower.lock").stat().st_mode & 0o777 == 0o600
    assert holder.token not in process.log.read_text()
    process.kill()
    assert holder_of(process.data_dir) is None
    process.start()
    assert process.stop() == 0
    assert holder_of(process.data_dir) is None


async def test_a_drain_tells_everybody_and_leaves_work_for_the_next_start(
    make_tower: MakeTower,
) -> None:
    """SIGTERM in mid-mission: told, closed with a hint, exit 0; then it goes on."""
    process = make_tower(TOWER_DRAIN_S="2")
    async with wire(process.ws_url) as ws:
        ack = await ws.call("mission.submit", mission="work 400 steps")
        await ws.event("step.completed")
        process.signal(signal.SIGTERM)
        draining = await ws.event("tower.draining")
        assert draining["data"]["retry_after_ms"] >= 0
        await ws.connection.wait_closed()
        assert ws.connection.close_code in {1001, 1012}
        assert "retry_after_ms" in json.loads(ws.connection.close_reason or "{}")
    began = time.monotonic()
    assert await asyncio.to_thread(process.wait) == 0
    assert time.monotonic() - began < 20
    process.start()
    async with wire(process.ws_url) as ws:
        await ws.call("subscribe", topics=[f"mission:{ack['mission_id']}"], since=0)
        last = await ws.ended()
        assert last["type"] == "mission.completed"
        steps = [e["data"]["step"] for e in ws.durable if e["type"] == "step.completed"]
        assert len(steps) == len(set(steps)) == 400


async def test_a_draining_server_takes_nothing_and_says_so(make_tower: MakeTower) -> None:
    """Readiness 503, submits unavailable, liveness fine, until a slow call is cut."""
    process = make_tower(str(ROOT / "tests/integration/slow_app.py"), TOWER_DRAIN_S="3")
    async with httpx2.AsyncClient(base_url=process.url, timeout=10) as http:
        body = {"mission": "x", "agent": "slow"}
        await http.post("/api/v1/requests", json=body)
        async with wire(process.ws_url) as ws:
            await ws.call("subscribe", topics=["system"], since="start")
            await ws.event("step.started")
        process.signal(signal.SIGTERM)
        ready = await http.get("/ready")
        while ready.status_code == 200:
            ready = await http.get("/ready")
        assert ready.status_code == 503
        assert ready.json()["status"] == "not_ready"
        refused = await http.post("/api/v1/requests", json=body)
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert refused.headers["retry-after"]
        assert (await http.get("/health")).status_code == 200
    assert await asyncio.to_thread(process.wait) == 0


@pytest.mark.parametrize("agent", ["slow", "stuck", "stubborn"])
async def test_a_second_signal_does_not_wait(make_tower: MakeTower, agent: str) -> None:
    """Somebody is in a hurry; nobody waits for a thread that can't be stopped, or a task."""
    process = make_tower(str(ROOT / "tests/integration/slow_app.py"), TOWER_DRAIN_S="60")
    async with wire(process.ws_url) as ws:
        await ws.call("mission.submit", mission="x", agent=agent)
        await ws.event("step.started")
    process.signal(signal.SIGTERM)
    await asyncio.sleep(0.5)
    process.signal(signal.SIGINT)
    assert await asyncio.to_thread(process.wait, 8) == 0


def raw(url: str, data: bytes, timeout_s: float = 15) -> bytes:
    """Send bytes, return what comes until the server closes."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=timeout_s) as peer:
        with contextlib.suppress(ConnectionError):
            peer.sendall(data)
        found = b""
        with contextlib.suppress(ConnectionError):
            while piece := peer.recv(65_536):
                found += piece
        return found


@pytest.fixture(scope="module")
def tower_url(tower: TowerProcess) -> str:
    """Where the module's server is."""
    return tower.url


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_accepted_sockets_are_bounded_in_the_kernel(host: str) -> None:
    """They inherit a small send buffer, and an end to bytes that nobody acknowledges."""
    with contextlib.closing(listen(host, 0)) as listener:
        listener.listen()
        with socket.create_connection(listener.getsockname()[:2]):
            listener.setblocking(True)
            accepted, _ = listener.accept()
            with accepted:
                # Linux doubles what it is asked for.
                assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * 65_536
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000


def test_the_collectors_full_passes_are_few_and_short() -> None:
    """They leave out what was made to start, and wait for more than a crowd's worth of objects."""
    before = gc.get_threshold()
    try:
        spare_the_collector()
        assert gc.get_freeze_count() > 10_000
        young, middle, old = gc.get_threshold()
        assert young * middle * old >= 1_000_000
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


async def test_a_real_server_bounds_messages_and_compresses_nothing(tower: TowerProcess) -> None:
    """Uvicorn would take 16 MiB, and agree on deflate with whoever offers it."""
    async with connect(tower.ws_url, max_size=None, proxy=None) as connection:
        assert connection.response is not None
        assert "Sec-WebSocket-Extensions" not in connection.response.headers
        assert connection.request is not None
        assert "permessage-deflate" in connection.request.headers["Sec-WebSocket-Extensions"]
        await connection.send("x" * 65_537)
        await connection.wait_closed()
        assert connection.close_code == 1009


def test_what_follows_a_request_may_be_nonsense(tower: TowerProcess) -> None:
    """Pipelined behind a good request, or behind an upgrade: refused, and no matter for the log."""
    good = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    upgrade = (
        b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    for data in (
        good + b"\x00\xff\r\n\r\n",
        good * 50 + b"nonsense\r\n\r\n",
        upgrade + b"GET / HTTP/1.1\r\n\r\n",
        upgrade + upgrade,
        upgrade + b"\xff" * 70_000,
        b"POST /health HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /health HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ):
        assert raw(tower.url, data).startswith(b"HTTP/1.1 ")
    assert raw(tower.url, HEAD + b"Connection: close\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    assert '"level": "error"' not in tower.log.read_text()


def test_a_header_of_twenty_megabytes_costs_nothing(tower: TowerProcess) -> None:
    """It is refused while it comes; the server does not hold it."""
    before = rss_mib(tower.pid)
    answer = raw(tower.url, HEAD + b"X: " + b"a" * 20_000_000)
    # The answer, or the reset that a client gets which goes on sending.
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")
    assert rss_mib(tower.pid) - before < 15


def rss_mib(pid: int) -> float:
    """Return a process's resident memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")


def drip(url: str, data: bytes) -> float:
    """Send a byte each half a second; return how long the server bears that."""
    parts, began = urlsplit(url), time.monotonic()
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=0.5) as peer:
        for byte in data:
            try:
                peer.sendall(bytes([byte]))
                if not peer.recv(1):
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
    return time.monotonic() - began


def test_heads_that_drip_are_closed_all_at_once(tower: TowerProcess) -> None:
    """Fifty slow ones; a byte now and then is no more life than none. Others are served."""
    with ThreadPoolExecutor(50) as pool:
        dripping = [pool.submit(drip, tower.url, HEAD + b"X: aaaaaaaaaaaa") for _ in range(50)]
        while not any(each.done() for each in dripping):
            assert raw(tower.url, HEAD + b"Connection: close\r\n\r\n").startswith(b"HTTP/1.1 200 ")
            time.sleep(0.2)
        assert all(each.result() < 20 for each in dripping)


HEAD = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b"X: " + b"a" * 20_000 + b"\r\n\r\n",
        HEAD + b"".join(b"X-%d: a\r\n" % n for n in range(3000)) + b"\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        HEAD + b"X: " + b"a" * 400_000,
    ],
    ids=["one header", "many headers", "a long path", "no end"],
)
def test_a_head_is_bounded(tower_url: str, data: bytes) -> None:
    """16 KiB, then 431 and the connection is closed."""
    answer = raw(tower_url, data)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"application/problem+json" in answer


def test_a_head_of_ordinary_size_passes(tower_url: str) -> None:
    """15 KiB of cookies are a pity, not an attack."""
    data = HEAD + b"Cookie: " + b"a" * 15_000 + b"\r\nConnection: close\r\n\r\n"
    assert raw(tower_url, data).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("data", [b"\x16\x03\x01 not http\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"])
def test_what_is_not_http_is_refused(tower_url: str, data: bytes) -> None:
    """In the form of all errors."""
    answer = raw(tower_url, data)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in answer


def test_a_head_that_never_ends_or_never_comes_is_closed(tower_url: str) -> None:
    """10 s, and nobody else is slower meanwhile; one without a word holds a socket for nothing."""
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        answers = pool.map(lambda data: raw(tower_url, data, timeout_s=20), (HEAD, b""))
        assert list(answers) == [b"", b""]
    assert 8 < time.monotonic() - began < 14
