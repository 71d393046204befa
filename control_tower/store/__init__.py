"""Durable memory: the log, its projections, and the one writer of both."""

from control_tower.store.backup import (
    BackupError,
    Described,
    Restored,
    back_up,
    describe,
    restore,
    upgrade_folder,
)
from control_tower.store.inline import InlineStore
from control_tower.store.lock import (
    DataFolderLock,
    DataFolderLocked,
    DataFolderUnusable,
    Holder,
    holder_of,
)
from control_tower.store.migrations import SCHEMA, SchemaTooNew, new_epoch
from control_tower.store.seat import ALONE, SHARED, DatabaseUnusable, Occupant, SeatTaken
from control_tower.store.sqlite_store import SqliteStore
from control_tower.store.threaded import ThreadedStore

__all__ = [
    "ALONE",
    "SCHEMA",
    "SHARED",
    "BackupError",
    "DataFolderLock",
    "DataFolderLocked",
    "DataFolderUnusable",
    "DatabaseUnusable",
    "Described",
    "Holder",
    "InlineStore",
    "Occupant",
    "Restored",
    "SchemaTooNew",
    "SeatTaken",
    "SqliteStore",
    "ThreadedStore",
    "back_up",
    "describe",
    "holder_of",
    "new_epoch",
    "restore",
    "upgrade_folder",
]
