"""Several towers over one PostgreSQL database: one log, seats that end, homes that move."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from control_tower.store import SeatTaken, database_nodes, lease, seat
from control_tower.store.database_nodes import DatabaseNodes
from control_tower.store.postgres import connect, meaning_of
from control_tower.store.postgres_store import PostgresStore
from control_tower.store.readers import ThreadReaders
from control_tower.store.seat import Candidate
from control_tower.store.statements import Connection, Cursor
from control_tower.unit import (
    Commit,
    InsertMessage,
    InsertSession,
    MarkSession,
    RequireSession,
    SessionMissing,
    StoreFailed,
    TouchSession,
    Unit,
)
from tests.contract.store.kit import (
    Recorder,
    StillClock,
    commit,
    founding,
    joined,
    message,
    mission,
    session,
    settled,
)
from tests.rig import waiting
from tests.rig.postgres import emptied_database


@pytest.fixture
def database(postgres: str) -> str:
    """Return the URL of a database with tables and nothing in them."""
    return emptied_database(postgres)


@asynccontextmanager
async def sharing(
    database: str,
    folder: Path,
    *,
    runs_missions: bool = True,
    fatal: Callable[[BaseException], None] = lambda _: None,
) -> AsyncIterator[PostgresStore]:
    """Open a store that shares its database."""
    async with await PostgresStore.open(
        database,
        folder,
        publish=Recorder(),
        clock=StillClock(),
        url="http://127.0.0.1:1",
        on_fatal=fatal,
        mode=seat.SHARED,
        runs_missions=runs_missions,
    ) as store:
        yield store


def nodes_of(store: PostgresStore) -> DatabaseNodes:
    """Return who shares with it."""
    return store.nodes


until = partial(waiting.until, within_s=30)


async def test_offsets_of_all_are_one_row_of_numbers(database: str, tmp_path: Path) -> None:
    """However the towers' transactions fall between each other: no gap, no double."""
    async with AsyncExitStack() as stack:
        stores = [
            await stack.enter_async_context(sharing(database, tmp_path / str(number)))
            for number in range(3)
        ]
        for number, store in enumerate(stores):
            own = session(f"s_{number}", user_id=f"user {number}")
            await commit(store, InsertSession(own))
        outcomes = await asyncio.gather(
            *(
                settled(
                    stores[number % 3],
                    Unit(
                        [joined(), joined()],
                        [
                            InsertMessage(message(f"msg_{number}", session_id=f"s_{number % 3}")),
                            TouchSession(f"s_{number % 3}", 200.0, messages=1),
                        ],
                    ),
                )
                for number in range(300)
            )
        )
        offsets = [
            event.offset
            for outcome in outcomes
            if isinstance(outcome, Commit)
            for event in outcome.events
        ]
        assert sorted(offsets) == list(range(1, 601))
        for number, store in enumerate(stores):
            read = await stores[(number + 1) % 3].session(f"s_{number}")
            assert read is not None
            assert read.message_count == 100
            assert len(await store.messages(f"s_{number}", 500, 0)) == 100
        page = await stores[0].read(("system",), 0, 600, 1000)
        assert [event.offset for event in page.events] == list(range(1, 601))


async def test_everybody_sees_who_is_there(database: str, tmp_path: Path) -> None:
    """Their name, whether they run missions, their load; and how far the log has come."""
    heads: list[int] = []
    async with (
        sharing(database, tmp_path / "a") as first,
        sharing(database, tmp_path / "b", runs_missions=False) as second,
    ):
        assert list(nodes_of(second).alive()) == [first.token, second.token]
        nodes_of(first).load = lambda: 7
        nodes_of(second).on_head = heads.append
        await commit(first, drafts=[joined(), joined()])
        await until(
            lambda: (
                first.token in nodes_of(second).alive()
                and nodes_of(second).alive()[first.token].load == 7
            )
        )
        alive = nodes_of(second).alive()
        assert [each.runs_missions for each in alive.values()] == [True, False]
        assert list(alive) == [first.token, second.token]
        await until(lambda: bool(heads) and heads[-1] == 2)
    assert second.token > first.token


async def test_who_is_alone_and_who_shares_keep_each_other_out(
    database: str, tmp_path: Path
) -> None:
    """Whoever came first; once nobody is there, either may come."""
    async with sharing(database, tmp_path / "a"):
        with pytest.raises(SeatTaken):
            await PostgresStore.open(
                database,
                tmp_path / "b",
                publish=Recorder(),
                clock=StillClock(),
                url="",
                on_fatal=print,
            )
    with closing(connect(database)) as connection:
        assert isinstance(seat.join(connection, Candidate("alone", "")), int)
    with pytest.raises(SeatTaken):
        async with sharing(database, tmp_path / "a"):
            pass


