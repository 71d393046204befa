"""What the ready queue costs: decisions a second, by how many wait and of how many users.

Run as ``python -m tests.benchmarks.bench_scheduler [decisions]``. A decision is a whole turn of a
slot: a mission gives it back (its user is charged), comes again as a new one (push), and the next
is chosen (pop). 256 slots; priorities mixed, most of them normal. A minute of the queue's time
passes in each row, so that everything that waits ages, and in one row nearly all lines age at the
same instant. Processor time, as the machine has other work; the bare heap beside it pushes and pops
as many tuples of (priority, number) at the same depth, which is priorities and nothing else.
"""

import argparse
import time
from collections import deque
from heapq import heappop, heappush

from rich.console import Console
from rich.table import Table

from control_tower.records import Priority
from control_tower.schedule.ready_queue import Grant, ReadyQueue

SLOTS = 256
SIMULATED_S = 60.0
MIX = (Priority.NORMAL,) * 6 + (Priority.HIGH, Priority.LOW, Priority.IDLE, Priority.REALTIME)


class Node:
    """A node with all slots taken and ``waiting`` missions of ``users`` queued."""

    def __init__(self, waiting: int, users: int, per_user: int | None) -> None:
        self.queue = ReadyQueue(slots=SLOTS, slots_per_user=per_user)
        self.now = 1_700_000_000.0
        self.running: deque[Grant] = deque()
        pids = [f"m_{number:026d}" for number in range(waiting + SLOTS)]
        names = [f"user-{number % users}" for number in range(waiting + SLOTS)]
        began = time.process_time()
        for number, (pid, name) in enumerate(zip(pids, names, strict=True)):
            self.queue.push(pid, name, MIX[number // users % len(MIX)], self.now)
        self.pushes_per_s = len(pids) / (time.process_time() - began)
        while (grant := self.queue.pop(self.now)) is not None:
            self.running.append(grant)

    def turn(self) -> None:
        """Make one decision."""
        queue, now = self.queue, self.now
        done = self.running.popleft()
        queue.release(done.pid, now)
        queue.push(done.pid, done.user_id, done.priority, now)
        grant = queue.pop(now)
        assert grant is not None
        self.running.append(grant)


def rate(node: Node, decisions: int) -> float:
    """Return decisions a second while a minute passes."""
    step = SIMULATED_S / decisions
    began = time.process_time()
    for _ in range(decisions):
        node.now += step
        node.turn()
    return decisions / (time.process_time() - began)


def slowest(node: Node, decisions: int) -> float:
    """Return the seconds of the slowest decision out of many."""
    step = SIMULATED_S / decisions
    worst = 0.0
    for _ in range(decisions):
        node.now += step
        began = time.process_time()
        node.turn()
        worst = max(worst, time.process_time() - began)
    return worst


def bare(waiting: int, decisions: int) -> float:
    """Return pushes with pops a second of a heap of tuples."""
    heap: list[tuple[int, int]] = []
    for number in range(waiting):
        heappush(heap, (number % 5, number))
    began = time.process_time()
    for number in range(waiting, waiting + decisions):
        heappush(heap, (number % 5, number))
        heappop(heap)
    return decisions / (time.process_time() - began)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("decisions", type=int, nargs="?", default=300_000, help="decisions a row")
    decisions: int = parser.parse_args().decisions
    table = Table("queued", "users", "a user's slots", "decisions/s", "calls/s", "pushes/s")
    for title in ("slowest ms", "bare heap/s", "ratio"):
        table.add_column(title)
    rows: list[tuple[int, int, int | None]] = [
        (waiting, users, None)
        for waiting in (1_000, 100_000, 1_000_000)
        for users in (1, 100, 10_000)
        if users <= waiting
    ]
    for waiting, users, per_user in [*rows, (100_000, 100, 2), (1_000_000, 10_000, 2)]:
        node = Node(waiting, users, per_user)
        per_s = rate(node, decisions)
        worst = slowest(node, decisions // 3)
        alone = bare(waiting, decisions)
        table.add_row(
            f"{waiting:,}",
            f"{users:,}",
            "-" if per_user is None else str(per_user),
            f"{per_s:,.0f}",
            f"{3 * per_s:,.0f}",
            f"{node.pushes_per_s:,.0f}",
            f"{1000 * worst:.1f}",
            f"{alone:,.0f}",
            f"{per_s / alone:.2f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
