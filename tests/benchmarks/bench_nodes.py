"""What several nodes on one machine do: missions and deliveries with 1, 2 and 4 processes.

Run as ``python -m tests.benchmarks.bench_nodes``. PostgreSQL (every commit synced), Valkey and the
clients run on the same cores as the nodes, so wall-clock figures stop growing when the machine is
full; what a mission and a delivery cost is in seconds of CPU, which is what a larger machine, or
more machines, are filled with. A server on SQLite, and one alone on PostgreSQL, stand beside.
"""

import argparse
import asyncio
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from rich.console import Console
from rich.table import Table
from websockets.asyncio.client import connect

from tests.benchmarks import apps
from tests.benchmarks.apps import COMPUTES_S
from tests.benchmarks.bench_missions import Client, burst
from tests.benchmarks.processes import Child, cpu_seconds, python, surroundings, wait_until
from tests.benchmarks.serving import serving
from tests.rig.postgres import OwnServer
from tests.rig.redis import own_redis

USERS = 8
AT_ONCE = 3
APPS = Path(apps.__file__)
WORKING = 240
"""Missions of a round that keep a core busy."""

SETTLE_S = 60.0
STARTED_S = 4.0
"""After which a node has nothing left to do of its start."""
ALL = 0.998
"""Of the bytes of one watcher, what others have at least: nodes may place a delta behind another
event, whose offset has a digit more."""

STILL_S = 3.0
"""When nothing more comes for so long, that was all: a node that has no time drops late deltas."""

WATCH = json.dumps(
    {"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": {"topics": ["system"]}}
)


@dataclass(frozen=True, slots=True)
class Setup:
    """What is measured: so many processes of one tower, and what they share."""

    name: str
    processes: int
    settings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Used:
    """CPU seconds so far: of the nodes; of the database and the bus; of the clients."""

    nodes: float
    shared: float
    clients: float

    def since(self, before: "Used") -> "Used":
        """Return what was used between."""
        return Used(
            self.nodes - before.nodes, self.shared - before.shared, self.clients - before.clients
        )


@dataclass(slots=True)
class Machine:
    """The processes whose CPU is counted.

    Attributes:
        nodes: process ids of the nodes.
        shared: process ids that have the database and the bus as descendants, themselves included.
    """

    nodes: list[int]
    shared: list[int]

    def used(self) -> Used:
        """Return what was used until now."""
        shared = {pid for root in self.shared for pid in [root, *descendants(root)]}
        return Used(
            sum(map(cpu_seconds, self.nodes)), sum(map(cpu_seconds, shared)), time.process_time()
        )


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def descendants(pid: int) -> Iterator[int]:
    """Yield the processes that a process has started, and theirs."""
    for child in children(pid):
        yield child
        yield from descendants(child)


async def missions(port: int, count: int, tokens: int, agent: str = "echo") -> tuple[float, int]:
    """Let each user run so many missions over a connection of theirs; return seconds and deltas."""
    async with AsyncExitStack() as stack:
        clients, readers = [], []
        for number in range(USERS):
            url = f"ws://127.0.0.1:{port}/ws"
            socket = await stack.enter_async_context(
                connect(url, max_size=None, compression=None, proxy=None)
            )
            hello = {"jsonrpc": "2.0", "id": 0, "method": "hello"}
            await socket.send(json.dumps(hello | {"params": {"user_id": f"user-{number}"}}))
            await socket.recv()
            clients.append(Client(socket, agent))
            readers.append(asyncio.create_task(clients[-1].read()))
        began = time.perf_counter()
        await asyncio.gather(*(burst(one, count, tokens, AT_ONCE) for one in clients))
        took_s = time.perf_counter() - began
        for reader in readers:
            reader.cancel()
    return took_s, sum(client.tokens for client in clients)


async def watched(port: int, count: int, tokens: int, watchers: int) -> tuple[float, int]:
    """Do the same before watchers of everything; return seconds, and deliveries to watchers."""
    asked = [str(port), str(watchers), WATCH, '"result"']
    crowd = Child(python("fanout.clients", *asked))
    probe = Child(python("fanout.clients", str(port), "1", WATCH, '"result"'))
    try:
        head = await _head(port)
        began = time.perf_counter()
        _, deltas = await missions(port, count, tokens)
        frames = deltas + await _head(port) - head
        came = _all_that_comes(crowd, watchers * int(probe.ask("?")))
        took_s = time.perf_counter() - began - came.still_s
        return took_s, round(frames * watchers * came.part)
    finally:
        crowd.end()
        probe.end()


@dataclass(frozen=True, slots=True)
class _Came:
    """What came to watchers: which part of all, and for how long nothing more did."""

    part: float
    still_s: float


