"""A store whose writer and readers are threads: what every engine's has in common."""

import asyncio
from types import TracebackType
from typing import Self

from control_tower.store.core import Core
from control_tower.store.delivery import Delivery
from control_tower.store.lock import DataFolderLock
from control_tower.store.readers import ThreadReaders
from control_tower.store.reading import Reading
from control_tower.store.scopes import Scopes
from control_tower.store.writer import Writer
from control_tower.unit import StoreFailed, Unit


class ThreadedStore(Reading):
    """``ports.Store`` and ``events.log.LogReader`` over a writer that runs and some readers."""

    def __init__(
        self,
        *,
        lock: DataFolderLock,
        core: Core,
        scopes: Scopes,
        readers: ThreadReaders,
        writer: Writer,
        delivery: Delivery,
    ) -> None:
        self._lock = lock
        self._core = core
        self._scopes = scopes
        self._readers = readers
        self._writer = writer
        self._delivery = delivery
        self._epoch = core.epoch
        self._closed = False

    @property
    def operator_token(self) -> str:
        """This process's own operator credential, as the lock file says it. Never log it."""
        return self._lock.holder.token

    def announce(self, url: str) -> None:
        """Write another URL into the lock file, once the server knows its port."""
        self._lock.announce(url)

    def submit(self, unit: Unit) -> None:
        """Hand a unit over. Never blocks; its completion comes on the event loop, in order."""
        if self._closed:
            closed = StoreFailed("the store is closed", outcome="rejected")
            asyncio.get_running_loop().call_soon(self._delivery.deliver, [unit], [closed])
        else:
            self._writer.submit(unit)

    async def empty_log(self) -> bool:
        """Leave nothing in the WAL's file; return whether that was possible just now."""
        if self._closed:
            return False
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._writer.empty_log(lambda emptied: None if done.done() else done.set_result(emptied))
        return await done

    async def close(self) -> None:
        """Commit and deliver what waits, then let go of the database. Twice is once."""
        if self._closed:
            return
        self._closed = True
        await self._writer.close()
        self._delivery.finish()
        await asyncio.to_thread(self._readers.close)
        await asyncio.to_thread(self._let_go)

    def _let_go(self) -> None:
        """Close the writing connection, then let others have the database."""
        self._core.database.close()
        self._lock.release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
