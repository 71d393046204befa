"""One event, or a burst, to a thousand connections: what a delivery costs the server.

``python -m tests.benchmarks.bench_fanout [--connections N] [--repeats N] [--only NAME …]``

Each peer is a server process of its own with a load generator of its own; their runs alternate,
so that a busy machine is unfair to all alike, and a figure is the median of the repeats. All are
paced alike: a burst every 20 ms, or as soon as the one before is out. CPU is the kernel's count of
the server's process, user and system, up to the arrival of the last byte. The limit is a loop of
send(2) in C with the frame built once; joined, it sends a burst as one write.
"""

import argparse
import statistics
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.benchmarks.fanout.catalogue import CATALOGUE, LIMIT, TOWER, Absent, Peer
from tests.benchmarks.fanout.catalogue import Server as PeerServer
from tests.benchmarks.fanout.messages import BODY, FRAME_BYTES
from tests.benchmarks.processes import Child, cpu_seconds, python, surroundings, wait_until

GAP_MS: Final = 20.0
ROUNDS: Final = {1: 25, 8: 2, 32: 1, 128: 1}
"""Rounds a run, by the size of the burst."""

JOINED_ROUNDS: Final = {1: 25, 8: 20, 32: 15, 128: 10}
"""The same of a peer that joins a burst: it needs more of them for a figure."""

ARRIVAL_TIMEOUT_S: Final = 30.0


@dataclass(slots=True)
class Costs:
    """CPU µs a delivery, one for each repeat: the server's, and the load generator's."""

    server: list[float] = field(default_factory=list)
    clients: list[float] = field(default_factory=list)


class Pair:
    """A peer's server and its clients."""

    def __init__(self, peer: Peer, connections: int, server: PeerServer) -> None:
        self.peer = peer
        self.costs = {burst: Costs() for burst in ROUNDS}
        self._connections = connections
        self._server = server
        greeting = peer.greeting or ()
        command = python("fanout.clients", server.first, str(connections), *greeting)
        self._clients = Child(command)

    def run(self, burst: int, *, measured: bool = True) -> None:
        """Send bursts and note what they cost, once all has arrived."""
        rounds = (JOINED_ROUNDS if self.peer.joins else ROUNDS)[burst] if measured else 1
        deliveries = rounds * burst * self._connections
        due = self._received() + deliveries * (FRAME_BYTES if self.peer.exact else len(BODY))
        before = cpu_seconds(self._server.pid), cpu_seconds(self._clients.pid)
        self._server.ask(f"run {rounds} {burst} {GAP_MS}")
        wait_until(lambda: self._received() >= due, ARRIVAL_TIMEOUT_S, self.peer.name)
        if measured:
            costs = self.costs[burst]
            costs.server.append((cpu_seconds(self._server.pid) - before[0]) / deliveries * 1e6)
            costs.clients.append((cpu_seconds(self._clients.pid) - before[1]) / deliveries * 1e6)
        self._settle()

    def _received(self) -> int:
        return int(self._clients.ask("?"))

    def _settle(self) -> None:
        """Wait until nothing more comes: a broker's framing is beyond what is expected."""
        last = -1
        while (now := self._received()) != last:
            last = now
            time.sleep(0.02)

    def end(self) -> None:
        """End both."""
        self._clients.end()
        self._server.end()


def measure(
    peers: list[Peer], connections: int, repeats: int, within_s: float
) -> tuple[list[Pair], list[str]]:
    """Run all; return those that ran with their costs, and why others did not.

    No repeat is begun when ``within_s`` is over, but one is always made.
    """
    until = time.monotonic() + within_s
    absent: list[str] = []
    pairs: list[Pair] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for peer in peers:
            try:
                server = peer.start(folder)
            except Absent as why:
                absent.append(f"{peer.name}: {why}")
                continue
            pair = Pair(peer, connections, server)
            stack.callback(pair.end)
            pairs.append(pair)
            for burst in ROUNDS:
                pair.run(burst, measured=False)
        for made in range(repeats):
            if made and time.monotonic() > until:
                break
            for burst in ROUNDS:
                for pair in pairs:
                    pair.run(burst)
    return pairs, absent


def table_of(title: str, pairs: list[Pair], cell: str, against: Pair | None = None) -> Table:
    """Return a table of one figure: ``cost``, ``clients``, ``rate`` or ``ratio``."""
    table = Table("", *(f"burst {burst}" for burst in ROUNDS), title=title, title_justify="left")
    for pair in pairs:
        row = []
        for burst, costs in pair.costs.items():
            cost = statistics.median(costs.server)
            match cell:
                case "cost":
                    row.append(f"{cost:.2f}")
                case "clients":
                    row.append(f"{statistics.median(costs.clients):.2f}")
                case "rate":
                    row.append(f"{1 / cost:.2f}")
                case _:
                    assert against is not None
                    row.append(f"{cost / statistics.median(against.costs[burst].server):.2f}")
        table.add_row(pair.peer.name, *row)
    return table


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--within", type=float, default=120.0, help="seconds; fewer repeats then")
    names = [peer.name for peer in CATALOGUE]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    options = parser.parse_args()
    chosen = [peer for peer in CATALOGUE if peer.name in options.only]
    pairs, absent = measure(chosen, options.connections, options.repeats, options.within)
    console = Console()
    to = f"{options.connections} connections, {len(BODY)} bytes"
    console.print(table_of(f"CPU µs of the server a delivery, {to}", pairs, "cost"))
    by_peer = {pair.peer: pair for pair in pairs}
    for base in (TOWER, LIMIT):
        if base in by_peer:
            title = f"Times the cost of {base.name}"
            console.print(table_of(title, pairs, "ratio", by_peer[base]))
    console.print(table_of("Million deliveries/s of one core of the server", pairs, "rate"))
    console.print(table_of("CPU µs of the load generator a delivery", pairs, "clients"))
    for why in absent:
        console.print(f"left out: {why}")
    made = {len(costs.server) for pair in pairs for costs in pair.costs.values()}
    console.print(f"median of {max(made, default=0)}; {surroundings()}")


if __name__ == "__main__":
    main()
