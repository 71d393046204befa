"""Missions at rest and missions in flight: memory, waking, recovery.

Fills a data folder with waiting missions over ``/ws``, restarts the server over it and prints its
memory over an empty one's and the time from an answer to the mission's end; then the same with
missions in flight, killed by SIGKILL: the time from the process's start until all states are
restored and every slot is filled. Run ``python -m tests.benchmarks.bench_resting``.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from websockets.asyncio.client import connect

from tests.benchmarks.serving import free_port, wait_for

APP = str(Path(__file__).with_name("apps.py"))
IN_FLIGHT = 64
"""Submits on their way at once while a folder is filled."""

RECOVERY_TIMEOUT_S = 60.0


class Server:
    """A server process over a folder."""

    def __init__(self, folder: str) -> None:
        self.port = free_port()
        environment = {
            **os.environ,
            "TOWER_PORT": str(self.port),
            "TOWER_DATA_DIR": folder,
            "TOWER_RATE_LIMITS": "off",
            "TOWER_SUBMITS_PER_MIN": "100000000",
            "TOWER_MAX_QUEUED_PER_USER": "100000000",
            "TOWER_LOG_LEVEL": "warning",
            "TOWER_PARK_AFTER_S": "1",
        }
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "server", "serve", APP],
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        wait_for(self.port)

    def rss_mib(self) -> float:
        """Return the resident memory."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise AssertionError("no VmRSS")

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    async def call(self, socket: Any, method: str, **params: Any) -> dict[str, Any]:
        """Make one call on a quiet connection and return its result."""
        request = {"jsonrpc": "2.0", "id": method, "method": method, "params": params}
        await socket.send(json.dumps(request))
        while True:
            message: dict[str, Any] = json.loads(await socket.recv())
            if message.get("id") == method:
                if "error" in message:
                    raise AssertionError(message["error"])
                result: dict[str, Any] = message["result"]
                return result

    async def fill(self, agent: str, count: int) -> None:
        """Submit ``count`` missions of ``agent``, each in a session of its own."""
        async with connect(f"ws://127.0.0.1:{self.port}/ws", max_size=None) as socket:
            for number in range(count + IN_FLIGHT):
                if number >= IN_FLIGHT:
                    json.loads(await socket.recv())["result"]
                if number < count:
                    params = {"mission": f"m{number}", "agent": agent, "subscribe": False}
                    request = {
                        "jsonrpc": "2.0",
                        "id": number,
                        "method": "mission.submit",
                        "params": params,
                    }
                    await socket.send(json.dumps(request))

    async def states(self) -> dict[str, int]:
        """Return processes by state."""
        async with connect(f"ws://127.0.0.1:{self.port}/ws") as socket:
            status = await self.call(socket, "tower.status")
            found: dict[str, int] = status["processes"]
            return found

    async def until(self, state: str, count: int) -> None:
        """Wait until ``count`` processes are in ``state``."""
        deadline = time.monotonic() + RECOVERY_TIMEOUT_S
        while time.monotonic() < deadline:
            if (await self.states()).get(state, 0) >= count:
                return
            await asyncio.sleep(0.02)
        raise TimeoutError(f"{count} missions are not {state}: {await self.states()}")

    async def answer_ms(self, rounds: int) -> list[float]:
        """Answer pending questions one by one; return ms from the answer to the mission's end."""
        times = []
        async with connect(f"ws://127.0.0.1:{self.port}/ws", max_size=None) as socket:
            page = await self.call(socket, "interrupt.list", limit=rounds)
            for question in page["interrupts"]:
                topic = f"mission:{question['mission_id']}"
                await self.call(socket, "subscribe", topics=[topic])
                began = time.perf_counter()
                params = {"clarification_id": question["interrupt_id"], "answer": "this"}
                request = {"jsonrpc": "2.0", "id": 1, "method": "clarify", "params": params}
                await socket.send(json.dumps(request))
                while '"mission.completed"' not in str(await socket.recv()):
                    pass
                times.append((time.perf_counter() - began) * 1000)
                await self.call(socket, "unsubscribe", topics=[topic])
        return times


def waiting(count: int) -> list[tuple[str, str, str]]:
    """Measure missions at rest."""
    with tempfile.TemporaryDirectory() as empty, tempfile.TemporaryDirectory() as folder:
        server = Server(empty)
        time.sleep(2)
        base = server.rss_mib()
        server.kill()
        server = Server(folder)
        asyncio.run(server.fill("asks", count))
        time.sleep(3)
        filled = server.rss_mib()
        server.kill()
        server = Server(folder)
        asyncio.run(server.until("waiting", count))
        recovered = time.perf_counter() - server.began
        fresh = server.rss_mib()
        times = asyncio.run(server.answer_ms(50))
        server.kill()
    return [
        (
            f"{count} waiting: memory over an empty server, after a restart",
            f"{fresh - base:.0f} MiB",
            "< 100 MB at 100 000",
        ),
        ("… in the server that made them", f"{filled - base:.0f} MiB", ""),
        ("… all restored after", f"{recovered:.2f} s", ""),
        ("… an answer to the mission's end, p50", f"{statistics.median(times):.1f} ms", "< 50 ms"),
        ("… slowest of 50", f"{max(times):.1f} ms", ""),
    ]


def in_flight(count: int) -> list[tuple[str, str, str]]:
    """Measure a recovery."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(folder)
        asyncio.run(server.fill("works", count))
        time.sleep(1)
        server.kill()
        server = Server(folder)
        asyncio.run(server.until("running", 256))
        ready = time.perf_counter() - server.began
        states = asyncio.run(server.states())
        server.kill()
    return [
        (
            f"{count} in flight, killed: restored, 256 slots filled after",
            f"{ready:.2f} s",
            "≤ 4 s at 10 000",
        ),
        ("… states", str(states), ""),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--waiting", type=int, default=20_000)
    parser.add_argument("--in-flight", type=int, default=10_000)
    options = parser.parse_args()
    table = Table("what", "figure", "to reach", title="Missions at rest and in flight")
    for row in [*waiting(options.waiting), *in_flight(options.in_flight)]:
        table.add_row(*row)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
