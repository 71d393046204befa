"""The store on PostgreSQL where it differs: a server that goes away, a seat, a schema, NUL."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from control_tower.errors import Unavailable
from control_tower.store import (
    DatabaseUnusable,
    SchemaTooNew,
    SeatTaken,
    migrations,
    postgres_store,
    readers,
    seat,
)
from control_tower.store.database import DatabaseAway
from control_tower.store.lease import Lease, suspended_time
from control_tower.store.postgres import (
    PostgresConnection,
    connect,
    conninfo_of,
    escaped,
    meaning_of,
    unescaped,
)
from control_tower.store.postgres_store import (
    PostgresStore,
    look,
    make_tables,
    node_of,
    upgrade_tables,
)
from control_tower.store.seat import Candidate
from control_tower.store.tables import metadata
from control_tower.unit import Commit, InsertMessage, InsertSession, StoreFailed, TouchSession, Unit
from tests.contract.store.kit import (
    Recorder,
    StillClock,
    all_settled,
    commit,
    joined,
    message,
    session,
    settled,
)
from tests.rig.postgres import emptied_database, fresh_database, run


@pytest.fixture
def database(postgres: str) -> str:
    """Return the URL of a database with tables and nothing in them."""
    return emptied_database(postgres)


@dataclass(slots=True)
class World:
    """What a store tells."""

    published: Recorder = field(default_factory=Recorder)
    fatal: list[BaseException] = field(default_factory=list)


@asynccontextmanager
async def opened(
    database: str, folder: Path, world: World | None = None
) -> AsyncIterator[PostgresStore]:
    """Open a store."""
    world = world or World()
    async with await PostgresStore.open(
        database,
        folder,
        publish=world.published,
        clock=StillClock(),
        url="http://127.0.0.1:1",
        on_fatal=world.fatal.append,
    ) as store:
        yield store


def cut_connections(database: str) -> None:
    """Have the server end every connection but the one that says so."""
    run(
        database,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )


class Cut:
    """Loses the connection around a COMMIT: before it is sent, or with its answer under way."""

    def __init__(self, store: PostgresStore, database: str, *, committed: bool) -> None:
        self._database = database
        self._committed = committed
        self._times = 1
        self._writing = store._core.database
        self._whole = self._writing.together
        self._writing.together = self.together  # type: ignore[method-assign]

    def together(self) -> AbstractContextManager[object]:
        """Stand in for the database's own."""
        if self._times == 0:
            return self._whole()
        self._times -= 1
        return self._cut()

    @contextmanager
    def _cut(self) -> Iterator[None]:
        if not self._committed:
            cut_connections(self._database)
        with self._whole():
            yield
        cut_connections(self._database)
        raise psycopg.OperationalError("the answer was lost")


@pytest.mark.parametrize("committed", [True, False])
async def test_what_became_of_a_lost_commit_is_found_out(
    database: str, tmp_path: Path, committed: bool
) -> None:
    """Once the server is back nobody is told "unknown", and nothing is written twice."""
    world = World()
    async with opened(database, tmp_path, world) as store:
        await commit(store, InsertSession(session()), drafts=[joined()])
        Cut(store, database, committed=committed)
        touch = TouchSession("s_1", 200.0, messages=1)
        outcome = await settled(store, Unit([joined(), joined()], [touch]))
        assert isinstance(outcome, Commit)
        assert outcome.offset == 2
        assert (await commit(store, drafts=[joined()])).offset == 4
        read = await store.session("s_1")
        assert read is not None
        assert read.message_count == 1
        assert [event.offset for event in world.published.events] == [1, 2, 3, 4]
    assert world.fatal == []


async def test_a_server_that_ended_idle_connections_is_not_noticed(
    database: str, tmp_path: Path
) -> None:
    """New work neither: the way back is one connection away."""
    async with opened(database, tmp_path) as store:
        await commit(store, InsertSession(session()))
        await store.session("s_1")
        cut_connections(database)
        outcomes = await all_settled(store, [Unit([joined()], critical=False) for _ in range(5)])
        assert all(isinstance(outcome, Commit) for outcome in outcomes), outcomes
        assert await store.session("s_1") == session()
        assert store.lease_left_s() > 0


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Return a switch: while it is on, nobody can connect."""
    state = {"away": False}

    def connecting(url: str) -> PostgresConnection:
        if state["away"]:
            raise DatabaseAway("nobody answers")
        return connect(url)

    monkeypatch.setattr(postgres_store, "connect", connecting)
    return partial(state.__setitem__, "away")


async def test_while_the_server_is_away_new_work_is_refused_and_results_wait(
    database: str, tmp_path: Path, away: Callable[[bool], None]
) -> None:
    """In order; a read that has waited long enough says so."""
    async with opened(database, tmp_path) as store:
        await commit(store, InsertSession(session()))
        away(True)
        cut_connections(database)
        held = [asyncio.ensure_future(settled(store, Unit([joined()]))) for _ in range(3)]
        await asyncio.sleep(0)
        refused = await settled(store, Unit([joined()], critical=False))
        while isinstance(refused, Commit):
            refused = await settled(store, Unit([joined()], critical=False))
        assert isinstance(refused, StoreFailed)
        assert refused.outcome == "rejected"
        away(False)
        offsets = [outcome.offset for outcome in await asyncio.gather(*held)]  # type: ignore[union-attr]
        assert offsets == sorted(offsets)


async def test_a_read_that_waited_long_enough_says_so(
    database: str,
    tmp_path: Path,
    away: Callable[[bool], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And the next one is answered, once the server is back."""
    monkeypatch.setattr(readers, "PATIENCE_S", 0.3)
    async with opened(database, tmp_path) as store:
        away(True)
        with pytest.raises(Unavailable, match="does not answer"):
            await store.session("s_1")
        away(False)
        assert await store.session("s_1") is None


