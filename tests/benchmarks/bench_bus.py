"""What the bus between processes costs for each event, beside that of a process that is alone.

``python -m tests.benchmarks.bench_bus [--events N] [--per-s N] [--repeats N]``

Two nodes, each a process with a hub without connections, over a real Valkey; one sends at an even
pace, in units of two events or in deltas of some characters, which the other one wants or does not.
CPU is the kernel's count of each process. *Alone* is the same sender with the bus of one process:
making events is in none of them, the hub's own work is in all. Who hears nothing still waits, and
tells how much that takes.
"""

import argparse
import json
import secrets
import statistics
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.benchmarks.processes import Child, cpu_seconds, ending, python, surroundings
from tests.rig.redis import OwnRedis, own_redis

KINDS: Final = {"durable": "event", "delta": "delta", "unread": "delta, unread"}


@dataclass(slots=True)
class Costs:
    """CPU µs an event of each who takes part, and ms from sending to the other hub; a list each."""

    alone: list[float] = field(default_factory=list)
    sender: list[float] = field(default_factory=list)
    receiver: list[float] = field(default_factory=list)
    redis: list[float] = field(default_factory=list)
    delays_ms: list[float] = field(default_factory=list)


def alone(kind: str, count: int, per_s: int) -> float:
    """Return CPU µs an event of a process that is alone."""
    children = [Child(python("bus.node", "local", "1", "none"))]
    with ending(children):
        cpu_s: float = json.loads(children[0].ask(f"send {kind} {count} {per_s}"))["cpu_s"]
    return cpu_s / count * 1e6


def together(redis: OwnRedis, kind: str, count: int, per_s: int, costs: Costs) -> None:
    """Note what two nodes and Redis use."""
    epoch = secrets.token_hex(8)
    children: list[Child] = []
    with ending(children):
        children += [Child(python("bus.node", redis.url, str(token), epoch)) for token in (1, 2)]
        receiver, sender = children
        redis_s = cpu_seconds(redis.pid)
        receiver.tell(f"heard {1 if kind == 'unread' else count}")
        sent = json.loads(sender.ask(f"send {kind} {count} {per_s}"))
        heard = json.loads(receiver.read())
        redis_s = cpu_seconds(redis.pid) - redis_s
    costs.sender.append(sent["cpu_s"] / count * 1e6)
    costs.receiver.append(heard["cpu_s"] / count * 1e6)
    costs.redis.append(redis_s / count * 1e6)
    pairs = zip(sent["instants"][-len(heard["instants"]) :], heard["instants"], strict=True)
    costs.delays_ms += [(there - here) * 1000 for here, there in pairs]


def row(kind: str, costs: Costs) -> list[str]:
    """Return a line of the table."""
    base = statistics.median(costs.alone)
    figures = [
        f"{value:.1f} ({value / base:.1f} ×)"
        for value in map(statistics.median, (costs.sender, costs.receiver, costs.redis))
    ]
    delays = sorted(costs.delays_ms)
    late = f"{delays[len(delays) // 2]:.1f} / {delays[len(delays) * 99 // 100]:.1f}"
    return [KINDS[kind], f"{base:.1f}", *figures, late]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--per-s", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    table = Table(
        "what", "alone", "sender", "receiver", "Valkey", "ms to the other hub, p50 / p99",
        title=f"CPU µs each at {options.per_s:,} a second",
    )  # fmt: skip
    with own_redis() as redis:
        for kind in KINDS:
            costs = Costs()
            for _ in range(options.repeats):
                costs.alone.append(alone(kind, options.events, options.per_s))
                together(redis, kind, options.events, options.per_s, costs)
            table.add_row(*row(kind, costs))
    console = Console(width=110)
    console.print(table)
    console.print(surroundings())


if __name__ == "__main__":
    main()
