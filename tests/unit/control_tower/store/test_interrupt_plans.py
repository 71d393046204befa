"""How each engine finds what a session or a user was asked, beside what all others were."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from control_tower.store import migrations
from control_tower.store.mission_queries import _interrupts
from control_tower.store.postgres import PostgresConnection, connect
from control_tower.store.postgres_store import make_tables
from tests.rig.postgres import fresh_database

INTERRUPTS, SESSIONS, USERS = 4_000, 1_000, 100
FOUND_BY = {
    ("session_no",): "interrupts_session",
    ("session_no", "status"): "interrupts_session",
    ("session_no", "kind", "beyond"): "interrupts_session",
    ("user_no",): "interrupts_user",
    ("user_no", "beyond"): "interrupts_user",
}
INSERT = (
    "INSERT INTO interrupts (no, interrupt_id, mission_no, session_no, user_no, kind, status, "
    "record) VALUES ({0}, {0}, {0}, {0}, {0}, 'clarification', 'resolved', {0})"
)


class Explaining(sqlite3.Connection):
    """SQLite that tells what it would do instead of doing it."""

    def execute(self, text: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Return the plan of a statement."""
        return super().execute(f"EXPLAIN QUERY PLAN {text}", parameters)


class ExplainingServer(PostgresConnection):
    """PostgreSQL that does."""

    def execute(self, text: str, parameters: Any = (), /) -> Any:
        """Return the plan of a statement."""
        return self.raw.execute(f"EXPLAIN {text}".encode(), parameters or None)


def rows() -> list[tuple[object, ...]]:
    """What was asked, of all sessions and users in turn."""
    return [(n, f"i_{n}", n, n % SESSIONS, n % USERS, b"{}") for n in range(1, INTERRUPTS + 1)]


@pytest.fixture(params=["sqlite", "postgresql"])
def explaining(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Return a connection that explains."""
    if request.param == "sqlite":
        made = sqlite3.connect(":memory:", isolation_level=None)
        migrations.upgrade(made)
        made.executemany(INSERT.format("?"), rows())
        connection = sqlite3.connect(":memory:", factory=Explaining)
        made.backup(connection)
        made.close()
        yield connection
        connection.close()
        return
    with fresh_database(request.getfixturevalue("postgres")) as url:
        server = connect(url)
        make_tables(server, url)
        server.executemany(INSERT.format("%s"), rows())
        server.execute("ANALYZE interrupts")
        yield ExplainingServer(server.raw)
        server.close()


@pytest.mark.parametrize("newest_first", [True, False])
def test_what_was_asked_is_found_by_whom(explaining: Any, newest_first: bool) -> None:
    """By an index of the session or the user, whichever end the page begins at."""
    values = {"session_no": 7, "user_no": 7, "status": "resolved", "kind": "x", "beyond": 2_000}
    for names, index in FOUND_BY.items():
        query = _interrupts(frozenset(names), newest_first)
        given = {name: values[name] for name in names}
        plan = "\n".join(str(row[-1]) for row in query.all(explaining, **given, most=50))
        assert index in plan, (names, plan)
        assert "SCAN" not in plan, (names, plan)
