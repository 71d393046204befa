"""Statements as they are prepared: what SQLite makes of them."""

import sqlite3
from typing import Any

import pytest
from sqlalchemy import delete, select

from control_tower.store import migrations
from control_tower.store.statements import Query, one_of
from control_tower.store.tables import messages, sessions, steps


class Explaining(sqlite3.Connection):
    """Tells what it would do instead of doing it."""

    def execute(self, text: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Return the plan of a statement."""
        return super().execute(f"EXPLAIN QUERY PLAN {text}", parameters)


@pytest.mark.parametrize(
    "statement",
    [
        delete(steps).where(one_of(steps.c.no, "nos")),
        select(messages.c.no)
        .join(sessions, sessions.c.no == messages.c.session_no)
        .where(one_of(messages.c.no, "nos"), sessions.c.deleted_at.is_(None)),
    ],
)
def test_one_of_a_list_is_looked_up_by_its_key(statement: Any) -> None:
    """Alone and beside another condition; nothing goes through a whole table."""
    made = sqlite3.connect(":memory:", isolation_level=None)
    migrations.upgrade(made)
    connection = sqlite3.connect(":memory:", factory=Explaining)
    made.backup(connection)
    plan = [str(row[-1]) for row in Query(statement).all(connection, nos="[1, 2]")]
    assert any(step.startswith("SEARCH") for step in plan), plan
    assert not [step for step in plan if step.startswith("SCAN") and "VIRTUAL" not in step], plan
    connection.close()
    made.close()
