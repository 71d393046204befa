"""The readers: a few threads, each with a connection of its own.

A read that nobody waits for any more runs to its end in its thread and is dropped; its connection
is never left in the middle of something.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from control_tower.store.engine import connect_reader

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Readers(Protocol):
    """Runs functions of a reading connection."""

    async def run(
        self,
        function: Callable[Concatenate[sqlite3.Connection, Arguments], Result],
        /,
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Return what ``function`` returns for a connection and the arguments."""

    def close(self) -> None:
        """Close every connection."""


class ThreadReaders:
    """Readers in threads of their own."""

    def __init__(self, path: Path, threads: int = 3) -> None:
        self._path = path
        self._mine = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._threads = ThreadPoolExecutor(threads, "tower-reader", self._open)

    def _open(self) -> None:
        self._mine.connection = connect_reader(self._path)
        self._opened.append(self._mine.connection)

    async def run(
        self,
        function: Callable[Concatenate[sqlite3.Connection, Arguments], Result],
        /,
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Run ``function`` in a thread."""

        def call() -> Result:
            return function(self._mine.connection, *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def close(self) -> None:
        """Wait for what runs, refuse the rest, close the connections."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for connection in self._opened:
            connection.close()
        self._opened.clear()


class InlineReaders:
    """Reads on the caller's own thread, over one shared connection; for simulations."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def run(
        self,
        function: Callable[Concatenate[sqlite3.Connection, Arguments], Result],
        /,
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Run ``function`` here and now."""
        return function(self._connection, *args, **kwargs)

    def close(self) -> None:
        """Nothing: the connection belongs to the writer."""
