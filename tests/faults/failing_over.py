"""Two servers over one PostgreSQL database: one serves, the other stands by, and things die.

Run it for as many faults as you like::

    python -m tests.faults.failing_over --faults 20 --seed 7

A fault is a kill of the server that serves, a pause of it (it sleeps through its own replacement
and then wakes), or a crash of the database. The clients and the judge are those of ``killing.py``.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

from tests.faults.crowd import Follower, Regular, Watcher
from tests.faults.killing import APP, IN_FLIGHT, SETTINGS, attending, finish
from tests.faults.oracle import Verdict, judge, read_log
from tests.faults.people import Person, Shared
from tests.faults.witness import Ledger, Sink
from tests.integration.tower_process import TowerProcess
from tests.rig.postgres import OwnServer

FAULTS = ("kill", "pause", "database")
FATAL_EXIT_CODE = 74
BETWEEN_S = (0.5, 2.5)
WAKE_S = 20.0
LOOK_S = 0.05


class Pair:
    """Two servers, of which one serves.

    Attributes:
        takeovers_s: from each fault to the moment when the other server served.
    """

    def __init__(self, folder: Path, seed: int, database: OwnServer) -> None:
        self.random = Random(seed)
        self.sink = Sink(folder / "sink.jsonl")
        self.ledger = Ledger(folder / "ledger.jsonl")
        self.takeovers_s: list[float] = []
        self.faults: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._database = database
        self._towers = [
            TowerProcess(
                folder / name,
                str(APP),
                FAULTS_SINK=str(self.sink.path),
                TOWER_DATABASE_URL=database.url,
                **SETTINGS,
            )
            for name in ("a", "b")
        ]
        self._up = asyncio.Event()
        self._asleep = False

    # -- what the clients know ------------------------------------------------------------

    async def ws_url(self) -> str:
        """Return where `/ws` is of the server that serves; a load balancer knows it."""
        await self._up.wait()
        return self.serving.ws_url

    def notice(self, what: str) -> None:
        """Faults come at their own times here."""

    async def all_awake(self) -> None:
        """Wait until nobody sleeps."""
        while self._asleep:
            await asyncio.sleep(LOOK_S)

    # -- lives ----------------------------------------------------------------------------

    @property
    def serving(self) -> TowerProcess:
        """The server that serves."""
        return self._towers[0]

    async def live(self) -> None:
        """Start one server, and then the one that stands by."""
        await asyncio.to_thread(self.serving.start)
        self._towers[1].launch()
        self._up.set()

    async def suffer(self, fault: str) -> None:
        """Let one thing happen, and wait until somebody serves again."""
        await asyncio.sleep(self.random.uniform(*BETWEEN_S))
        self.ledger.keep_seen()
        self.faults[fault] += 1
        if fault == "database":
            await asyncio.to_thread(self._database.restart)
            return
        dead = self.serving
        self._asleep = fault == "pause"
        dead.signal(signal.SIGKILL if fault == "kill" else signal.SIGSTOP)
        await self._take_over()
        if fault == "pause":
            dead.signal(signal.SIGCONT)
            await self._wakes_and_ends(dead)
            self._asleep = False
        else:
            await asyncio.to_thread(dead.wait)
        dead.launch()

    async def _take_over(self) -> None:
        began = time.monotonic()
        self._up.clear()
        self._towers.reverse()
        await asyncio.to_thread(self.serving.announced)
        self.takeovers_s.append(time.monotonic() - began)
        self._up.set()

    async def _wakes_and_ends(self, dead: TowerProcess) -> None:
        """Whoever slept through its replacement finds out, and ends."""
        try:
            code = await asyncio.to_thread(dead.wait, WAKE_S)
        except subprocess.TimeoutExpired:
            self.wrong.append("a server that was replaced goes on")
            dead.kill()
            return
        if code != FATAL_EXIT_CODE:
            self.wrong.append(f"a server that was replaced ended with {code}")

    async def stop(self) -> list[int]:
        """Ask the server that serves to end, then the other, once it serves; return their codes.

        The other one may have been launched a moment ago: SIGTERM would find a bare Python.
        """
        first, second = self._towers
        code = await asyncio.to_thread(first.stop)
        await asyncio.to_thread(second.announced)
        return [code, await asyncio.to_thread(second.stop)]

    def end(self) -> None:
        """Make sure that both are gone."""
        for tower in self._towers:
            with contextlib.suppress(ProcessLookupError):
                tower.signal(signal.SIGCONT)
            tower.end()


async def run(folder: Path, faults: list[str], seed: int) -> Verdict:
    """Let the faults happen, let everything finish, and judge."""
    began = time.monotonic()
    database = await asyncio.to_thread(OwnServer)
    pair = Pair(folder, seed, database)
    shared = Shared(pair, pair.ledger, pair.sink, Random(seed + 1), itertools.count(1))
    people: list[Person] = [
        Watcher("operator", shared, ["system"], 0),
        Person("alice", shared, ["user:alice"], IN_FLIGHT - 2 * (IN_FLIGHT // 3)),
        Follower("bob", shared, IN_FLIGHT // 3),
        Regular("carol", shared, IN_FLIGHT // 3),
    ]
    try:
        await pair.live()
        async with attending(people):
            for fault in faults:
                await pair.suffer(fault)
            for person in people:
                person.enough()
            await finish(people, shared)
        log = await read_log(pair.serving.ws_url)
        verdict = judge(log, people, pair.ledger, pair.sink)
        codes = await pair.stop()
        if codes != [0, 0]:
            verdict.wrong.append(f"the servers ended with {codes} on SIGTERM")
    finally:
        pair.end()
        await asyncio.to_thread(database.close)
    verdict.wrong += pair.wrong
    verdict.figures |= {f"faults: {name}": count for name, count in pair.faults.items()}
    verdict.figures["takeover, longest, s"] = round(max(pair.takeovers_s, default=0.0))
    verdict.figures["seconds"] = round(time.monotonic() - began)
    return verdict


def main() -> None:
    """Run from the command line; the exit code says whether all was well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=6)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--folder", type=Path, help="keep everything here")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="tower-failing-over-"))
    folder.mkdir(parents=True, exist_ok=True)
    faults = Random(options.seed).choices(FAULTS, k=options.faults)
    verdict = asyncio.run(run(folder, faults, options.seed))
    sys.stdout.write(f"seed {options.seed}, everything in {folder}\n{verdict.table()}\n")
    raise SystemExit(1 if verdict.wrong else os.EX_OK)


if __name__ == "__main__":
    main()
