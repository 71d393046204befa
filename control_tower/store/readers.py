"""The readers: a few threads, each with a connection of its own.

A read that nobody waits for any more runs to its end in its thread and is dropped; its connection
is never left in the middle of something. A connection that is lost is made again and the read done
once more; while the database is away reads wait for it, and in the end say so.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from control_tower.errors import Unavailable
from control_tower.store.database import DatabaseAway
from control_tower.store.statements import Connection

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Readers(Protocol):
    """Runs functions of a reading connection."""

    async def run(
        self,
        function: Callable[Concatenate[Connection, Arguments], Result],
        /,
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Return what ``function`` returns for a connection and the arguments."""

    def close(self) -> None:
        """Close every connection."""


PATIENCE_S = 10.0
"""How long a read waits for a database that is away before it says so."""

_RETRY_S = 0.2


def _never_away(error: BaseException) -> BaseException:
    """The meaning of errors of a file, which is never away."""
    return error


class ThreadReaders:
    """Readers in threads of their own.

    ``connect`` opens a connection. ``meaning`` turns a driver's error into
    :class:`DatabaseAway` when the connection is lost; ``connect`` raises that too.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        meaning: Callable[[BaseException], BaseException] = _never_away,
        threads: int = 3,
    ) -> None:
        self._connect = connect
        self._meaning = meaning
        self._mine = threading.local()
        self._opened: list[Connection] = []
        self._threads = ThreadPoolExecutor(threads, "tower-reader")

    async def run(
        self,
        function: Callable[Concatenate[Connection, Arguments], Result],
        /,
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Run ``function`` in a thread.

        Raises:
            Unavailable: when the database stays away for :data:`PATIENCE_S`.
        """

        def call() -> Result:
            connection = self._connection()
            try:
                return function(connection, *args, **kwargs)
            except Exception as error:
                meaning = self._meaning(error)
                if isinstance(meaning, DatabaseAway):
                    self._drop(connection)
                    raise meaning from error
                raise

        loop = asyncio.get_running_loop()
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                return await loop.run_in_executor(self._threads, call)
            except DatabaseAway as away:
                if time.monotonic() > until:
                    raise Unavailable("The database does not answer.", outcome="rejected") from away
            await asyncio.sleep(_RETRY_S)

    def _connection(self) -> Connection:
        connection: Connection | None = getattr(self._mine, "connection", None)
        if connection is None:
            connection = self._mine.connection = self._connect()
            self._opened.append(connection)
        return connection

    def _drop(self, connection: Connection) -> None:
        self._mine.connection = None
        self._opened.remove(connection)
        connection.close()

    def close(self) -> None:
        """Wait for what runs, refuse the rest, close the connections."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for connection in self._opened:
            connection.close()
        self._opened.clear()


class InlineReaders:
    """Reads on the caller's own thread, over one shared connection; for simulations."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def run(
        self,
        function: Callable[Concatenate[Connection, Arguments], Result],
        /,
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Run ``function`` here and now."""
        return function(self._connection, *args, **kwargs)

    def close(self) -> None:
        """Nothing: the connection belongs to the writer."""