async def test_closing_while_the_server_is_away_tells_who_waits(
    database: str, tmp_path: Path, away: Callable[[bool], None]
) -> None:
    """What was in doubt is unknown, the rest certainly not committed; nobody hangs."""
    store: PostgresStore
    async with opened(database, tmp_path) as store:
        await commit(store, InsertSession(session()))
        away(True)
        Cut(store, database, committed=True)
        doubtful = asyncio.ensure_future(settled(store, Unit([joined()])))
        await asyncio.sleep(0.2)
        behind = asyncio.ensure_future(settled(store, Unit([joined()])))
        await asyncio.sleep(0)
    outcomes = [await doubtful, await behind]
    assert all(isinstance(outcome, StoreFailed) for outcome in outcomes)
    assert [outcome.outcome for outcome in outcomes] == ["unknown", "rejected"]  # type: ignore[union-attr]


async def test_a_second_tower_is_refused_while_the_lease_lasts(
    database: str, tmp_path: Path
) -> None:
    """It is told who serves; once the first has left, it is let in at once."""
    async with opened(database, tmp_path / "a") as first:
        with pytest.raises(SeatTaken, match=r"http://127\.0\.0\.1:1") as taken:
            async with opened(database, tmp_path / "b"):
                pass
        assert 0 < taken.value.occupant.left_s <= seat.LEASE_S
        assert taken.value.occupant.token == first.token
    async with opened(database, tmp_path / "b") as second:
        assert second.token == first.token + 1


async def test_a_tower_that_was_killed_gets_its_own_seat_back_at_once(
    database: str, tmp_path: Path
) -> None:
    """The data folder says who it is, and its lock that nobody else is."""
    connection = connect(database)
    (tmp_path / "data").mkdir()
    dead = seat.join(connection, Candidate(node_of(tmp_path / "data"), "http://127.0.0.1:2"))
    connection.close()
    assert dead == 1
    async with opened(database, tmp_path / "data") as store:
        assert store.token == 2


async def test_who_lost_the_seat_writes_nothing(database: str, tmp_path: Path) -> None:
    """However late it wakes up: neither in a transaction nor by its lease."""
    world = World()
    async with opened(database, tmp_path, world) as store:
        await commit(store, InsertSession(session()), drafts=[joined()])
        with closing(connect(database)) as connection:
            connection.execute("UPDATE nodes SET lease_until = 0")
            assert seat.join(connection, Candidate("other", "http://127.0.0.1:3")) == 2
            late = await settled(store, Unit([joined()], [TouchSession("s_1", 300.0)]))
            assert isinstance(late, StoreFailed)
            while not world.fatal:
                await asyncio.sleep(0)  # told in a turn of its own, behind the refusal
            assert [type(one) for one in world.fatal] == [seat.SeatLost]
            assert (await store.session("s_1")) == session()
            assert isinstance(await settled(store, Unit([joined()])), StoreFailed)
            head = connection.execute("SELECT head FROM meta").fetchone()[0]
    assert head == 1


async def test_a_lease_that_is_lost_is_told_once(database: str) -> None:
    """Its thread ends; until then what is left of it counts down from before the renewal.

    When it is closed, nothing is left.
    """
    told: asyncio.Queue[BaseException] = asyncio.Queue()
    connection = connect(database)
    lease = Lease(partial(connect, database), meaning_of, 7, suspended_time(), told.put_nowait)
    lease.start()
    assert lease.left_s() <= seat.LEASE_S
    assert isinstance(await told.get(), seat.SeatLost)
    await asyncio.to_thread(lease.close)
    assert lease.left_s() <= 0
    assert told.empty()
    connection.close()


