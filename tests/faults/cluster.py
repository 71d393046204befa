"""Several nodes that all serve one database, kept alive as by a supervisor, and the way to them."""

import asyncio
import contextlib
import signal
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

import psycopg

from tests.faults.killing import APP, SETTINGS
from tests.faults.takeovers import Loss
from tests.faults.witness import Ledger, Sink
from tests.integration.tower_process import START_S, TowerProcess
from tests.rig.postgres import OwnServer
from tests.rig.redis import OwnRedis

FATAL_EXIT_CODE = 74
LOOK_S = 0.05
WAKE_S = 30.0
BURIED_S = 40.0
AGAIN_S = 0.2
GIVE_UP = 10
"""Starts in a row that fail, after which nothing is waited for."""

AT_HOMES = 0.85
"""How often who is lost is somebody's home: one that came back has nobody until others die."""

SHAKEN_S = 15.0
"""So long behind a crash of the database a node may fail to start."""

_USERS = """
    SELECT homes.user_id FROM homes JOIN nodes USING (token)
    WHERE nodes.url = %s ORDER BY homes.user_id
"""
_HOMES = "SELECT DISTINCT nodes.url FROM homes JOIN nodes USING (token)"
_SEATED = "SELECT count(*) FROM nodes WHERE url = %s"


class Member:
    """One node, over all of its lives.

    Attributes:
        up: clients may connect to it.
        doomed: its end, as soon as it comes, is our doing.
        asleep: it is suspended, or woke and has not ended yet.
        absence_s: how long it stays away after that.
        codes: the exit codes of the lives that are over.
    """

    def __init__(self, tower: TowerProcess) -> None:
        self.tower = tower
        self.up = False
        self.doomed = False
        self.asleep = False
        self.absence_s = AGAIN_S
        self.codes: list[int] = []

    async def live(self) -> None:
        """Start, serve, and end."""
        self.tower.launch()
        with contextlib.suppress(AssertionError):  # it ended before; the code says how
            await asyncio.to_thread(self.tower.announced)
            self.up = True
        while self.tower.poll() is None:
            await asyncio.sleep(LOOK_S)
        self.up = False
        self.codes.append(self.tower.wait())

    async def ended(self, lives: int) -> int:
        """Wait until so many lives are over; return the last one's exit code."""
        while len(self.codes) < lives:
            await asyncio.sleep(LOOK_S)
        return self.codes[lives - 1]


