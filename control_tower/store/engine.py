"""Connections to SQLite, and what a data folder must be before it is served.

This file and ``statements.py`` are where SQLite differs from another engine.

- WAL, ``synchronous=FULL`` for every commit: anything less lets an offset that a client has seen
  be used again after a power cut.
- Transactions are ours alone (``isolation_level=None``): the driver begins nothing behind us.
- The writer is the only checkpointer. SQLite 3.40 can corrupt a file when two connections
  checkpoint or write at once (the WAL-reset bug), so readers are ``query_only`` and never
  checkpoint, and even the writer does so only when told to.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DATABASE_NAME = "tower.db"

_BUSY_MS = 5_000
"""How long a statement waits for a lock of another process (``sqlite3`` by hand, a backup)."""

_WAL_KEPT_BYTES = 4 << 20
"""How much of the WAL file is kept for reuse, so that its size tells how much it holds."""

_WRITER_CACHE_KIB = 16_384
_READER_CACHE_KIB = 8_192


def create_files(data_dir: Path) -> Path:
    """Make the data folder and an empty database in it, readable by their owner only.

    Returns:
        The database's path.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = data_dir / DATABASE_NAME
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    sync_folder(data_dir)
    return path


def sync_folder(folder: Path) -> None:
    """Sync a folder's list of names, so that a new one outlives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _connect(
    path: str, factory: type[sqlite3.Connection] = sqlite3.Connection
) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
        factory=factory,
    )
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("PRAGMA temp_store = memory")
    return connection


def connect_writer(
    path: Path | str, factory: type[sqlite3.Connection] = sqlite3.Connection
) -> sqlite3.Connection:
    """Open the one writing connection; it may be handed to another thread, not shared.

    ``factory`` lets a test make it fail.
    """
    connection = _connect(str(path), factory)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    # What is erased is overwritten, wherever SQLite was built; most builds do it anyway.
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute(f"PRAGMA cache_size = -{_WRITER_CACHE_KIB}")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")
    return connection


def connect_reader(path: Path | str) -> sqlite3.Connection:
    """Open a reading connection. Each statement sees the last commit."""
    connection = _connect(str(path))
    connection.execute("PRAGMA query_only = ON")
    connection.execute(f"PRAGMA cache_size = -{_READER_CACHE_KIB}")
    return connection


@contextmanager
def patient(connection: sqlite3.Connection, wait_ms: int) -> Iterator[None]:
    """Let statements wait for others' locks only so long, within the block."""
    connection.execute(f"PRAGMA busy_timeout = {wait_ms}")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")


def checkpoint(connection: sqlite3.Connection, mode: str) -> bool:
    """Move the WAL into the database (``PASSIVE``, ``RESTART``, ``TRUNCATE``); writer only.

    Returns:
        Whether all of it was moved; False when a reader still needed a part.
    """
    busy, in_log, moved = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
    return bool(busy == 0 and in_log == moved)