async def test_what_another_removes_is_not_remembered(database: str, tmp_path: Path) -> None:
    """An erasure that begins elsewhere ends what a ledger thinks of the session."""
    async with (
        sharing(database, tmp_path / "a") as first,
        sharing(database, tmp_path / "b") as second,
    ):
        await commit(first, InsertSession(session()))
        assert isinstance(
            await settled(first, Unit([joined()], require=RequireSession("s_1", "alice"))), Commit
        )
        await commit(second, MarkSession("s_1", 300.0))
        refused = await settled(first, Unit([joined()], require=RequireSession("s_1", "alice")))
        assert isinstance(refused, SessionMissing)


async def test_what_is_committed_and_not_delivered_is_known(database: str, tmp_path: Path) -> None:
    """From before others can see it until its completion has run; a refused unit is none."""
    seen: list[int | None] = []
    async with sharing(database, tmp_path / "a") as store:
        await commit(store, InsertSession(session()), drafts=[joined()])
        unit = Unit([joined(), joined()])
        unit.committed = lambda _: seen.append(store.undelivered_from())
        store.submit(unit)
        refused = Unit([joined()], require=RequireSession("none", "alice"))
        assert isinstance(await settled(store, refused), SessionMissing)
        await until(lambda: bool(seen))
        assert seen == [2]
        assert store.undelivered_from() is None


async def test_a_home_is_claimed_once_and_stays_while_its_node_lives(
    database: str, tmp_path: Path
) -> None:
    """Whoever asks later is told whose it is; one that left is nobody's home."""
    async with sharing(database, tmp_path / "b") as second:
        async with sharing(database, tmp_path / "a") as first:
            assert await nodes_of(first).home("alice") is None
            claims = [
                nodes_of(store).claim("alice", store.token)
                for store in (first, second, first, second)
            ]
            won = set(await asyncio.gather(*claims))
            assert len(won) == 1
            (home,) = won
            assert await nodes_of(second).home("alice") == home
            assert await nodes_of(second).claim("bob", first.token) == first.token
        assert await nodes_of(second).home("bob") == first.token
        assert await nodes_of(second).claim("bob", second.token) == second.token


async def test_a_home_that_is_let_go_while_it_is_claimed_is_claimed_anew(
    database: str, tmp_path: Path
) -> None:
    """An adoption removes the row that the claim waits for."""
    held_up = "SELECT 1 FROM pg_locks WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    async with sharing(database, tmp_path / "a") as store:
        with closing(connect(database)) as adopter:
            adopter.execute("INSERT INTO homes (user_id, token) VALUES ('alice', 0)")
            adopter.execute("BEGIN")
            adopter.execute("SELECT user_id FROM homes FOR UPDATE")
            claim = asyncio.create_task(nodes_of(store).claim("alice", store.token))
            await until(lambda: adopter.execute(held_up).fetchone() is not None)
            adopter.execute("DELETE FROM homes")
            adopter.execute("COMMIT")
            assert await claim == store.token
            assert await nodes_of(store).home("alice") == store.token


async def test_users_with_live_missions_are_adopted_and_others_let_go(
    database: str, tmp_path: Path
) -> None:
    """When their node has left; also those who had no home, as a tower served alone before."""
    alone = await PostgresStore.open(
        database,
        tmp_path / "a",
        publish=Recorder(),
        clock=StillClock(),
        url="",
        on_fatal=print,
    )
    async with alone:
        await commit(alone, InsertSession(session("s_2", user_id="bob")))
        await commit(alone, *founding(mission()))
    async with sharing(database, tmp_path / "b") as second:
        async with sharing(database, tmp_path / "a") as first:
            assert await nodes_of(first).adopt(10) == ["alice"]
            assert await nodes_of(second).adopt(10) == []
            assert await nodes_of(first).claim("bob", first.token) == first.token
        assert await nodes_of(second).adopt(10) == ["alice"]
        assert await nodes_of(second).home("alice") == second.token
        assert await nodes_of(second).home("bob") is None