def _all_that_comes(crowd: Child, wanted: int) -> _Came:
    """Wait until watchers have so many bytes, or nothing more comes."""
    bytes_before, since = 0, time.monotonic()
    while True:
        found, now = int(crowd.ask("?")), time.monotonic()
        if found >= ALL * wanted:
            return _Came(1.0, 0.0)
        if found > bytes_before:
            bytes_before, since = found, now
        elif now - since > STILL_S:
            return _Came(found / wanted, now - since)
        time.sleep(0.02)


async def _head(port: int) -> int:
    async with connect(f"ws://127.0.0.1:{port}/ws", proxy=None) as socket:
        await socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}))
        return int(json.loads(await socket.recv())["result"]["offset"])


def measure(setup: Setup, port: int, machine: Machine, options: argparse.Namespace) -> list[str]:
    """Return the setup's row of the table."""
    count = options.missions // USERS
    time.sleep(STARTED_S)
    before = machine.used()
    time.sleep(options.idle_s)
    idle = machine.used().since(before).nodes / options.idle_s / setup.processes
    asyncio.run(missions(port, max(count // 5, AT_ONCE), options.tokens))
    rates, used = [], []
    for _ in range(options.rounds):
        before = machine.used()
        took_s, _ = asyncio.run(missions(port, count, options.tokens))
        used.append(machine.used().since(before))
        rates.append(count * USERS / took_s)
    working = []
    for _ in range(options.rounds):
        took_s, _ = asyncio.run(missions(port, WORKING // USERS, 0, "computes"))
        working.append(WORKING / took_s)
    cost = sorted(used, key=lambda one: one.nodes)[len(used) // 2]
    before = machine.used()
    took_s, deliveries = asyncio.run(watched(port, count, options.tokens, options.watchers))
    extra = machine.used().since(before).nodes - cost.nodes
    done = count * USERS
    return [
        setup.name,
        f"{max(rates):.0f} / {statistics.median(rates):.0f}",
        f"{max(working):.0f} / {statistics.median(working):.0f}",
        f"{cost.nodes / done * 1000:.2f}",
        f"{cost.shared / done * 1000:.2f}",
        f"{cost.clients / done * 1000:.2f}",
        f"{deliveries / took_s:.0f}",
        f"{extra / deliveries * 1e6:.2f}",
        f"{idle * 100:.2f}",
    ]


@contextmanager
def running(setup: Setup, database: OwnServer, shared: list[int]) -> Iterator[tuple[int, Machine]]:
    """Serve as a setup says; yield the port, and whose CPU counts."""
    arguments = ["--processes", str(setup.processes)] if setup.processes > 1 else []
    with tempfile.TemporaryDirectory() as folder:
        # Watchers that get no CPU are no reason to close them.
        settings = {"TOWER_SEND_BUFFER_BYTES": str(1 << 28)} | setup.settings
        if setup.settings:
            settings["TOWER_DATABASE_URL"] = database.empty()
        with serving(folder, *arguments, str(APPS), **settings) as (port, pid):
            if setup.processes > 1:
                url = settings["TOWER_DATABASE_URL"]
                wait_until(lambda: _nodes(url) == setup.processes, SETTLE_S, "all nodes")
            nodes = children(pid) if setup.processes > 1 else [pid]
            yield port, Machine(nodes, shared)


def _nodes(database_url: str) -> int:
    with psycopg.connect(database_url, autocommit=True) as connection:
        row = connection.execute("SELECT count(*) FROM nodes").fetchone()
    assert row is not None
    return int(row[0])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--missions", type=int, default=400, help="of each round")
    parser.add_argument("--tokens", type=int, default=100, help="streamed by each mission")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--watchers", type=int, default=50)
    parser.add_argument("--idle-s", type=float, default=8.0)
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--nodes-only", action="store_true", help="leave out servers alone")
    options = parser.parse_args()
    table = Table(
        "",
        "missions/s\nbest / median",
        f"the same, each with\n{COMPUTES_S * 1000:.0f} ms of Python",
        "node CPU\nms a mission",
        "database, bus\nms a mission",
        "clients\nms a mission",
        "deliveries/s",
        "node CPU\nµs a delivery",
        "idle node\n% of a core",
        title=f"Missions of {options.tokens} tokens, {USERS} users, {USERS * AT_ONCE} at once; "
        f"{options.watchers} watchers of everything",
    )
    database = OwnServer(durable=True)
    with own_redis() as bus:
        both = {"TOWER_DATABASE_URL": "", "TOWER_REDIS_URL": bus.url}
        setups = [
            Setup("SQLite", 1),
            Setup("PostgreSQL, alone", 1, {"TOWER_DATABASE_URL": ""}),
            *(Setup(f"{n} of a cluster", n, both) for n in options.processes),
        ]
        shared = [database.pid, bus.pid]
        for setup in itertools.islice(setups, 2 * options.nodes_only, None):
            with running(setup, database, shared) as (port, machine):
                table.add_row(*measure(setup, port, machine, options))
    database.close()
    wide = Console(width=150)
    wide.print(table)
    wide.print(surroundings(Path(tempfile.gettempdir())))


if __name__ == "__main__":
    main()