async def test_a_message_with_nul_is_given_back_as_it_was(database: str, tmp_path: Path) -> None:
    """PostgreSQL's text can't hold one; words around it are found."""
    text = "before\0after \ufdd0 \ufdd00"
    async with opened(database, tmp_path) as store:
        await commit(store, InsertSession(session()), InsertMessage(message(content=text)))
        (read,) = await store.messages("s_1", 10, 0)
        assert read.content == text
        assert len(await store.search_messages("after", "alice", 10, 0)) == 1


@pytest.mark.parametrize(
    "text",
    [
        " ".join(f"w{number}" for number in range(150_000)),
        "w1 " * 350_000,
        f"w1 {'x' * 1_000_000}",
        f"w1 {'ž' * 5_000} it's \\ 'quoted'",
    ],
    ids=["all words differ", "all words are one", "one long word", "quotes"],
)
async def test_a_message_of_a_mebibyte_is_kept_and_found(
    database: str, tmp_path: Path, text: str
) -> None:
    """The index has bounds that a text may pass; what is in front of them is found."""
    async with opened(database, tmp_path) as store:
        await commit(store, InsertSession(session()), InsertMessage(message(content=text)))
        (hit,) = await store.search_messages("W1", "alice", 10, 0)
        assert hit.message_id == "msg_1"
        (read,) = await store.messages("s_1", 10, 0)
        assert read.content == text


@given(st.text(st.sampled_from("\0\ufdd0\ufdd101a")))
def test_a_text_is_escaped_and_back(text: str) -> None:
    """Whatever it holds; what travels has no NUL."""
    assert "\0" not in escaped(text)
    assert unescaped(escaped(text)) == text


def test_the_revisions_make_the_tables(postgres: str) -> None:
    """Nothing is in one and not in the other, save what only PostgreSQL has."""
    with fresh_database(postgres) as url:
        connection = connect(url)
        make_tables(connection, url)
        make_tables(connection, url)
        connection.close()
        driver = psycopg.connect(conninfo_of(url))
        engine = create_engine(
            "postgresql+psycopg://", creator=lambda: driver, poolclass=StaticPool
        )

        def ours(_: object, name: str | None, kind: str, *__: object) -> bool:
            return not (kind == "table" and name == "messages_text")

        with engine.connect() as wrapped:
            context = MigrationContext.configure(
                wrapped, opts={"compare_type": True, "include_object": ours}
            )
            assert compare_metadata(context, metadata) == []
        engine.dispose()


class LostOnTheWay(psycopg.Cursor[Any]):
    """Loses its connection when the second revision says that it is done."""

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> Self:
        """Execute, or lose the connection."""
        if "SET version_num='0002'" in str(query):
            self.connection.close()
        return super().execute(query, *args, **kwargs)


def test_a_first_start_that_is_cut_leaves_an_empty_database(postgres: str) -> None:
    """And says what it means; the next start makes the tables, and nobody need upgrade them."""
    with fresh_database(postgres) as url, closing(connect(url)) as connection:
        with (
            psycopg.connect(conninfo_of(url), cursor_factory=LostOnTheWay) as driver,
            pytest.raises(psycopg.OperationalError) as lost,
        ):
            migrations.upgrade_server(connection, driver)
        assert isinstance(meaning_of(lost.value), DatabaseAway)
        assert migrations.schema_of(connection) is None
        make_tables(connection, url)
        assert migrations.schema_of(connection) == migrations.SCHEMA


@pytest.mark.parametrize("command", [look, upgrade_tables])
def test_a_server_that_goes_away_under_a_command_is_unusable(
    database: str, monkeypatch: pytest.MonkeyPatch, command: Callable[[str], object]
) -> None:
    """As one that was not there: a line for people, and no traceback."""

    def schema_of(connection: PostgresConnection) -> str | None:
        cut_connections(database)
        return schema_as_it_is(connection)

    schema_as_it_is = migrations.schema_of
    monkeypatch.setattr(migrations, "schema_of", schema_of)
    with pytest.raises(DatabaseUnusable, match="terminat"):
        command(database)


@pytest.mark.parametrize(
    ("version", "refusal"),
    [("9999", SchemaTooNew), ("0001", DatabaseUnusable)],
)
async def test_another_schema_is_refused_and_left_alone(
    postgres: str, tmp_path: Path, version: str, refusal: type[Exception]
) -> None:
    """A newer one for good; an older one until somebody says to upgrade it."""
    with fresh_database(postgres) as url:
        async with opened(url, tmp_path):
            pass
        run(url, f"UPDATE alembic_version SET version_num = '{version}'")
        with pytest.raises(refusal):
            async with opened(url, tmp_path):
                pass
        connection = connect(url)
        found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        connection.close()
    assert found == (version,)


async def test_a_server_that_is_not_there_is_unusable(tmp_path: Path) -> None:
    """And the folder is free again."""
    url = "postgresql://nobody@127.0.0.1:1/none"
    for _ in range(2):
        with pytest.raises(DatabaseUnusable):
            async with opened(url, tmp_path):
                pass
