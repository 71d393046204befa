"""A search over SQLite answers from one commit, and leaves its connection as it was."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from control_tower.store import SqliteStore, search
from control_tower.store.engine import DATABASE_NAME
from control_tower.unit import InsertMessage, InsertSession
from tests.contract.store.kit import Recorder, StillClock, commit, message, session


class Interrupted(sqlite3.Connection):
    """Lets another connection do something just before messages are looked up."""

    meanwhile = ""

    def execute(self, text: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Run a statement."""
        if "json_each" in text and self.meanwhile:
            with sqlite3.connect(self.path) as other:
                other.execute(self.meanwhile)
            other.close()
        return super().execute(text, parameters)

    @property
    def path(self) -> str:
        """The database's file."""
        return str(super().execute("PRAGMA database_list").fetchone()[2])


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[Interrupted]:
    """Return a connection to a store that holds two messages about tea."""
    store = await SqliteStore.open(
        tmp_path,
        publish=Recorder(),
        clock=StillClock(),
        url="http://127.0.0.1:0",
        on_fatal=lambda _: None,
    )
    writes = [InsertMessage(message(f"msg_{n}", content="tea")) for n in range(2)]
    await commit(store, InsertSession(session()), *writes)
    await store.close()
    opened = sqlite3.connect(tmp_path / DATABASE_NAME, isolation_level=None, factory=Interrupted)
    yield opened
    opened.close()


def test_what_is_erased_meanwhile_is_still_in_the_answer(connection: Interrupted) -> None:
    """The next search knows."""
    connection.meanwhile = "DELETE FROM messages"
    assert len(search.search(connection, "tea", None, 10, 0)) == 2
    assert not connection.in_transaction
    assert search.search(connection, "tea", None, 10, 0) == []


def test_a_search_that_fails_lets_go_of_its_commit(connection: Interrupted) -> None:
    """Else its connection would see that one for ever, and the WAL could not be reused."""
    connection.meanwhile = "no statement"
    with pytest.raises(sqlite3.OperationalError):
        search.search(connection, "tea", None, 10, 0)
    assert not connection.in_transaction
