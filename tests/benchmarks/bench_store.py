"""What the store costs: events through the log and the bridge, and pages back out.

Run as ``python -m tests.benchmarks.bench_store [seconds]``. Every row is measured in this run, on
this disk; the ratio is to a bare ``sqlite3`` ``executemany`` of the same events, synced as often.
"""

import argparse
import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from control_tower.records import (
    ProcessControlBlock,
    SessionRecord,
    StepRecord,
    StepStatus,
)
from control_tower.states import State
from control_tower.store import SqliteStore, ThreadedStore
from control_tower.unit import (
    Commit,
    Guard,
    InsertMission,
    InsertSession,
    SaveMission,
    SaveStep,
    Unit,
)
from events.payloads import StepCompleted
from events.types import Committed, Ephemeral, Scope, draft

OUTPUT = "x" * 120
"""Makes a body of about 350 bytes, as a step's event has."""


class Counter:
    """Counts what is published."""

    def __init__(self) -> None:
        self.events = 0

    def publish(self, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
        """Count."""
        self.events += len(events)


class WallClock:
    """The real time."""

    def now(self) -> float:
        """Return Unix seconds."""
        return time.time()


class Mission:
    """A mission that goes on and on: each unit is submitted when the last one is committed."""

    def __init__(self, store: ThreadedStore, number: int, until: float) -> None:
        self.store = store
        self.until = until
        self.pid = f"m_{number:026d}"
        self.session_id = f"s_{number:026d}"
        self.scope = Scope(self.session_id, "local", (self.pid,), "bench", "normal")
        self.pcb = ProcessControlBlock(
            pid=self.pid,
            session_id=self.session_id,
            user_id="local",
            agent="bench",
            mission="Say hello",
            inputs={},
            state=State.RUNNING,
            lineage=(self.pid,),
            created_at=1.0,
        )
        self.steps = 0
        self.latencies: list[float] = []
        self.submitted_at = 0.0
        self.done = asyncio.Event()

    def begin(self) -> None:
        """Make the session and the mission."""
        session = SessionRecord(
            session_id=self.session_id, user_id="local", created_at=1.0, last_activity=1.0
        )
        self.submit(Unit(writes=[InsertSession(session), InsertMission(self.pcb)]))

    def submit(self, unit: Unit) -> None:
        """Submit a unit whose commit leads to the next."""
        unit.committed = self.committed
        unit.refused = self.refused
        self.submitted_at = time.perf_counter()
        self.store.submit(unit)

    def refused(self, reason: Exception) -> None:
        """End the benchmark: nothing may be refused."""
        raise SystemExit(f"refused: {reason!r}")

    def committed(self, _: Commit) -> None:
        """Note the latency and go on, until time is up."""
        now = time.perf_counter()
        self.latencies.append(now - self.submitted_at)
        if now >= self.until:
            self.done.set()
            return
        self.steps += 1
        self.submit(self.step(str(self.steps)))

    def step(self, step: str) -> Unit:
        """Return the unit of a step's end."""
        record = StepRecord(
            pid=self.pid,
            step=step,
            kind="tool",
            name="calculator",
            call_sha256="0" * 64,
            arguments={"expression": "2 + 2"},
            status=StepStatus.COMPLETED,
            idempotent=True,
            output=OUTPUT,
            started_at=1.0,
        )
        event = StepCompleted(
            step=step, kind="tool", name="calculator", output=OUTPUT, duration_ms=1.2
        )
        return Unit(
            drafts=[draft(event, self.scope, 1.0)],
            writes=[SaveMission(self.pcb), SaveStep(record, 0)],
            guard=Guard(self.pid, 0, 0),
        )


async def missions(folder: Path, count: int, seconds: float) -> tuple[float, float, float]:
    """Return events/s and the latency's p50 and p99 in ms, with ``count`` missions at once."""
    counter = Counter()
    async with await SqliteStore.open(
        folder, publish=counter, clock=WallClock(), url="http://bench", on_fatal=print
    ) as store:
        begun = time.perf_counter()
        all_of_them = [Mission(store, number, begun + seconds) for number in range(count)]
        for mission in all_of_them:
            mission.begin()
        for mission in all_of_them:
            await mission.done.wait()
        took = time.perf_counter() - begun
        latencies = sorted(one for mission in all_of_them for one in mission.latencies)
        p50 = latencies[len(latencies) // 2] * 1e3
        p99 = latencies[int(len(latencies) * 0.99)] * 1e3
        return counter.events / took, p50, p99


async def burst(folder: Path, seconds: float) -> float:
    """Return events/s when units of one event each are submitted as fast as they commit."""
    counter = Counter()
    async with await SqliteStore.open(
        folder, publish=counter, clock=WallClock(), url="http://bench", on_fatal=print
    ) as store:
        mission = Mission(store, 0, 0.0)
        mission.begin()
        await mission.done.wait()
        event = StepCompleted(step="1", kind="tool", name="x", output=OUTPUT, duration_ms=1.2)
        drafted = draft(event, mission.scope, 1.0)
        begun = time.perf_counter()
        sent = 0
        while time.perf_counter() < begun + seconds:
            for _ in range(200):
                store.submit(Unit(drafts=[drafted]))
            sent += 200
            while sent - counter.events > 2000:
                await asyncio.sleep(0.0005)
        while counter.events < sent:
            await asyncio.sleep(0.0005)
        return counter.events / (time.perf_counter() - begun)


async def pages(folder: Path, events: int) -> dict[str, float]:
    """Return events/s read by topic, over one session among a hundred and over all."""
    counter = Counter()
    async with await SqliteStore.open(
        folder, publish=counter, clock=WallClock(), url="http://bench", on_fatal=print
    ) as store:
        lot = [Mission(store, number, 0.0) for number in range(100)]
        for mission in lot:
            mission.begin()
        for mission in lot:
            await mission.done.wait()
        event = StepCompleted(step="1", kind="tool", name="x", output=OUTPUT, duration_ms=1.2)
        for number in range(events):
            store.submit(Unit(drafts=[draft(event, lot[number % 100].scope, 1.0)]))
            if number % 1000 == 0:
                await asyncio.sleep(0)
        while counter.events < events:
            await asyncio.sleep(0.001)
        topics = {
            "system": ["system"],
            "user": ["user:local"],
            "50 sessions": [f"session:{mission.session_id}" for mission in lot[:50]],
            "session": [f"session:{lot[7].session_id}"],
            "mission": [f"mission:{lot[7].pid}"],
        }
        return {name: await read_all(store, topics[name]) for name in topics}


async def read_all(store: SqliteStore, topics: Sequence[str]) -> float:
    """Return events/s over three readings of the whole topics."""
    begun = time.perf_counter()
    total = 0
    for _ in range(3):
        after = 0
        while after < store.head:
            page = await store.read(topics, after, store.head)
            total += len(page.events)
            after = page.upto
    return total / (time.perf_counter() - begun)


def bare(folder: Path, batch: int, seconds: float) -> float:
    """Return events/s of ``sqlite3.executemany`` alone: the same columns, index and sync."""
    connection = sqlite3.connect(folder / f"bare{batch}.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(
        "CREATE TABLE events (offset INTEGER PRIMARY KEY, session_no INTEGER, "
        "mission_no INTEGER, root_no INTEGER, type TEXT, body BLOB)"
    )
    connection.execute("CREATE INDEX line ON events (session_no, offset)")
    body = b"x" * 350
    offset = 0
    begun = time.perf_counter()
    while time.perf_counter() < begun + seconds:
        rows = [
            (offset + n + 1, n % 100, n % 100, n % 100, "step.completed", body)
            for n in range(batch)
        ]
        offset += batch
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", rows)
        connection.execute("COMMIT")
    rate = offset / (time.perf_counter() - begun)
    connection.close()
    return rate


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "seconds", type=float, nargs="?", default=3.0, help="how long each row is measured"
    )
    seconds: float = parser.parse_args().seconds
    fresh: Callable[[], Path]
    with tempfile.TemporaryDirectory() as root:
        numbers = iter(range(100))

        def fresh() -> Path:
            folder = Path(root) / str(next(numbers))
            folder.mkdir()
            return folder

        table = Table("writing", "events/s", "p50 ms", "p99 ms", "bare sqlite3/s", "ratio")
        for count in (1, 20, 100, 1000):
            alone = bare(fresh(), count, seconds / 2)
            rate, p50, p99 = asyncio.run(missions(fresh(), count, seconds))
            table.add_row(
                f"{count} missions, event + step + mission a unit",
                f"{rate:,.0f}",
                f"{p50:.2f}",
                f"{p99:.2f}",
                f"{alone:,.0f} (batch {count})",
                f"{rate / alone:.2f}",
            )
        alone = bare(fresh(), 1000, seconds / 2)
        rate = asyncio.run(burst(fresh(), seconds))
        table.add_row(
            "events alone, 2 000 in flight",
            f"{rate:,.0f}",
            "",
            "",
            f"{alone:,.0f} (batch 1000)",
            f"{rate / alone:.2f}",
        )
        reading = Table("reading", "events/s")
        for name, rate in asyncio.run(pages(fresh(), 100_000)).items():
            reading.add_row(name, f"{rate:,.0f}")
    console = Console()
    console.print(table)
    console.print(reading)


if __name__ == "__main__":
    main()
