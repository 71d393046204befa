"""The roster: what is active anywhere in the cluster, reduced from the stream of events.

Most missions are in the memories of other nodes, so what a node knows of them is what their events
told. The roster stands in front of the hub and takes each unit in just before the hub does, so it
is as of the hub's head whenever somebody looks.

A node that was late may find a mission's end already erased from the log, and would show the
mission for good. So when it meets a place that was erased it looks, a little later, which of its
missions the store still has.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol, TypeAlias

from control_tower.cluster.entries import MATTERS, Entries
from control_tower.cluster.meanwhile import Meanwhile
from control_tower.patience import patiently
from control_tower.records import ProcessControlBlock
from control_tower.states import State
from control_tower.tasks import end
from events.bus import Receiver
from events.payloads import EventErased, JsonObject
from events.types import Committed, Ephemeral

PAGE = 500
"""Missions read between two turns of the event loop, as at a start of the kernel."""

LOOK_AFTER_S = 1.0
"""Erased places come in rows; they are met once."""

SETTLED = frozenset({State.TERMINATED, State.WAITING})


class Rows(Protocol):
    """The store as the roster needs it."""

    async def live_missions(self, after: str | None, limit: int) -> list[ProcessControlBlock]:
        """Return missions that have not ended, by pid, behind ``after``."""


Page: TypeAlias = list[ProcessControlBlock]


async def _page(store: Rows, after: str | None) -> Page:
    return await patiently(partial(store.live_missions, after, PAGE))


async def _live(page_behind: Callable[[str | None], Awaitable[Page]]) -> AsyncIterator[Page]:
    """Yield every mission that has not ended, in pages between which others have their turn."""
    after: str | None = None
    while page := await page_behind(after):
        after = page[-1].pid
        yield page
        await asyncio.sleep(0)


class Roster:
    """A receiver of the bus that knows who is active and passes on.

    Attributes:
        receiver: where events go, the hub; set before any come.
    """

    receiver: Receiver

    def __init__(self) -> None:
        self._entries = Entries()
        self._meanwhile: Meanwhile | None = None
        self._watchers: dict[str, list[asyncio.Future[None]]] = {}
        self._store: Rows | None = None
        self._doubtful = False
        self._look: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._entries)

    async def read(self, store: Rows) -> None:
        """Take in every mission that has not ended.

        Begin only when whatever is committed after this moment is sure to be published here,
        before or after this returns; then nothing is missed.
        """
        self._store = store
        try:
            async for page in _live(partial(self._page_and_meanwhile, store)):
                for pcb in page:
                    self._restore(pcb)
        finally:
            self._meanwhile = None

    async def close(self) -> None:
        """Look no more."""
        await end(self._look)

    def publish(self, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
        """Take in the events of a unit, and pass them on."""
        for event in events:
            if event.type in MATTERS:
                self._take(event)
            elif event.type == EventErased.TYPE:
                self._look_later()
        self.receiver.publish(events, after)

    def publish_ephemeral(self, event: Ephemeral) -> None:
        """Pass on."""
        self.receiver.publish_ephemeral(event)

    def snapshot(self, topics: Sequence[str]) -> list[JsonObject]:
        """Return what is active in the topics, as ``Tower.snapshot`` does of one node."""
        return self._entries.snapshot(topics)

    async def settled(
        self,
        pid: str,
        timeout_s: float,
        row: Callable[[str], Awaitable[ProcessControlBlock | None]],
    ) -> ProcessControlBlock | None:
        """Return a mission's row once it has ended or asks a person, or after ``timeout_s``.

        ``row`` reads it; None: there is no such mission. The row decides and the stream only says
        when to look: a mission's acceptance is replied before its events are known here.
        """
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            watcher = self._watch(pid)
            try:
                found = await row(pid)
                left_s = deadline - asyncio.get_running_loop().time()
                if found is None or found.state in SETTLED or left_s <= 0:
                    return found
                await asyncio.wait([watcher], timeout=left_s)
            finally:
                self._forget(pid, watcher)

    async def _page_and_meanwhile(self, store: Rows, after: str | None) -> Page:
        """Return a page; what was said since its read began is kept beside it.

        What was said before was committed before, and the rows have it.
        """
        while True:
            meanwhile = self._meanwhile = Meanwhile()
            page = await _page(store, after)
            if not meanwhile.too_much:
                return page

    def _restore(self, pcb: ProcessControlBlock) -> None:
        """Take a row in, and behind it what was said of its mission while it was read."""
        if pcb.pid in self._entries:
            return
        self._entries.restore(pcb)
        for event in self._meanwhile.of(pcb.pid) if self._meanwhile else ():
            self._apply(pcb.pid, event)

    def _take(self, event: Committed) -> None:
        pid = event.scope.mission_id
        if pid is None:
            return
        self._apply(pid, event)
        if self._meanwhile is not None and pid not in self._entries:
            self._meanwhile.keep(pid, event)

    def _apply(self, pid: str, event: Committed) -> None:
        if self._entries.apply(event) and self._watchers:
            self._tell(pid)

    def _tell(self, pid: str) -> None:
        for watcher in self._watchers.pop(pid, ()):
            if not watcher.done():
                watcher.set_result(None)

    def _look_later(self) -> None:
        self._doubtful = True
        if self._store is not None and (self._look is None or self._look.done()):
            look = self._look_again(self._store)
            self._look = asyncio.get_running_loop().create_task(look)

    async def _look_again(self, store: Rows) -> None:
        while self._doubtful:
            await asyncio.sleep(LOOK_AFTER_S)
            self._doubtful = False
            await self._drop_erased(store)

    async def _drop_erased(self, store: Rows) -> None:
        """Drop what the store has no more; also what has ended, and whose events are to come."""
        gone = self._entries.pids()
        async for page in _live(partial(_page, store)):
            gone.difference_update(pcb.pid for pcb in page)
        for pid in gone:
            self._entries.remove(pid)
            self._tell(pid)

    def _watch(self, pid: str) -> "asyncio.Future[None]":
        watcher: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watchers.setdefault(pid, []).append(watcher)
        return watcher

    def _forget(self, pid: str, watcher: "asyncio.Future[None]") -> None:
        watching = self._watchers.get(pid, [])
        if watcher in watching:
            watching.remove(watcher)
            if not watching:
                del self._watchers[pid]
