"""Connections to PostgreSQL (psycopg 3), in the shape that the store's statements want.

This file, ``postgres_database.py`` and ``statements.py`` are where PostgreSQL differs.

- Transactions are ours alone (autocommit): the driver begins nothing behind us.
- ``synchronous_commit = on``: an offset that a client has seen survives the server's crash.
- No wait is without end: not for a lock, not on a network that is silent.
- Numbers always travel as ``bigint``: the driver would else choose by their size, and prepare each
  statement once for every mix of sizes.
- PostgreSQL's text can't hold NUL, SQLite's can; an agent may well say one. Both engines must give
  back what they were given, so NUL travels escaped, behind a noncharacter that no text has.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.numeric import Int8Dumper
from psycopg.types.string import StrDumperUnknown, TextBinaryLoader, TextLoader

from control_tower.store.database import DatabaseAway, DatabaseBusy, DiskFull
from control_tower.store.statements import Cursor, Row

_DEFAULTS = {
    "application_name": "control-tower",
    "connect_timeout": 5,
    "tcp_user_timeout": 5_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
"""What the URL does not say. A dead network is noticed within 5 s when something is being sent,
within 11 s when nothing is."""

_SESSION = """
    SELECT set_config('synchronous_commit', 'on', false),
           set_config('idle_in_transaction_session_timeout', '2s', false),
           set_config('lock_timeout', '5s', false),
           set_config('client_encoding', 'UTF8', false),
           set_config('default_transaction_isolation', 'read committed', false)
"""

_MARK = "\ufdd0"
"""Of the noncharacters, which Unicode keeps for a program's own use."""

_AWAY = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", "25006", "53300", "3D000"})
"""Shut down, crashed, starting, idle too long, a standby, too many clients, a database that a
failover has not brought yet. Beside them, class 08: the connection; class 28: who may connect."""

_BUSY_CLASSES = frozenset({"40", "53", "55", "57", "58", "XX"})
"""A conflict, no memory, a lock, a cancel, an error of the system: the server has answered, so
the transaction certainly is not committed."""


def escaped(text: str) -> str:
    """Return a text without NUL, from which :func:`unescaped` makes it again."""
    if "\0" in text or _MARK in text:
        return text.replace(_MARK, f"{_MARK}1").replace("\0", f"{_MARK}0")
    return text


def unescaped(text: str) -> str:
    """Return the text that was :func:`escaped`."""
    if _MARK in text:
        return text.replace(f"{_MARK}0", "\0").replace(f"{_MARK}1", _MARK)
    return text


class _TextDumper(StrDumperUnknown):
    def dump(self, obj: str) -> bytes:
        return escaped(obj).encode()


class _TextLoader(TextLoader):
    def load(self, data: Any) -> str:
        return unescaped(bytes(data).decode())


class _BinaryTextLoader(TextBinaryLoader):
    def load(self, data: Any) -> str:
        return unescaped(bytes(data).decode())


def meaning_of(error: BaseException) -> BaseException:
    """Return what an error of the driver means for the store; any other error is itself."""
    if not isinstance(error, psycopg.Error):
        return error
    state = error.sqlstate
    if state is None:
        lost = isinstance(error, psycopg.OperationalError)
        if isinstance(error, errors.PipelineAborted):
            return DatabaseBusy(str(error))
        return DatabaseAway(str(error)) if lost else error
    if state in _AWAY or state[:2] in {"08", "28"}:
        return DatabaseAway(str(error))
    if state == "53100":
        return DiskFull(str(error))
    return DatabaseBusy(str(error)) if state[:2] in _BUSY_CLASSES else error


class PostgresConnection:
    """A connection with the methods that the store's statements use; see ``statements``."""

    def __init__(self, raw: "psycopg.Connection[Row]") -> None:
        self.raw = raw

    def execute(self, text: str, parameters: Sequence[Any] = (), /) -> Cursor:
        """Run a statement; rows come in the binary format, so bytes are not spelled out in hex."""
        return self.raw.execute(text.encode(), parameters or None, binary=True)

    def executemany(self, text: str, rows: Sequence[Row], /) -> None:
        """Run a statement once for each row, all in one flush."""
        with self.raw.cursor() as cursor:
            cursor.executemany(text.encode(), rows)

    def together(self) -> AbstractContextManager[object]:
        """Return a context in which statements go out without waiting for each other's results."""
        return self.raw.pipeline()

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, aborted or not."""
        return self.raw.info.transaction_status in {
            psycopg.pq.TransactionStatus.INTRANS,
            psycopg.pq.TransactionStatus.INERROR,
            psycopg.pq.TransactionStatus.ACTIVE,
        }

    def close(self) -> None:
        """Close it."""
        self.raw.close()


def connect(url: str) -> PostgresConnection:
    """Open a connection; every statement is its own transaction until one is begun.

    Raises:
        DatabaseAway: when nobody answers.
        psycopg.Error: when who answers is not to be used.
    """
    try:
        raw = psycopg.connect(conninfo_of(url), autocommit=True)
        raw.adapters.register_dumper(str, _TextDumper)
        raw.adapters.register_dumper(int, Int8Dumper)
        for name in ("text", "varchar"):
            raw.adapters.register_loader(name, _TextLoader)
            raw.adapters.register_loader(name, _BinaryTextLoader)
        raw.execute(_SESSION)
    except psycopg.Error as error:
        meaning = meaning_of(error)
        if meaning is error:
            raise
        raise meaning from error
    return PostgresConnection(raw)


def conninfo_of(url: str) -> str:
    """Return what libpq is told: the URL's own parameters before our defaults.

    Raises:
        psycopg.ProgrammingError: when it is no URL of a PostgreSQL server.
    """
    said: dict[str, Any] = conninfo_to_dict(url)
    return make_conninfo("", **{**_DEFAULTS, **said})