class Cluster:
    """Nodes over one database and one bus. See ``people.Place`` for what clients ask it.

    Attributes:
        losses: the nodes that were lost so far, with whom.
        ends: how nodes ended of themselves, by exit code.
        wrong: what must not be.
    """

    def __init__(self, folder: Path, seed: int, database: OwnServer, redis: OwnRedis) -> None:
        self.random = Random(seed)
        self.sink = Sink(folder / "sink.jsonl")
        self.ledger = Ledger(folder / "ledger.jsonl")
        self.losses: list[Loss] = []
        self.ends: Counter[int] = Counter()
        self.wrong: list[str] = []
        self._database = database
        self._redis = redis
        self._shaken_at = 0.0
        self._stopping = False
        self.members = [
            Member(
                TowerProcess(
                    folder / name,
                    str(APP),
                    FAULTS_SINK=str(self.sink.path),
                    TOWER_DATABASE_URL=database.url,
                    TOWER_REDIS_URL=redis.url,
                    **SETTINGS,
                )
            )
            for name in ("a", "b", "c")
        ]
        self._keeping: list[asyncio.Task[None]] = []

    # -- what the clients know ------------------------------------------------------------

    async def ws_url(self) -> str:
        """Return where `/ws` is of any node that is up, as a load balancer chooses."""
        while not (up := self._up()):
            await self._look_again()
        return self.random.choice(up).tower.ws_url

    def notice(self, what: str) -> None:
        """Faults come at their own times here."""

    async def all_awake(self) -> None:
        """Wait until nobody sleeps."""
        while any(member.asleep for member in self.members):
            await self._look_again()

    # -- lives ----------------------------------------------------------------------------

    def _up(self) -> Sequence[Member]:
        return [member for member in self.members if member.up]

    async def live(self) -> None:
        """Start all nodes, the first one alone, and keep them alive from now on."""
        for member in self.members:
            self._keeping.append(asyncio.create_task(self._keep(member)))
            await self._until_up(member)

    async def all_up(self) -> None:
        """Wait until nobody is away."""
        for member in self.members:
            await self._until_up(member)

    async def _until_up(self, member: Member) -> None:
        while not member.up:
            await self._look_again()

    async def _look_again(self) -> None:
        """Wait a little; nobody is waited for who can't come."""
        await asyncio.sleep(LOOK_S)
        for keeping in self._keeping:
            if keeping.done() and not self._stopping:
                keeping.result()

    async def _keep(self, member: Member) -> None:
        while not self._stopping:
            await member.live()
            self._judge_end(member, member.codes[-1])
            if member.codes[-GIVE_UP:] == [1] * GIVE_UP:
                raise AssertionError(f"a node can't start: {self.wrong[-1:]}")
            await asyncio.sleep(member.absence_s)
            member.absence_s, member.doomed, member.asleep = AGAIN_S, False, False

    def _judge_end(self, member: Member, code: int) -> None:
        if member.doomed or (self._stopping and code == 0):
            return
        self.ends[code] += 1
        shaken = time.monotonic() - self._shaken_at < SHAKEN_S
        if code != FATAL_EXIT_CODE and not (shaken and code == 1):
            name = member.tower.data_dir.name
            self.wrong.append(f"{name} ended with {code}: {member.tower.log.read_text()[-2000:]}")

    async def stop(self) -> list[int]:
        """Ask all nodes to end at once; return their exit codes."""
        self._stopping = True
        for member in self.members:
            member.tower.signal(signal.SIGTERM)
        async with asyncio.timeout(START_S):
            await asyncio.gather(*self._keeping)
        return [member.codes[-1] for member in self.members]

    async def end(self) -> None:
        """Make sure that all are gone."""
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        for member in self.members:
            with contextlib.suppress(ProcessLookupError, AssertionError):
                member.tower.signal(signal.SIGCONT)
            member.tower.end()

    # -- faults ---------------------------------------------------------------------------

    async def kill(self) -> None:
        """Kill a node, which comes back at once or when others have its users for long."""
        victim = await self._victim()
        victim.absence_s = self.random.choice((AGAIN_S, self.random.uniform(9, 14)))
        await self._lose(victim, "killed", signal.SIGKILL)

    async def put_to_sleep(self) -> None:
        """Suspend a node for longer than its lease, and wake it: it must find out, and end."""
        victim = await self._victim()
        url, lives = victim.tower.url, len(victim.codes)
        await self._lose(victim, "asleep", signal.SIGSTOP)
        victim.asleep = True
        deadline = time.monotonic() + BURIED_S
        while await asyncio.to_thread(self._rows, _SEATED, url) != [0]:
            if time.monotonic() > deadline:
                self.wrong.append(f"a node that slept for {BURIED_S:.0f} s was not buried")
                break
            await asyncio.sleep(0.2)
        await asyncio.sleep(self.random.uniform(0, 2))
        victim.tower.signal(signal.SIGCONT)
        try:
            code = await asyncio.wait_for(victim.ended(lives + 1), WAKE_S)
        except TimeoutError:
            self.wrong.append("a node that was replaced goes on")
            victim.tower.signal(signal.SIGKILL)
            return
        if code != FATAL_EXIT_CODE:
            self.wrong.append(f"a node that was replaced ended with {code}")

    async def restart_database(self) -> None:
        """Crash the database and start it again."""
        self._shaken_at = time.monotonic()
        await asyncio.to_thread(self._database.restart)
        self._shaken_at = time.monotonic()

    async def restart_bus(self) -> None:
        """Kill the bus, and start it again after a while."""
        await asyncio.to_thread(self._redis.stop)
        await asyncio.sleep(self.random.uniform(0.2, 3))
        await asyncio.to_thread(self._redis.start)

    async def pause_bus(self) -> None:
        """Suspend the bus: connections stay open, and nothing is answered."""
        self._redis.suspend()
        await asyncio.sleep(10)
        self._redis.resume()

    async def _victim(self) -> Member:
        """Return a node that is not the only one that is up; mostly one where users are at home."""
        while len(up := self._up()) < 2:
            await self._look_again()
        urls = await asyncio.to_thread(self._rows, _HOMES)
        homes = [member for member in up if member.tower.url in urls]
        return self.random.choice(homes if homes and self.random.random() < AT_HOMES else up)

    async def _lose(self, victim: Member, how: str, number: int) -> None:
        users = await asyncio.to_thread(self._rows, _USERS, victim.tower.url)
        self.ledger.keep_seen()
        victim.up, victim.doomed = False, True
        loss = Loss(how, tuple(str(user) for user in users))
        self.losses.append(loss)
        self.ledger.write("lost", how=how, users=loss.users, at=loss.at)
        victim.tower.signal(number)

    def _rows(self, query: str, *values: str) -> list[object]:
        with psycopg.connect(self._database.url, autocommit=True) as connection:
            return [row[0] for row in connection.execute(query.encode(), values).fetchall()]
