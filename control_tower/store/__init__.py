"""Durable memory: the log, its projections, and the one writer of both."""

from control_tower.store.inline import InlineStore
from control_tower.store.lock import DataFolderLocked, DataFolderUnusable, Holder, holder_of
from control_tower.store.migrations import SchemaTooNew
from control_tower.store.sqlite_store import SqliteStore

__all__ = [
    "DataFolderLocked",
    "DataFolderUnusable",
    "Holder",
    "InlineStore",
    "SchemaTooNew",
    "SqliteStore",
    "holder_of",
]
