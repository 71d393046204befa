"""The way of an event from its commit to a client, and the way back into the log.

``python -m tests.benchmarks.bench_log [--events N] [--crowd N] [--behind N]``

A whole tower in one process, its clients in others. *Durable* is from the first submit to the
arrival of the last event, each event in a unit of its own. *Commit to client* is from the return
of the transaction's COMMIT on the writer's thread to the client's read. *Catch-up* is one client
that reads the whole log. In the *storm* a crowd resumes at one moment, from an offset that a
restarted server has only in its log, while events go on; what one live client sees of that is
beside it.
"""

import argparse
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.benchmarks.log.instants import Instants, delays_ms
from tests.benchmarks.processes import (
    Child,
    WakeUps,
    cpu_seconds,
    ending,
    python,
    surroundings,
    wait_until,
)

ARRIVAL_TIMEOUT_S: Final = 60.0
PACED_PER_S: Final = 10_000
LIVE_PER_S: Final = 1000
LIVE_S: Final = 2.0
"""How long live traffic is measured before the storm, and goes on behind its beginning."""


@dataclass(slots=True, frozen=True)
class Latency:
    """Commit to client, in ms; and how late the machine woke an idle thread meanwhile."""

    p50: float
    p99: float
    worst: float
    wake_up_p99: float

    def __str__(self) -> str:
        return (
            f"p50 {self.p50:.2f} ms, p99 {self.p99:.1f}, worst {self.worst:.1f} "
            f"(an idle thread's wake-up p99 {self.wake_up_p99:.1f})"
        )


class Tower:
    """A server and one client that reads along."""

    def __init__(self, folder: Path, children: list[Child]) -> None:
        self._folder = folder
        self.server = Child(python("log.server", str(folder / "data")))
        children.append(self.server)
        self.reader = Child(python("log.reader", self.server.first))
        children.append(self.reader)

    def _arrived(self, offset: int) -> None:
        wait_until(
            lambda: int(self.reader.ask("last")) >= offset, ARRIVAL_TIMEOUT_S, "the last event"
        )

    def _arrivals(self) -> Instants:
        path = self._folder / "arrivals"
        self.reader.ask(str(path))
        return Instants.read(path)

    def durable(self, count: int) -> tuple[float, float]:
        """Return events/s from the first submit to the last arrival, and CPU µs an event."""
        cpu = cpu_seconds(self.server.pid)
        began = float(self.server.ask(f"fill {count}").split()[0])
        cpu = cpu_seconds(self.server.pid) - cpu
        self._arrived(int(self.server.ask("head")))
        return count / (self._arrivals().last_at - began), cpu / count * 1e6

    def latency(self, count: int, per_s: int) -> Latency:
        """Return how long events take from their commit to the client, at an even pace."""
        path = self._folder / "commits"
        self.server.ask(f"commits {path}")
        self._arrivals()
        with WakeUps() as wake_ups:
            self._arrived(int(self.server.ask(f"pace {count} {per_s}")))
        self.server.ask(f"commits {path}")
        delays = delays_ms(Instants.read(path), self._arrivals())
        p99 = delays[len(delays) * 99 // 100]
        return Latency(delays[len(delays) // 2], p99, delays[-1], wake_ups.p99_ms)


def resumed(tower: Tower, clients: int, topic: str, since: int) -> float:
    """Let clients resume at one moment; return the seconds until the last one has."""
    crowd = Child(python("log.crowd", tower.server.first, str(clients)))
    with ending([crowd]):
        return float(crowd.ask(f"{topic} {since}").split()[0])


def one_client(folder: Path, events: int) -> list[tuple[str, str]]:
    """Measure what concerns one client."""
    children: list[Child] = []
    with ending(children):
        tower = Tower(folder, children)
        rate, cpu = tower.durable(events)
        latency = tower.latency(PACED_PER_S * 4, PACED_PER_S)
        head = int(tower.server.ask("head"))
        rows = [
            ("durable events/s, submit to client", f"{rate:,.0f} ({cpu:.1f} µs of CPU each)"),
            (f"commit to client at {PACED_PER_S:,} events/s", str(latency)),
        ]
        for topic in ("system", "user:local"):
            seconds = resumed(tower, 1, topic, 0)
            rows.append((f"catch-up of {topic}, events/s", f"{head / seconds:,.0f}"))
        return rows


def storm(folder: Path, clients: int, behind: int) -> list[tuple[str, str]]:
    """Measure a crowd that resumes from the log of a server that has just started."""
    children: list[Child] = []
    with ending(children):
        tower = Tower(folder, children)
        quiet = tower.latency(int(LIVE_PER_S * LIVE_S), LIVE_PER_S)
        crowd = Child(python("log.crowd", tower.server.first, str(clients)))
        children.append(crowd)
        since = int(tower.server.ask("head")) - behind
        answers: list[str] = []
        resuming = threading.Thread(target=lambda: answers.append(crowd.ask(f"system {since}")))
        resuming.start()
        began = time.monotonic()
        busy = tower.latency(int(LIVE_PER_S * LIVE_S), LIVE_PER_S)
        took = time.monotonic() - began
        resuming.join()
    seconds, size = map(float, answers[0].split())
    return [
        (f"{clients:,} clients, {behind:,} events behind each", f"all resumed in {seconds:.2f} s"),
        ("their events/s", f"{clients * behind / seconds:,.0f} ({size / seconds / 1e6:,.0f} MB/s)"),
        (f"a live client at {LIVE_PER_S:,} events/s before it", str(quiet)),
        (f"the same in the {took:.1f} s from its beginning", str(busy)),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--crowd", type=int, default=2000)
    parser.add_argument("--behind", type=int, default=2000)
    options = parser.parse_args()
    table = Table("what", "figure", title="The log and its clients")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = one_client(folder, options.events)
        rows += storm(folder, options.crowd, min(options.behind, options.events))
        beside = surroundings(folder)
    for row in rows:
        table.add_row(*row)
    console = Console()
    console.print(table)
    console.print(beside)


if __name__ == "__main__":
    main()
