"""What is to be tended: the reads by which erasing and retention find their next piece of work."""

from control_tower.store import erasing, retaining, scrubbing
from control_tower.store.readers import Readers
from control_tower.unit import Tend


class Tending:
    """Reads, as those of :class:`~control_tower.store.reading.Reading`. Each piece is bounded."""

    _readers: Readers

    async def live_missions_of(self, session_id: str) -> list[str]:
        """Return missions of a session that have not ended; not all, if there are many."""
        return await self._readers.run(erasing.live_missions, session_id)

    async def sessions_of(self, user_id: str) -> list[str]:
        """Return sessions of a user, whatever became of them; not all, if there are many."""
        return await self._readers.run(erasing.sessions_of, user_id)

    async def knows_user(self, user_id: str) -> bool:
        """Return whether there is anything of a user."""
        return await self._readers.run(erasing.is_known, user_id)

    async def marked_sessions(self) -> list[str]:
        """Return sessions whose erasure has begun; not all, if there are many."""
        return await self._readers.run(erasing.marked_sessions)

    async def marked_users(self) -> list[str]:
        """Return users whose erasure has begun; not all, if there are many."""
        return await self._readers.run(erasing.marked_users)

    async def erase_next_of_session(self, session_id: str) -> Tend | None:
        """Return the next piece of a session to erase; None when nothing is left."""
        return await self._readers.run(erasing.of_session, session_id)

    async def erase_next_of_user(self, user_id: str) -> Tend | None:
        """Return the next piece to erase of a user without sessions; None: nothing is left."""
        return await self._readers.run(erasing.of_user, user_id)

    async def scrubbing(self) -> scrubbing.Scrubbing | None:
        """Return a way to remove traces of what was erased; None if there can be none."""
        return await self._readers.run(scrubbing.scrubbing)

    async def newest_before(self, instant: float) -> int:
        """Return the last offset whose event is older; 0 if none is."""
        return await self._readers.run(retaining.newest_before, instant)

    async def lines(self, after: int, upto: int) -> tuple[list[int], int | None]:
        """Return lines with events behind ``after``, and where to go on; None: that was all."""
        return await self._readers.run(retaining.lines, after, upto)

    async def limit_of(self, line: int, upto: int, instant: float) -> int:
        """Return how far a line may be cut: before any mission not over at ``instant``."""
        return await self._readers.run(retaining.limit_of, line, upto, instant)

    async def cut(self, line: int, upto: int) -> Tend | None:
        """Return the removal of a line's oldest events; None if there are none left."""
        return await self._readers.run(retaining.cut, line, upto)

    async def old_tool_calls(self, instant: float) -> Tend | None:
        """Return the removal of the oldest tool calls; None if none is old enough."""
        return await self._readers.run(retaining.old_tool_calls, instant)

    async def old_steps(self, after: int, upto: int, instant: float) -> retaining.Place:
        """Return the removal of steps behind ``after`` whose missions were over."""
        return await self._readers.run(retaining.old_steps, after, upto, instant)

    async def old_keys(self, after: tuple[int, str], instant: float) -> retaining.Place:
        """Return the removal of idempotency keys behind ``after``."""
        return await self._readers.run(retaining.old_keys, after, instant)
