"""One event, or a burst, to a thousand connections: what a delivery costs the server.

``python -m tests.benchmarks.bench_fanout [--connections N] [--rounds N] [--memory N]``

Each way of sending is a server process of its own; their runs alternate, so that a busy machine
is unfair to all alike, and the figure is the median. ``write`` is a loop of write(2) in Python with
the frame built once: the system call itself. ``write-joined`` does that once a burst.
"""

import argparse
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Final

KINDS = ("hub", "write", "write-joined", "websockets", "starlette")
BURSTS = (1, 8, 32, 128)
GAP_MS: Final = 20.0


class Child:
    """A process that answers lines with lines."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.first = self.read()

    def read(self) -> str:
        """Return its next line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a process of the benchmark ended early")
        return line.strip()

    def ask(self, line: str) -> str:
        """Send a line and return the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self.read()

    def end(self) -> None:
        """Close its input and wait."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@dataclass
class Pair:
    """A server and its clients."""

    kind: str
    connections: int
    server: Child = field(init=False)
    clients: Child = field(init=False)

    def __post_init__(self) -> None:
        self.server = Child("fanout_servers", self.kind)
        self.clients = Child("fanout_clients", self.server.first, str(self.connections))
        while int(self.server.ask("count")) < self.connections:
            time.sleep(0.05)

    def run(self, rounds: int, burst: int) -> tuple[float, float]:
        """Return CPU µs and wall µs a delivery, once all of it has arrived."""
        before = self._settled()
        cpu, wall = map(float, self.server.ask(f"run {rounds} {burst} {GAP_MS}").split())
        deliveries = rounds * burst * self.connections
        size = (self._settled() - before) / deliveries
        if not 200 < size < 400:
            raise SystemExit(f"{self.kind}: {size} bytes arrived for each delivery")
        return cpu / deliveries * 1e6, wall / deliveries * 1e6

    def _settled(self) -> int:
        """Return the bytes received once no more come."""
        last = -1
        while (now := int(self.clients.ask("?"))) != last:
            last = now
            time.sleep(0.15)
        return now

    def end(self) -> None:
        """End both."""
        self.clients.end()
        self.server.end()


def fan_out(connections: int, rounds: int, repeats: int) -> None:
    """Print the table of costs."""
    print(f"CPU µs of the server for each delivery, {connections} connections, 256-byte events")
    print(f"{'':14}" + "".join(f"{f'burst {burst}':>12}" for burst in BURSTS))
    pairs = [Pair(kind, connections) for kind in KINDS]
    costs: dict[tuple[str, int], list[float]] = {}
    try:
        for _ in range(repeats):
            for burst in BURSTS:
                for pair in pairs:
                    # Bursts for fewer rounds: the same work in about the same time.
                    cpu, _ = pair.run(max(5, round(rounds / burst**0.5)), burst)
                    costs.setdefault((pair.kind, burst), []).append(cpu)
    finally:
        for pair in pairs:
            pair.end()
    medians = {key: statistics.median(values) for key, values in costs.items()}
    for kind in KINDS:
        print(f"{kind:14}" + "".join(f"{medians[kind, burst]:12.2f}" for burst in BURSTS))
    print("times the hub's cost")
    for kind in KINDS[1:]:
        ratios = (medians[kind, burst] / medians["hub", burst] for burst in BURSTS)
        print(f"{kind:14}" + "".join(f"{ratio:12.2f}" for ratio in ratios))
    best = 1 / medians["hub", BURSTS[-1]]
    print(f"deliveries/s of one core in bursts of {BURSTS[-1]}: {best:.1f} million")


def memory(connections: int) -> None:
    """Print what an idle connection costs."""
    for kind in ("hub", "starlette"):
        server = Child("fanout_servers", kind)
        warm = Child("fanout_clients", server.first, "50")
        before = int(server.ask("memory"))
        clients = Child("fanout_clients", server.first, str(connections))
        while int(server.ask("count")) < connections + 50:
            time.sleep(0.05)
        each = (int(server.ask("memory")) - before) / connections / 1024
        print(f"{kind:14}{each:8.1f} KiB for each of {connections} idle connections")
        for child in (clients, warm, server):
            child.end()


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--memory", type=int, default=1000, help="idle connections; 0 for none")
    arguments = parser.parse_args()
    fan_out(arguments.connections, arguments.rounds, arguments.repeats)
    if arguments.memory:
        memory(arguments.memory)


if __name__ == "__main__":
    main()
