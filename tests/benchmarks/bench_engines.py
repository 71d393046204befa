"""What the store costs on SQLite and on PostgreSQL, in one run on one disk.

Run as ``python -m tests.benchmarks.bench_engines [seconds]``. Missions go on and on, each with one
unit in flight; both engines sync every commit. PostgreSQL runs beside on the same machine, so its
work is taken from the same processors: the ratio is the worst case.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from control_tower.store import SqliteStore, ThreadedStore
from control_tower.store.postgres_store import PostgresStore
from tests.benchmarks import bench_missions
from tests.benchmarks.bench_store import Counter, Mission, WallClock
from tests.benchmarks.serving import serving
from tests.rig.postgres import OwnServer

MISSIONS = (1, 8, 64, 256)


async def measure(store: ThreadedStore, count: int, seconds: float) -> tuple[float, float]:
    """Return units/s and the median latency in ms, with ``count`` missions at once."""
    began = time.perf_counter()
    missions = [Mission(store, number, began + seconds) for number in range(count)]
    for mission in missions:
        mission.begin()
    for mission in missions:
        await mission.done.wait()
    latencies = [latency for mission in missions for latency in mission.latencies]
    return len(latencies) / (time.perf_counter() - began), statistics.median(latencies) * 1000


Open = Callable[[], Awaitable[ThreadedStore]]


async def rows(open_store: Open, seconds: float) -> list[tuple[float, float]]:
    """Measure an engine with each number of missions."""
    found = []
    for count in MISSIONS:
        async with await open_store() as store:
            found.append(await measure(store, count, seconds))
    return found


@asynccontextmanager
async def engines(folder: Path) -> AsyncIterator[dict[str, Open]]:
    """Make both engines ready."""
    server = await asyncio.to_thread(OwnServer, durable=True)
    opened = 0

    def place() -> Path:
        nonlocal opened
        opened += 1
        return folder / str(opened)

    async def sqlite() -> ThreadedStore:
        return await SqliteStore.open(
            place(), publish=Counter(), clock=WallClock(), url="", on_fatal=stop
        )

    async def postgres() -> ThreadedStore:
        return await PostgresStore.open(
            server.empty(), place(), publish=Counter(), clock=WallClock(), url="", on_fatal=stop
        )

    try:
        yield {"SQLite": sqlite, "PostgreSQL": postgres}
    finally:
        await asyncio.to_thread(server.close)


def stop(error: BaseException) -> None:
    """End the benchmark: no disk may fail."""
    raise SystemExit(repr(error))


async def run(seconds: float) -> Table:
    """Measure both, and return the table."""
    table = Table(
        "missions at once", "engine", "units/s", "p50 ms", title="Units of 1 event, 2 rows"
    )
    with tempfile.TemporaryDirectory() as folder:
        async with engines(Path(folder)) as opening:
            found = {name: await rows(each, seconds) for name, each in opening.items()}
    for at, count in enumerate(MISSIONS):
        for name, measured in found.items():
            rate, latency = measured[at]
            table.add_row(str(count), name, f"{rate:.0f}", f"{latency:.2f}")
    return table


def whole_missions(missions: int, rounds: int) -> Table:
    """Run missions of 100 tokens over one socket on both engines, and return the table."""
    server = OwnServer(durable=True)
    found = {}
    for name, settings in (
        ("SQLite", {}),
        ("PostgreSQL", {"TOWER_DATABASE_URL": server.empty()}),
    ):
        with tempfile.TemporaryDirectory() as folder, serving(folder, **settings) as (port, pid):
            found[name] = asyncio.run(bench_missions.measure(port, pid, missions, rounds))
    server.close()
    table = Table("what", *found, title="Missions of 100 tokens, 20 at once, one /ws")
    for lines in zip(*found.values(), strict=True):
        table.add_row(lines[0][0], *(figure for _, figure in lines))
    return table


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "seconds", type=float, nargs="?", default=5.0, help="how long each row is measured"
    )
    seconds: float = parser.parse_args().seconds
    Console().print(asyncio.run(run(seconds)))
    Console().print(whole_missions(missions=200, rounds=3))


if __name__ == "__main__":
    main()
