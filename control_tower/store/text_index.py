"""The full-text index over messages, as the writer keeps it.

Its row's number is the user's number above the message's: a user's messages are a range of it, so
that another's million messages cost a search nothing.

- SQLite's FTS5 stores words, not texts (``content=''``), so a row leaves it only when it is told
  the text that it was entered with.
- PostgreSQL has a table of ``tsvector`` with a GIN index; what a word is, ``words.py`` says.
"""

from collections.abc import Sequence

from control_tower.store.statements import Connection, engine_of
from control_tower.store.words import vector_of

MESSAGE_BITS = 32
MESSAGE_MASK = (1 << MESSAGE_BITS) - 1

_ADD = "INSERT INTO messages_text(rowid, content) VALUES (?, ?)"
_REMOVE = "INSERT INTO messages_text(messages_text, rowid, content) VALUES ('delete', ?, ?)"
_ADD_VECTOR = "INSERT INTO messages_text(place, words) VALUES (%s, CAST(%s AS tsvector))"
_REMOVE_VECTOR = "DELETE FROM messages_text WHERE place = %s"


def place(user_no: int, message_no: int) -> int:
    """Return the row's number of a user's message."""
    return (user_no << MESSAGE_BITS) | message_no


def message_no(placed: int) -> int:
    """Return the number of the message at ``placed``."""
    return placed & MESSAGE_MASK


def add(connection: Connection, texts: Sequence[tuple[int, str]]) -> None:
    """Enter messages, given as (place, text)."""
    if engine_of(connection) == "sqlite":
        connection.executemany(_ADD, texts)
    else:
        connection.executemany(_ADD_VECTOR, [(at, vector_of(text)) for at, text in texts])


def remove(connection: Connection, placed: int, text: str) -> None:
    """Take out a message that was entered with ``text``."""
    if engine_of(connection) == "sqlite":
        connection.execute(_REMOVE, (placed, text))
    else:
        connection.execute(_REMOVE_VECTOR, (placed,))