async def test_who_is_at_home_and_at_work_is_told_page_by_page(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for those who are here; not who has nothing running, and nobody else's users."""
    monkeypatch.setattr(database_nodes, "PAGE", 2)
    users = [f"user {number}" for number in range(5)]
    async with (
        sharing(database, tmp_path / "a") as first,
        sharing(database, tmp_path / "b") as other,
    ):
        nodes = nodes_of(first)
        for number, user_id in enumerate(users):
            await commit(first, *founding(mission(f"m_{number}", f"s_{number}", user_id)))
            await nodes.claim(user_id, (other if number == 1 else first).token)
        await nodes.claim("idle", first.token)
        assert await nodes.left_out(set()) == [users[0], *users[2:]]
        assert await nodes.left_out({users[0], users[3]}) == [users[2], users[4]]
        assert await nodes_of(other).left_out({users[1]}) == []


class _Deafened:
    """A connection that is lost behind its first COMMIT: it is done, and nobody hears of it."""

    def __init__(self, connection: Connection, lost: list[str]) -> None:
        self._connection = connection
        self._lost = lost

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> Cursor:
        """See ``Connection``."""
        done = self._connection.execute(statement, parameters)
        if statement == "COMMIT" and not self._lost:
            self._lost.append(statement)
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        return done


async def test_users_whose_adoption_was_not_answered_are_not_forgotten(
    database: str, tmp_path: Path
) -> None:
    """Made again it finds no orphans, for they are ours; so it is asked who was left out."""
    async with sharing(database, tmp_path / "b") as second:
        async with sharing(database, tmp_path / "a") as first:
            await commit(first, *founding(mission()))
            await nodes_of(first).claim("alice", first.token)
        lost: list[str] = []
        readers = ThreadReaders(lambda: _Deafened(connect(database), lost), meaning_of, 1)
        nodes = DatabaseNodes(second.token, readers, lambda: None)
        assert await nodes.adopt(10) == []
        assert lost
        assert await nodes.home("alice") == second.token
        assert await nodes.left_out(set()) == ["alice"]
        readers.close()


async def test_a_tower_that_sleeps_is_buried_and_writes_nothing_when_it_wakes(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even one that went to sleep with the append lock: it holds nobody up."""
    monkeypatch.setattr(seat, "LEASE_S", 2.0)
    monkeypatch.setattr(lease, "DEAD_S", 0.5)
    program = (
        "import sys, time\n"
        "from control_tower.store import seat\n"
        "from control_tower.store.postgres import connect\n"
        "connection = connect(sys.argv[1])\n"
        "who = seat.Candidate('sleeper', '', seat.SHARED)\n"
        "token = seat.join(connection, who, 2.0)\n"
        "connection.execute('BEGIN')\n"
        "seat.turn(connection, token, seat.SHARED).taken()\n"
        "print(token, flush=True)\n"
        "sys.stdin.read()\n"
        "connection.execute('UPDATE meta SET head = 1000')\n"
        "connection.execute('COMMIT')\n"
    )
    sleeper = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        database,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert sleeper.stdout is not None
    buried: list[str] = []
    async with sharing(database, tmp_path / "a") as store:
        nodes_of(store).on_buried = lambda node: buried.append(node.name)
        token = int(await sleeper.stdout.readline())
        os.kill(sleeper.pid, signal.SIGSTOP)
        outcome = await settled(store, Unit([joined()]))
        while isinstance(outcome, StoreFailed):  # busy, until the sleeper is buried
            outcome = await settled(store, Unit([joined()]))
        assert isinstance(outcome, Commit)
        await until(lambda: buried == ["sleeper"])
        os.kill(sleeper.pid, signal.SIGCONT)
        assert sleeper.stdin is not None
        sleeper.stdin.close()
        assert await sleeper.wait() != 0
        assert (await commit(store, drafts=[joined()])).offset == 2
        assert token not in nodes_of(store).alive()


async def test_a_tower_whose_lease_ran_out_while_the_database_was_away_is_not_buried(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody's lease is over after a long absence; who comes back and renews, stays."""
    monkeypatch.setattr(lease, "DEAD_S", 2.0)
    fatal: list[BaseException] = []
    async with (
        sharing(database, tmp_path / "a", fatal=fatal.append) as first,
        sharing(database, tmp_path / "b", fatal=fatal.append) as second,
    ):
        await until(lambda: len(nodes_of(first).alive()) == 2)
        with closing(connect(database)) as connection:
            connection.execute("UPDATE nodes SET lease_until = 0")
        await asyncio.sleep(3)
        assert isinstance(await settled(first, Unit([joined()])), Commit)
        assert isinstance(await settled(second, Unit([joined()])), Commit)
    assert fatal == []
