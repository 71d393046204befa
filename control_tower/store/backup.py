"""Backups of the SQLite file, and their way back.

A backup is made by ``VACUUM INTO`` on a reading connection: one state of the database, whole and
compact, while the server goes on; what was erased is not in it. It is a plain SQLite file.

A restore replaces the database by a rename, so that at each moment there is a whole one; the one
before is kept beside it. It gets a new *epoch*: offsets given after the backup was made may be
given again, and clients that know any are told to begin anew.
"""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import bindparam, select, update

from control_tower.store import migrations
from control_tower.store.engine import (
    DATABASE_NAME,
    checkpoint,
    connect_reader,
    connect_writer,
    sync_folder,
)
from control_tower.store.lock import DataFolderLock
from control_tower.store.statements import Query
from control_tower.store.tables import meta

COMPANIONS = ("-wal", "-shm")
"""What SQLite puts beside a database that is open."""

_META = Query(select(meta.c.epoch, meta.c.head, meta.c.floor))
_RENEW = Query(update(meta).values(epoch=bindparam("new_epoch")))


class BackupError(Exception):
    """A backup can't be made, or can't be used; the message says why."""


@dataclass(slots=True, frozen=True)
class Described:
    """What a database file is.

    Attributes:
        schema: its revision; None for a file that has no tables yet.
        head: the last offset of its log.
        floor: the lowest offset from which nothing of its log is missing.
    """

    path: Path
    size_bytes: int
    schema: str | None
    epoch: str
    head: int
    floor: int


@dataclass(slots=True, frozen=True)
class Restored:
    """A restored database, and where the one before is; None if there was none."""

    database: Described
    kept: Path | None


def describe(path: Path) -> Described:
    """Return what a database is, also one that is being served.

    Raises:
        BackupError: if it is not a tower's, or can't be read.
    """
    with _reading(path) as connection:
        return _described(path, connection)


