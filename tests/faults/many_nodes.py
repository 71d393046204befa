"""Three nodes that all serve one database, under load, while nodes, the bus and the database die.

Run it for as many faults as you like::

    python -m tests.faults.many_nodes --kills 50 --bus-restarts 10 --bus-pauses 5 \
        --database-restarts 5 --sleeps 5 --seed 7

Clients are connected to any node and come back to any other. The judge is that of ``killing.py``;
it also asks every node for the log, and how long users were without a home.
"""

import argparse
import asyncio
import itertools
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from random import Random

from tests.faults.cluster import Cluster
from tests.faults.crowd import Follower, Regular, Watcher
from tests.faults.killing import attending, finish
from tests.faults.oracle import Log, Verdict, judge, read_log
from tests.faults.people import Person, Shared
from tests.faults.takeovers import takeovers_s
from tests.rig.postgres import OwnServer
from tests.rig.redis import OwnRedis

IN_FLIGHT = 3
"""Missions of each user; six users are at home all over the cluster."""

BETWEEN_S = (0.3, 2.0)
BETWEEN_BUS_FAULTS_S = (1.0, 6.0)
TAKEOVER_S = 15.0
"""As promised. A machine that does much else is late; twice as late it has no excuse for."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Plan:
    """How many of each fault. Those of the bus happen beside the others, which take turns."""

    kills: int = 5
    sleeps: int = 1
    database_restarts: int = 1
    bus_restarts: int = 2
    bus_pauses: int = 1


Fault = Callable[[], Awaitable[None]]


class Weather:
    """Lets the faults of a plan happen to a cluster, in an order that a seed decides."""

    def __init__(self, cluster: Cluster, plan: Plan, random: Random) -> None:
        self.counts: Counter[str] = Counter()
        self._ledger = cluster.ledger
        self._random = random
        self._nodes = self._shuffled(
            (cluster.kill, plan.kills),
            (cluster.put_to_sleep, plan.sleeps),
            (cluster.restart_database, plan.database_restarts),
        )
        self._bus = self._shuffled(
            (cluster.restart_bus, plan.bus_restarts), (cluster.pause_bus, plan.bus_pauses)
        )

    def _shuffled(self, *faults: tuple[Fault, int]) -> list[Fault]:
        all_of_them = [fault for fault, count in faults for _ in range(count)]
        self._random.shuffle(all_of_them)
        return all_of_them

    async def pass_over(self) -> None:
        """Let everything happen."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._suffer(self._nodes, BETWEEN_S))
            both.create_task(self._suffer(self._bus, BETWEEN_BUS_FAULTS_S))

    async def _suffer(self, faults: Sequence[Fault], between_s: tuple[float, float]) -> None:
        for fault in faults:
            await asyncio.sleep(self._random.uniform(*between_s))
            name = getattr(fault, "__name__", "?").replace("_", " ")
            self.counts[name] += 1
            self._ledger.write("fault", name=name, at=time.time())
            await fault()


def crowd(shared: Shared) -> list[Person]:
    """Return an operator who sees everything, and six users of each kind."""
    return [
        Watcher("operator", shared, ["system"], 0),
        Person("alice", shared, ["user:alice"], IN_FLIGHT),
        Person("ben", shared, ["user:ben"], IN_FLIGHT),
        Follower("cleo", shared, IN_FLIGHT),
        Follower("dan", shared, IN_FLIGHT),
        Regular("eve", shared, IN_FLIGHT),
        Regular("finn", shared, IN_FLIGHT),
    ]


async def run(folder: Path, plan: Plan, seed: int) -> Verdict:
    """Let the faults happen, let everything finish, and judge."""
    began = time.monotonic()
    database, redis = await asyncio.to_thread(lambda: (OwnServer(), OwnRedis()))
    cluster = Cluster(folder, seed, database, redis)
    shared = Shared(cluster, cluster.ledger, cluster.sink, Random(seed + 1), itertools.count(1))
    people = crowd(shared)
    weather = Weather(cluster, plan, Random(seed + 2))
    try:
        await cluster.live()
        async with attending(people):
            await weather.pass_over()
            await cluster.all_up()
            for person in people:
                person.enough()
            await finish(people, shared)
        logs = [await read_log(member.tower.ws_url) for member in cluster.members]
        verdict = judge(logs[0], people, cluster.ledger, cluster.sink, many_nodes=True)
        verdict.wrong += _same(logs)
        codes = await cluster.stop()
        if any(codes):
            verdict.wrong.append(f"the nodes ended with {codes} on SIGTERM")
    finally:
        await cluster.end()
        await asyncio.to_thread(redis.close)
        await asyncio.to_thread(database.close)
    _sum_up(verdict, cluster, weather, logs[0])
    verdict.figures["seconds"] = round(time.monotonic() - began)
    return verdict


def _same(logs: Sequence[Log]) -> list[str]:
    """Every node tells the same story, to the byte."""
    if all([text for _, text in log] == [text for _, text in logs[0]] for log in logs):
        return []
    return ["the nodes have different logs"]


def _sum_up(verdict: Verdict, cluster: Cluster, weather: Weather, log: Log) -> None:
    verdict.wrong += cluster.wrong
    verdict.figures |= {f"faults: {name}": count for name, count in weather.counts.items()}
    verdict.figures |= {f"ended by itself with {code}": n for code, n in cluster.ends.items()}
    waits = sorted(takeovers_s(cluster.losses, [event for event, _ in log]))
    cluster.ledger.write("takeovers", waits_s=waits)
    verdict.figures["takeovers measured"] = len(waits)
    if waits:
        verdict.figures["takeover, median, ms"] = round(waits[len(waits) // 2] * 1000)
        verdict.figures["takeover, longest, ms"] = round(waits[-1] * 1000)
        verdict.figures["takeovers later than promised"] = sum(w > TAKEOVER_S for w in waits)
    verdict.wrong += [f"a takeover took {wait:.1f} s" for wait in waits if wait > 2 * TAKEOVER_S]


def main() -> None:
    """Run from the command line; the exit code says whether all was well."""
    parser = argparse.ArgumentParser(description=__doc__)
    for each in fields(Plan):
        parser.add_argument(f"--{each.name.replace('_', '-')}", type=int, default=each.default)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--folder", type=Path, help="keep everything here")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="tower-many-nodes-"))
    folder.mkdir(parents=True, exist_ok=True)
    plan = Plan(**{each.name: getattr(options, each.name) for each in fields(Plan)})
    verdict = asyncio.run(run(folder, plan, options.seed))
    sys.stdout.write(f"seed {options.seed}, everything in {folder}\n{verdict.table()}\n")
    raise SystemExit(1 if verdict.wrong else os.EX_OK)


if __name__ == "__main__":
    main()
