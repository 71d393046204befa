"""One well-behaved client in a process of its own: how long does it wait for its answers?

Run as ``python -m tests.faults.probe WS_URL``: it calls ``ping`` a hundred times a second until its
standard input ends, then prints what it measured, as JSON. A process of its own, since a test that
keeps a thousand connections busy would measure itself.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from websockets.asyncio.client import connect

EVERY_S = 0.01
PING = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"})


@dataclass(slots=True)
class Probe:
    """What a probe found; filled when it has ended."""

    figures: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return ", ".join(f"{name} {value:g}" for name, value in self.figures.items())


@asynccontextmanager
async def probing(ws_url: str) -> AsyncIterator[Probe]:
    """Probe beside the body of the ``with``."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.probe", ws_url,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    probe = Probe()
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        yield probe
    finally:
        if process.stdin is not None:
            process.stdin.close()
        found, _ = await process.communicate()
    probe.figures.update(json.loads(found))


async def _measure(url: str) -> list[float]:
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), over.set)
    took_ms: list[float] = []
    async with connect(url, compression=None, proxy=None) as connection:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while not over.is_set():
            began = time.perf_counter()
            await connection.send(PING)
            await connection.recv()
            took_ms.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(EVERY_S)
    return took_ms


def main() -> None:
    """Measure until standard input ends."""
    took = sorted(asyncio.run(_measure(sys.argv[1])))
    figures = {
        "pings": len(took),
        "p50_ms": round(took[len(took) // 2], 1),
        "p99_ms": round(took[min(len(took) - 1, len(took) * 99 // 100)], 1),
        "max_ms": round(took[-1], 1),
    }
    sys.stdout.write(json.dumps(figures))


if __name__ == "__main__":
    main()
