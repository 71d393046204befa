"""Erasing for good: a session or a user, with all that was kept of them.

The order of an erasure: its mark is committed, from which moment on nobody sees it any more; its
missions are cancelled; its rows go, a bounded piece a transaction, so that others' commits are
held up by none; the row that has the mark goes last. A kill in between leaves a consistent log
and the mark, and :meth:`Eraser.finish` goes on from there at the next start. A database that is
away is waited for: whoever asks again is told that there is nothing to erase.

What is left then: the events' places in the log (``event.erased``), and words in older parts of the
full-text index and of the WAL. Those are rewritten in the background, which is the *scrubbing*.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Protocol

import structlog

from control_tower.committing import Committer, committed
from control_tower.errors import NotFound, Unavailable
from control_tower.patience import patiently
from control_tower.ports import Clock
from control_tower.records import SessionRecord
from control_tower.unit import (
    Commit,
    MarkSession,
    MarkUser,
    StoreFailed,
    Tend,
    Unit,
)
from events.types import Draft

PAUSE_S = 0.01
"""Between two pieces of scrubbing, which nobody waits for."""

RETRY_S = 1.0
"""After a piece that the store did not take, or while a reader keeps the WAL from being emptied."""

LONGEST_RETRY_S = 60.0
"""Each pause is twice the one before, up to this."""

log = structlog.get_logger(__name__)


class ErasingStore(Committer, Protocol):
    """What erasing needs of the store. Lists may be cut; they are asked for until empty."""

    async def session(self, session_id: str) -> SessionRecord | None:
        """Return a session."""

    async def live_missions_of(self, session_id: str) -> list[str]:
        """Return missions of a session that have not ended, parents before their children."""

    async def sessions_of(self, user_id: str) -> list[str]:
        """Return sessions of a user, whatever became of them."""

    async def knows_user(self, user_id: str) -> bool:
        """Return whether there is anything of a user."""

    async def marked_sessions(self) -> list[str]:
        """Return sessions whose erasure has begun."""

    async def marked_users(self) -> list[str]:
        """Return users whose erasure has begun."""

    async def erase_next_of_session(self, session_id: str) -> Tend | None:
        """Return the next piece of a session to erase; None when nothing is left."""

    async def erase_next_of_user(self, user_id: str) -> Tend | None:
        """Return the next piece to erase of a user without sessions; None: nothing is left."""

    async def scrubbing(self) -> "Scrubbing | None":
        """Return a way to remove traces of what was erased; None if there can be none."""

    async def empty_log(self) -> bool:
        """Leave nothing in the WAL's file; return whether that was possible just now."""


class Scrubbing(Protocol):
    """Removes traces piece by piece: ``more`` is whether there is a piece left."""

    @property
    def more(self) -> bool:
        """Whether ``piece`` has anything to do."""

    @property
    def piece(self) -> Tend:
        """The next piece."""

    @property
    def end(self) -> Tend:
        """What notes that nothing is left."""


async def _no_missions_run(_: str) -> None:
    """Stop nothing: the default, for a store over which no tower runs."""


def _nothing_is_remembered() -> None:
    """Forget nothing: the default, likewise."""


