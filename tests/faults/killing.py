"""Kill the server with SIGKILL, again and again, under missions in flight, and check everything.

Run it for as many kills as you like::

    python -m tests.faults.killing --kills 300 --seed 7

A kill comes after a random time, or the moment a client has seen or sent a chosen thing, or while
the server starts. The same seed gives the same plan; the machine's timing is its own.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.faults.crowd import Follower, Regular, Watcher
from tests.faults.oracle import Verdict, judge, read_log
from tests.faults.people import Person, Shared
from tests.faults.witness import Ledger, Sink
from tests.integration.tower_process import TowerProcess

APP = Path(__file__).parent / "apps" / "ledgered.py"
SETTINGS = {
    "TOWER_RATE_LIMITS": "off",
    "TOWER_MAX_RUNNING": "4",
    "TOWER_PARK_AFTER_S": "0.3",
    "TOWER_LOG_LEVEL": "warning",
}
IN_FLIGHT = 20
LONGEST_LIFE_S = 1.2
FINISH_S = 60.0

TRIGGERS = (
    "step.started",
    "step.completed",
    "interrupt.raised",
    "interrupt.resolved",
    "mission.submitted",
    "mission.recovered",
    "mission.waiting",
    "mission.blocked",
    "mission.resumed",
    "mission.completed",
    "llm.delta",
    "sent mission.submit",
    "sent confirm",
    "sent clarify",
    "sent interrupt.answer",
    "sent mission.cancel",
    "sent mission.pause",
)


@dataclass(slots=True)
class Deathtrap:
    """Decides when the running server dies.

    Attributes:
        what: the thing at a client that triggers the kill; None to wait for time only.
        left: how many of them are to come.
        delay_s: how long after the last of them; 0 is in the middle of what the client does.
    """

    tower: TowerProcess
    what: str | None
    left: int
    delay_s: float
    killed: asyncio.Event = field(default_factory=asyncio.Event)

    def notice(self, what: str) -> None:
        """Kill if this is it."""
        if what != self.what:
            return
        self.left -= 1
        if self.left == 0 and self.delay_s:
            asyncio.get_running_loop().call_later(self.delay_s, self.kill)
        elif self.left == 0:
            self.kill()

    def kill(self) -> None:
        """Kill, once."""
        if not self.killed.is_set():
            self.tower.signal(signal.SIGKILL)
            self.killed.set()


class Supervisor:
    """Runs the server, lives of it one after the other, over one data folder."""

    def __init__(self, folder: Path, seed: int, **settings: str) -> None:
        self.random = Random(seed)
        self.sink = Sink(folder / "sink.jsonl")
        self.ledger = Ledger(folder / "ledger.jsonl")
        self.kills: Counter[str] = Counter()
        self.tower = TowerProcess(
            folder / "data", str(APP), FAULTS_SINK=str(self.sink.path), **SETTINGS, **settings
        )
        self._up = asyncio.Event()
        self._trap: Deathtrap | None = None

    # -- what the clients know ------------------------------------------------------------

    async def ws_url(self) -> str:
        """Return where `/ws` is, once the server runs."""
        await self._up.wait()
        return self.tower.ws_url

    def notice(self, what: str) -> None:
        """Something happened at a client."""
        if self._trap is not None:
            self._trap.notice(what)

    async def all_awake(self) -> None:
        """Nobody is ever asleep here."""

    # -- lives ----------------------------------------------------------------------------

    async def live(self) -> None:
        """Start the server, and let it run."""
        await asyncio.to_thread(self.tower.start)
        self._up.set()

    async def die(self) -> str:
        """Start the server and kill it some time; return how that moment was chosen."""
        self.ledger.keep_seen()
        dice = self.random.random()
        if dice < 0.15:
            return await self._die_starting()
        what = self.random.choice(TRIGGERS) if dice < 0.6 else None
        delay_s = self.random.choice((0.0, self.random.uniform(0.0005, 0.01)))
        trap = Deathtrap(self.tower, what, self.random.randint(1, 8), delay_s)
        patience_s = self.random.uniform(0.02, LONGEST_LIFE_S) if what is None else LONGEST_LIFE_S
        await asyncio.to_thread(self.tower.start)
        self._trap = trap
        self._up.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(trap.killed.wait(), patience_s)
        by_trigger = trap.killed.is_set()
        trap.kill()
        self._up.clear()
        self._trap = None
        await asyncio.to_thread(self.tower.wait)
        return "at a moment of the clients" if by_trigger else "after a time"

    async def _die_starting(self) -> str:
        before = self.tower._process
        starting = asyncio.create_task(asyncio.to_thread(self.tower.start))
        while self.tower._process is before:
            await asyncio.sleep(0.01)
        await asyncio.sleep(self.random.uniform(0.3, 1.6))
        self.tower.signal(signal.SIGKILL)
        # It may have been up before the kill: then start() succeeded.
        await asyncio.gather(starting, return_exceptions=True)
        await asyncio.to_thread(self.tower.wait)
        return "while starting"

    async def stop(self) -> int:
        """Ask the server to end; return its exit code."""
        self._up.clear()
        return await asyncio.to_thread(self.tower.stop)


async def run(folder: Path, kills: int, seed: int, **settings: str) -> Verdict:
    """Kill the server ``kills`` times, let everything finish, and judge."""
    began = time.monotonic()
    supervisor = Supervisor(folder, seed, **settings)
    shared = Shared(
        supervisor,
        supervisor.ledger,
        supervisor.sink,
        Random(seed + 1),
        itertools.count(1),
    )
    people: list[Person] = [
        Watcher("operator", shared, ["system"], 0),
        Person("alice", shared, ["user:alice"], IN_FLIGHT - 2 * (IN_FLIGHT // 3)),
        Follower("bob", shared, IN_FLIGHT // 3),
        Regular("carol", shared, IN_FLIGHT // 3),
    ]
    try:
        async with attending(people):
            for _ in range(kills):
                supervisor.kills[await supervisor.die()] += 1
            await supervisor.live()
            for person in people:
                person.enough()
            await finish(people, shared)
        log = await read_log(supervisor.tower.ws_url)
        verdict = judge(log, people, supervisor.ledger, supervisor.sink)
        code = await supervisor.stop()
        if code != 0:
            verdict.wrong.append(f"the server ended with {code} on SIGTERM")
        await supervisor.live()
        again = await read_log(supervisor.tower.ws_url)
        if [text for _, text in again[: len(log)]] != [text for _, text in log]:
            verdict.wrong.append("the log is another one after a restart")
        await supervisor.stop()
    finally:
        supervisor.tower.end()
    verdict.figures["kills"] = sum(supervisor.kills.values())
    verdict.figures |= {f"kills {how}": count for how, count in supervisor.kills.items()}
    verdict.figures["seconds"] = round(time.monotonic() - began)
    return verdict


@contextlib.asynccontextmanager
async def attending(people: list[Person]) -> AsyncIterator[None]:
    """Let the clients live while the body runs."""
    tasks = [asyncio.create_task(person.attend()) for person in people]
    tasks += [asyncio.create_task(person.work()) for person in people]
    try:
        yield
    finally:
        for person in people:
            await person.end()
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended


async def finish(people: list[Person], shared: Shared) -> None:
    """Wait until every mission has ended and every client has heard of it."""
    deadline = time.monotonic() + FINISH_S
    while not all(person.idle for person in people):
        if time.monotonic() > deadline:
            await _say_stuck(people, shared)
            return
        await asyncio.sleep(0.05)
    # What follows a mission's end (its children's) has no other sign of being over.
    heads: list[int] = []
    while len(heads) < 3 or len(set(heads[-3:])) > 1:
        heads.append(max((person.received[-1] for person in people if person.received), default=0))
        await asyncio.sleep(0.3)
        for person in people:
            await person.insist("ping")


async def _say_stuck(people: list[Person], shared: Shared) -> None:
    for person in people:
        for key, pid in person.open.items():
            why = None if pid is None else await people[0].insist("mission.explain", mission_id=pid)
            shared.ledger.wrong.append(f"{key} ({pid}) of {person.name} did not end: {why}")


def main() -> None:
    """Run from the command line; the exit code says whether all was well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--folder", type=Path, help="keep everything here")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="tower-kills-"))
    folder.mkdir(parents=True, exist_ok=True)
    verdict = asyncio.run(run(folder, options.kills, options.seed))
    sys.stdout.write(f"seed {options.seed}, everything in {folder}\n{verdict.table()}\n")
    raise SystemExit(1 if verdict.wrong else os.EX_OK)


if __name__ == "__main__":
    main()
