"""What an idle connection costs a whole server in memory, at ten thousand of them.

``python -m tests.benchmarks.bench_memory [--connections N]``

The proportional set size of the server's process before and after the connections came, over raw
sockets in other processes. A first batch that is not counted warms the server up. Beside it, what
Starlette's endpoint takes under the same uvicorn. The kernel's socket buffers are in no process's
memory and not in these figures.
"""

import argparse
import tempfile
import time
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.benchmarks.fanout.catalogue import SUBSCRIBE
from tests.benchmarks.processes import Child, ending, pss_bytes, python, surroundings
from tests.benchmarks.serving import serving

A_PROCESS: Final = 5000
"""Connections of one process of clients, within its limit of descriptors."""

WARM: Final = 200
SETTLE_S: Final = 1.0
SUBSCRIBED: Final = SUBSCRIBE[:-1] + ',"params":{"topics":["user:local"]}}'


def kib_each(port: int, pid: int, connections: int, *greeting: str) -> float:
    """Return KiB a connection of the server ``pid``."""
    children: list[Child] = []
    with ending(children):
        children.append(Child(python("fanout.clients", str(port), str(WARM), *greeting)))
        time.sleep(SETTLE_S)
        before = pss_bytes(pid)
        for first in range(0, connections, A_PROCESS):
            count = str(min(A_PROCESS, connections - first))
            children.append(Child(python("fanout.clients", str(port), count, *greeting)))
        time.sleep(SETTLE_S)
        return (pss_bytes(pid) - before) / connections / 1024


def tower(connections: int, *greeting: str) -> float:
    """Return KiB a connection of the tower."""
    limit = str(connections + WARM)
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(folder, TOWER_MAX_CONNECTIONS=limit) as (port, pid),
    ):
        return kib_each(port, pid, connections, *greeting)


def starlette(connections: int) -> float:
    """Return KiB a connection of an endpoint of Starlette that waits for text."""
    server = Child(python("fanout.peers.starlette_loop"))
    with ending([server]):
        return kib_each(int(server.first), server.pid, connections)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--connections", type=int, default=10_000)
    count = parser.parse_args().connections
    table = Table("", "KiB each", title=f"Memory of the server at {count} idle connections")
    table.add_row("tower, connected", f"{tower(count):.1f}")
    table.add_row("tower, subscribed to a topic", f"{tower(count, SUBSCRIBED, 'result'):.1f}")
    table.add_row("Starlette endpoint", f"{starlette(count):.1f}")
    console = Console()
    console.print(table)
    console.print(surroundings())


if __name__ == "__main__":
    main()