class Eraser:
    """Erases. One of each process.

    Args:
        stop: cancels the missions of a session that have not ended, and returns once none is left.
        forget: drops what memory holds of the recent log; called when events were erased.
    """

    def __init__(
        self,
        store: ErasingStore,
        clock: Clock,
        *,
        stop: Callable[[str], Awaitable[None]] = _no_missions_run,
        forget: Callable[[], None] = _nothing_is_remembered,
    ) -> None:
        self._store = store
        self._clock = clock
        self._stop = stop
        self._forget = forget
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._again: dict[str, asyncio.TimerHandle] = {}
        self._failures: Counter[str] = Counter()
        self._scrubber: asyncio.Task[None] | None = None
        self._scrub_wanted = False

    async def begin_session(
        self,
        session: SessionRecord,
        drafts: Sequence[Draft] = (),
        marked: Callable[[Commit], None] | None = None,
    ) -> None:
        """Begin to erase a session: from the commit of this on it is gone to everybody.

        ``drafts`` say so, and are erased with it. ``marked`` is called in the step of the commit.
        From there it goes on by itself, whoever waits.

        Raises:
            UnitRefused: if the store did not take it; nothing has happened.
        """
        session_id = session.session_id

        def begin(commit: Commit) -> None:
            self._begin(_session(session_id), partial(self._erase_session, session_id))
            if marked is not None:
                marked(commit)

        mark = MarkSession(session_id, self._clock.now())
        await committed(self._store, Unit([*drafts], [mark]), begin)

    async def session_erased(self, session_id: str) -> None:
        """Wait until all of a session is removed whose erasure has begun.

        Raises:
            UnitRefused: if the store does not take a piece; it is tried again by itself.
        """
        what = _session(session_id)
        self._begin(what, partial(self._erase_session, session_id))
        await asyncio.shield(self._under_way[what])

    async def erase_user(self, user_id: str) -> None:
        """Remove a user with their sessions, keys and usage. Goes on if the wait is cancelled.

        Raises:
            NotFound: if there is nothing of them.
            UnitRefused: if the store does not take a piece; it is tried again by itself.
        """
        if not await self._store.knows_user(user_id):
            raise NotFound("No such user.")
        what, erase = f"user:{user_id}", partial(self._erase_user, user_id)
        mark = Unit(writes=[MarkUser(user_id, self._clock.now())])
        await committed(self._store, mark, lambda _: self._begin(what, erase))
        self._begin(what, erase)
        await asyncio.shield(self._under_way[what])

    async def finish(self) -> None:
        """Bring to their ends the erasures that a kill interrupted.

        Before any mission runs: what is left of them is not begun again.
        """
        while session_ids := await self._store.marked_sessions():
            for session_id in session_ids:
                await self._remove(session_id)
        while user_ids := await self._store.marked_users():
            for user_id in user_ids:
                await self._erase_user(user_id)
        self._scrub()

    async def scrubbed(self) -> None:
        """Wait until no traces are left of what was erased so far."""
        if self._scrubber is not None:
            await asyncio.shield(self._scrubber)

    async def close(self) -> None:
        """Stop: what is under way goes on at the next start."""
        for again in self._again.values():
            again.cancel()
        tasks = [*self._under_way.values(), *([self._scrubber] if self._scrubber else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, what: str, erase: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have a task of the erasure: the one under way, or a new one."""
        if again := self._again.pop(what, None):
            again.cancel()
        if what not in self._under_way:
            task = self._under_way[what] = asyncio.get_running_loop().create_task(erase())
            task.add_done_callback(partial(self._ended, what, erase))

    def _ended(
        self,
        what: str,
        erase: Callable[[], Coroutine[Any, Any, None]],
        task: "asyncio.Task[None]",
    ) -> None:
        """Come back to an erasure that failed: whoever waited is told, and may not ask again."""
        del self._under_way[what]
        if task.cancelled() or (error := task.exception()) is None:
            self._failures.pop(what, None)
            return
        pause_s = min(RETRY_S * 2 ** self._failures[what], LONGEST_RETRY_S)
        self._failures[what] += 1
        log.error("erasure.stopped", what=what, error=str(error), again_in_s=pause_s)
        loop = asyncio.get_running_loop()
        self._again[what] = loop.call_later(pause_s, self._begin, what, erase)

    async def _erase_session(self, session_id: str) -> None:
        await self._stop(session_id)
        await self._remove(session_id)

    async def _remove(self, session_id: str) -> None:
        pieces = 0
        find = partial(self._store.erase_next_of_session, session_id)
        while (piece := await patiently(find)) is not None:
            await committed(self._store, Unit(writes=[piece]))
            pieces += 1
        self._forget()
        self._scrub()
        log.info("session.erased", session_id=session_id, pieces=pieces)

    async def _erase_user(self, user_id: str) -> None:
        while True:
            # Also those that came meanwhile: until the user's own row is gone, they are theirs.
            while session_ids := await patiently(partial(self._store.sessions_of, user_id)):
                for session_id in session_ids:
                    session = await patiently(partial(self._store.session, session_id))
                    if session is not None:
                        await self.begin_session(session)
                        await self.session_erased(session_id)
            piece = await patiently(partial(self._store.erase_next_of_user, user_id))
            if piece is None:
                break
            await committed(self._store, Unit(writes=[piece]))
        self._forget()
        self._scrub()
        log.info("user.erased", user_id=user_id)

    def _scrub(self) -> None:
        self._scrub_wanted = True
        if self._scrubber is None or self._scrubber.done():
            self._scrubber = asyncio.ensure_future(self._scrub_all())

    async def _scrub_all(self) -> None:
        while self._scrub_wanted:
            self._scrub_wanted = False
            while (scrubbing := await self._store.scrubbing()) is not None:
                try:
                    await self._scrub_once(scrubbing)
                except StoreFailed as error:
                    log.warning("store.scrubbing_failed", error=str(error))
                    await asyncio.sleep(RETRY_S)

    async def _scrub_once(self, scrubbing: Scrubbing) -> None:
        while scrubbing.more:
            await committed(self._store, Unit(writes=[scrubbing.piece]))
            await asyncio.sleep(PAUSE_S)
        if not await self._store.empty_log():
            await asyncio.sleep(RETRY_S)  # a reader needs the WAL; what was merged stays merged
            return
        await committed(self._store, Unit(writes=[scrubbing.end]))


def _session(session_id: str) -> str:
    return f"session:{session_id}"


async def cancel_all(
    store: ErasingStore, cancel: Callable[[str], Awaitable[object]], session_id: str
) -> None:
    """Cancel the missions of a session until none is left; ``cancel`` takes a mission's id.

    Where the session's user has just come home none of them is in memory. One that is told of its
    child's end would come into it, and go on: so parents end first.
    """
    while pids := await patiently(partial(store.live_missions_of, session_id)):
        for pid in pids:
            # Committed an instant ago, it may not be in the kernel's memory yet, or not any more;
            # and a store that does not take it now is asked again.
            with contextlib.suppress(NotFound, Unavailable):
                await cancel(pid)
        await asyncio.sleep(PAUSE_S)
