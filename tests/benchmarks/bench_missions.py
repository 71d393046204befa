"""Missions a second: 100 echo missions of 100 tokens, 20 at once, over one WebSocket.

Prints missions a second of wall time, missions a second of the server's CPU, the first token's
latency alone, and, beside it, what the disk needs for a synced write: run
``python -m tests.benchmarks.bench_missions``. The server is a process of its own, so the client's
share is not in its CPU figure.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from websockets.asyncio.client import ClientConnection, connect

from tests.benchmarks.processes import cpu_seconds, synced_write_ms
from tests.benchmarks.serving import serving


class Client:
    """One connection that counts what comes for its missions, of ``agent``."""

    def __init__(self, socket: ClientConnection, agent: str = "echo") -> None:
        self._socket = socket
        self._agent = agent
        self._ids = 0
        self.ended: asyncio.Queue[str] = asyncio.Queue()
        self.tokens = 0
        self.first_token: asyncio.Queue[float] = asyncio.Queue()

    async def submit(self, tokens: int) -> None:
        """Submit a mission without waiting for the reply; ``tokens`` are an echo's."""
        self._ids += 1
        params = {"mission": "x", "agent": self._agent, "inputs": {"tokens": tokens}}
        request = {"jsonrpc": "2.0", "id": self._ids, "method": "mission.submit", "params": params}
        await self._socket.send(json.dumps(request))

    async def read(self) -> None:
        """Read until cancelled."""
        async for frame in self._socket:
            if '"llm.delta"' in frame[:120]:
                self.tokens += 1
                if '"at":0,' in frame[-120:]:
                    self.first_token.put_nowait(time.perf_counter())
                continue
            message: dict[str, Any] = json.loads(frame)
            if "error" in message:
                raise AssertionError(message)
            if message.get("params", {}).get("type") == "mission.completed":
                self.ended.put_nowait(message["params"]["mission_id"])


async def first_token_ms(client: Client, rounds: int) -> float:
    """Return the median time from a submit to its first token, one mission at a time."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        await client.submit(5)
        times.append(await client.first_token.get() - began)
        await client.ended.get()
        while not client.first_token.empty():
            client.first_token.get_nowait()
    return statistics.median(times) * 1000


async def burst(client: Client, missions: int, tokens: int, at_once: int) -> float:
    """Run ``missions`` with ``at_once`` in flight; return the seconds that it took."""
    began = time.perf_counter()
    for _ in range(at_once):
        await client.submit(tokens)
    for done in range(missions):
        await client.ended.get()
        if done + at_once < missions:
            await client.submit(tokens)
    return time.perf_counter() - began


async def measure(port: int, pid: int, missions: int, rounds: int) -> list[tuple[str, str]]:
    """Return the rows of the table."""
    async with connect(f"ws://127.0.0.1:{port}/ws", max_size=None, compression=None) as socket:
        client = Client(socket)
        reading = asyncio.create_task(client.read())
        await burst(client, 20, 100, 20)
        first = await first_token_ms(client, 50)
        wall, cpu = [], []
        for _ in range(rounds):
            before = cpu_seconds(pid)
            wall.append(missions / await burst(client, missions, 100, 20))
            cpu.append(missions / max(cpu_seconds(pid) - before, 0.01))
        reading.cancel()
    return [
        ("first token alone, p50", f"{first:.2f} ms"),
        ("missions a second, wall", _best_and_median(wall)),
        ("missions a second of server CPU", _best_and_median(cpu)),
        ("tokens received", str(client.tokens)),
    ]


def _best_and_median(rates: list[float]) -> str:
    """On a machine that others use too, the best is nearest to what the server can do."""
    return f"{max(rates):.0f} at best, median {statistics.median(rates):.0f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--missions", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        synced = synced_write_ms(Path(folder))
        with serving(folder) as (port, pid):
            rows = asyncio.run(measure(port, pid, options.missions, options.rounds))
    table = Table("what", "figure", title="Missions of 100 tokens, 20 at once, one /ws")
    for what, figure in [*rows, ("a synced write of this disk, p50", f"{synced:.2f} ms")]:
        table.add_row(what, figure)
    Console().print(table)


if __name__ == "__main__":
    main()