def back_up(data_dir: Path, target: Path, *, replace: bool = False) -> Described:
    """Write a checked backup of a data folder, readable by its owner only.

    Raises:
        BackupError: if there is nothing to back up, ``target`` is there and not to be replaced,
            or the copy is not whole. Nothing is left behind then.
    """
    if target.exists() and not replace:
        raise BackupError(f"{target} is there already; --force replaces it")
    if target.is_dir() or not target.absolute().parent.is_dir():
        raise BackupError(f"{target} is no place for a file")
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        _make_private(partial)
        with _reading(data_dir / DATABASE_NAME) as connection:
            connection.execute("PRAGMA query_only = OFF")  # it writes that file, never its own
            connection.execute("VACUUM INTO ?", (str(partial),))
        _check(partial)
        _sync(partial)
        _put(partial, target, replace=replace)
    except sqlite3.Error as error:
        raise BackupError(f"the copy could not be made: {error}") from error
    except OSError as error:
        raise BackupError(f"{target} can't be written: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)
    return describe(target)


def restore(data_dir: Path, source: Path, epoch: str) -> Restored:
    """Put a backup in the place of a data folder's database, under a new epoch.

    Raises:
        DataFolderLocked: while a server runs over the folder.
        BackupError: if the backup can't be used; the folder is then as it was.
        SchemaTooNew: if a newer version of the program made it; likewise.
    """
    _refuse_what_is_no_backup(data_dir, source)
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = DataFolderLock(data_dir, "a restore")
    try:
        ready = _prepared(data_dir, source, epoch)
        try:
            kept = _set_aside(data_dir / DATABASE_NAME)
            ready.replace(data_dir / DATABASE_NAME)
            sync_folder(data_dir)
        finally:
            ready.unlink(missing_ok=True)
    except OSError as error:
        raise BackupError(f"{data_dir} can't be written: {error.strerror}") from error
    finally:
        lock.release()
    return Restored(describe(data_dir / DATABASE_NAME), kept)


def upgrade_folder(data_dir: Path) -> tuple[str | None, str]:
    """Bring a data folder's database to this version's schema; return the old and the new one.

    Raises:
        DataFolderLocked: while a server runs over the folder.
        SchemaTooNew: if a newer version of the program made it.
        BackupError: if there is none, or it can't be read.
    """
    path = data_dir / DATABASE_NAME
    if not path.is_file():
        raise BackupError(f"there is no database {path}")
    lock = DataFolderLock(data_dir, "an upgrade")
    try:
        connection = connect_writer(path)
        try:
            found = migrations.schema_of(connection)
            migrations.upgrade(connection)
            checkpoint(connection, "TRUNCATE")
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise BackupError(f"{path} can't be read: {error}") from error
    finally:
        lock.release()
    return found, migrations.SCHEMA


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    if not path.is_file():
        raise BackupError(f"there is no database {path}")
    connection = connect_reader(path)
    try:
        yield connection
    finally:
        connection.close()


def _described(path: Path, connection: sqlite3.Connection) -> Described:
    try:
        schema = migrations.schema_of(connection)
        row = None if schema is None else _META.one(connection)
    except sqlite3.Error as error:
        raise BackupError(f"{path} is not a tower's database: {error}") from error
    epoch, head, floor = row or ("", 0, 0)
    return Described(path, path.stat().st_size, schema, epoch, head, floor)


def _check(path: Path) -> None:
    """Check that a file that nobody uses is whole, and a tower's."""
    with _reading(path) as connection:
        found = _described(path, connection)
        if found.schema is None:
            raise BackupError(f"{path} is not a tower's database")
        faults = connection.execute("PRAGMA integrity_check(3)").fetchall()
    if faults != [("ok",)]:
        raise BackupError(f"{path} is damaged: {'; '.join(fault for (fault,) in faults)}")


def _refuse_what_is_no_backup(data_dir: Path, source: Path) -> None:
    if not source.is_file():
        raise BackupError(f"there is no file {source}")
    wal = source.with_name(source.name + "-wal")
    if wal.exists() and wal.stat().st_size:
        raise BackupError(f"{source} is a database in use and no backup; make one: tower backup")
    current = data_dir / DATABASE_NAME
    if current.exists() and current.samefile(source):
        raise BackupError(f"{source} is the database itself")


def _prepared(data_dir: Path, source: Path, epoch: str) -> Path:
    """Return a checked copy of the backup in the data folder, upgraded, under its new epoch."""
    copy = data_dir / f"{DATABASE_NAME}.restoring"
    _remove(copy)  # of a restore that was killed
    try:
        _make_private(copy)
        shutil.copyfile(source, copy)
        _check(copy)
        connection = connect_writer(copy)
        try:
            migrations.upgrade(connection)
            _RENEW.run(connection, new_epoch=epoch)
            checkpoint(connection, "TRUNCATE")
        finally:
            connection.close()
        _sync(copy)
    except BaseException as error:
        _remove(copy)
        if isinstance(error, sqlite3.Error):
            raise BackupError(f"{source} can't be used: {error}") from error
        raise
    return copy


def _set_aside(path: Path) -> Path | None:
    """Keep the database under another name, too; return it. What stands at ``path`` stays."""
    if not path.exists() or not path.stat().st_size:
        return None
    with contextlib.suppress(sqlite3.Error):  # a damaged one is kept as it is, WAL and all
        connection = connect_writer(path)
        try:
            if not checkpoint(connection, "TRUNCATE"):
                raise BackupError(f"{path} is being read by another process")
        finally:
            connection.close()
    number = 1
    while (kept := path.with_name(f"{path.name}.before-restore-{number}")).exists():
        number += 1
    os.link(path, kept)
    for companion in COMPANIONS:
        beside = path.with_name(path.name + companion)
        if beside.exists():
            beside.rename(kept.with_name(kept.name + companion))
    return kept


def _make_private(path: Path) -> None:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _put(partial: Path, target: Path, *, replace: bool) -> None:
    """Give the finished file its name, in one step."""
    for companion in COMPANIONS:
        partial.with_name(partial.name + companion).unlink(missing_ok=True)
    if replace:
        partial.replace(target)
    else:
        os.link(partial, target)  # fails where somebody was faster
        partial.unlink()
    sync_folder(target.absolute().parent)


def _remove(path: Path) -> None:
    for name in (path.name, *(path.name + companion for companion in COMPANIONS)):
        path.with_name(name).unlink(missing_ok=True)
