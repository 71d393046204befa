"""Durable memory: the log, its projections, and the one writer of both."""

from control_tower.store.inline import InlineStore
from control_tower.store.lock import DataFolderLocked, DataFolderUnusable, Holder, holder_of
from control_tower.store.migrations import SchemaTooNew
from control_tower.store.seat import DatabaseUnusable, Occupant, SeatTaken
from control_tower.store.sqlite_store import SqliteStore
from control_tower.store.threaded import ThreadedStore

__all__ = [
    "DataFolderLocked",
    "DataFolderUnusable",
    "DatabaseUnusable",
    "Holder",
    "InlineStore",
    "Occupant",
    "SchemaTooNew",
    "SeatTaken",
    "SqliteStore",
    "ThreadedStore",
    "holder_of",
]
