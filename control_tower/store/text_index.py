"""The full-text index over messages, as the writer keeps it.

Its row's number is the user's number above the message's: a user's messages are a range of it, so
that another's million messages cost a search nothing.

- SQLite's FTS5 stores words, not texts (``content=''``), so a row leaves it only when it is told
  the text that it was entered with.
- PostgreSQL has a table of ``tsvector`` with a GIN index; what a word is, ``words.py`` says.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from control_tower.store.statements import Connection, engine_of
from control_tower.store.words import vector_of

MESSAGE_BITS = 32
MESSAGE_MASK = (1 << MESSAGE_BITS) - 1

_ADD = "INSERT INTO messages_text(rowid, content) VALUES (?, ?)"
_MERGE_PAGES = 64
_MERGE = "INSERT INTO messages_text(messages_text, rank) VALUES ('merge', ?)"
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


@dataclass(slots=True)
class Merge:
    """Rewrites the index a piece a call, until no word is left of texts that were taken out.

    A text that leaves the index is only noted as gone: its words stay in older parts of it until
    those are merged with the note.

    Attributes:
        more: whether there is more to do, after a call.
    """

    more: bool = True
    _begun: bool = False

    def __call__(self, connection: Connection) -> None:
        """Rewrite the next piece: a quarter of a megabyte."""
        if not isinstance(connection, sqlite3.Connection):
            self.more = False  # PostgreSQL's index has rows, and its vacuum removes them
            return
        before = connection.total_changes
        # The first, negative number asks for one part in the end, however few there are now.
        connection.execute(_MERGE, (_MERGE_PAGES if self._begun else -_MERGE_PAGES,))
        self._begun = True
        self.more = connection.total_changes - before >= 2  # as FTS5's documentation has it
