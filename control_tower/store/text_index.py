"""The full-text index over messages, as the writer keeps it (SQLite's FTS5).

It stores words, not texts (``content=''``), so a row leaves it only when it is told the text that
it was entered with. Its row's number is the user's number above the message's: a user's messages
are a range of it, so that another's million messages cost a search nothing.
"""

import sqlite3
from collections.abc import Sequence

MESSAGE_BITS = 32
MESSAGE_MASK = (1 << MESSAGE_BITS) - 1

_ADD = "INSERT INTO messages_text(rowid, content) VALUES (?, ?)"
_REMOVE = "INSERT INTO messages_text(messages_text, rowid, content) VALUES ('delete', ?, ?)"


def place(user_no: int, message_no: int) -> int:
    """Return the row's number of a user's message."""
    return (user_no << MESSAGE_BITS) | message_no


def message_no(placed: int) -> int:
    """Return the number of the message at ``placed``."""
    return placed & MESSAGE_MASK


def add(connection: sqlite3.Connection, texts: Sequence[tuple[int, str]]) -> None:
    """Enter messages, given as (place, text)."""
    connection.executemany(_ADD, texts)


def remove(connection: sqlite3.Connection, placed: int, text: str) -> None:
    """Take out a message that was entered with ``text``."""
    connection.execute(_REMOVE, (placed, text))
