"""The full-text index over messages, as the writer keeps it (SQLite's FTS5).

It is an external-content index: it stores words, not texts, so a row leaves it only when it is
told the text that it was entered with.
"""

import sqlite3
from collections.abc import Sequence

_ADD = "INSERT INTO messages_text(rowid, content) VALUES (?, ?)"
_REMOVE = "INSERT INTO messages_text(messages_text, rowid, content) VALUES ('delete', ?, ?)"


def add(connection: sqlite3.Connection, texts: Sequence[tuple[int, str]]) -> None:
    """Enter messages, given as (number, text)."""
    connection.executemany(_ADD, texts)


def remove(connection: sqlite3.Connection, no: int, text: str) -> None:
    """Take out a message that was entered with ``text``."""
    connection.execute(_REMOVE, (no, text))
