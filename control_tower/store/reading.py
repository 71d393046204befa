"""The reads that every store has: ``ports.Store`` and ``events.log.LogReader`` over readers."""

import math
from collections.abc import Collection, Sequence

from control_tower.audit import CallProof, Outcomes, StoreFigures, ToolCallRecord
from control_tower.ports import InterruptQuery, MissionQuery, SessionQuery
from control_tower.records import (
    ApiKeyRecord,
    FileRecord,
    InterruptRecord,
    KeyRecord,
    MessageHit,
    MessageRecord,
    ProcessControlBlock,
    SessionRecord,
    StepRecord,
    UserDay,
)
from control_tower.store import (
    api_keys,
    audit,
    file_queries,
    keys,
    mission_queries,
    pages,
    search,
    session_queries,
    spending,
)
from control_tower.store.delivery import Delivery
from control_tower.store.migrations import schema_of
from control_tower.store.readers import Readers
from control_tower.store.scopes import Scopes
from control_tower.store.tending import Tending
from events.log import Page


class Reading(Tending):
    """Reads. None blocks the event loop; each sees at least what was committed when it began."""

    _readers: Readers
    _scopes: Scopes
    _delivery: Delivery
    _epoch: str

    @property
    def epoch(self) -> str:
        """Changes only when history is replaced."""
        return self._epoch

    @property
    def head(self) -> int:
        """The last offset whose unit's completion has run on the loop; 0 for an empty log."""
        return self._delivery.head

    def lease_left_s(self) -> float:
        """Return for how long this process surely is the only one that acts; alone, for ever."""
        return math.inf

    async def read(self, topics: Sequence[str], after: int, upto: int, limit: int = 512) -> Page:
        """Return a page of the log; see ``LogReader``."""
        return await self._readers.run(
            pages.read_page, self._scopes, tuple(topics), (after, upto), max(limit, 1)
        )

    async def floor(self, topics: Sequence[str]) -> int:
        """Return the lowest ``since`` from which nothing of ``topics`` is missing."""
        return await self._readers.run(pages.read_floor, tuple(topics))

    async def mission(self, pid: str) -> ProcessControlBlock | None:
        """Return a mission's row."""
        return await self._readers.run(mission_queries.mission, pid)

    async def missions(self, query: MissionQuery) -> list[ProcessControlBlock]:
        """Return a page of missions, newest first."""
        return await self._readers.run(mission_queries.list_missions, query)

    async def live_missions(self, after: str | None, limit: int) -> list[ProcessControlBlock]:
        """Return a page of missions without an outcome, by pid."""
        return await self._readers.run(mission_queries.live_missions, after, limit)

    async def live_missions_of_users(
        self, user_ids: Sequence[str], after: str | None, limit: int
    ) -> list[ProcessControlBlock]:
        """Return a page of some users' missions without an outcome, by pid; not what is erased."""
        return await self._readers.run(
            mission_queries.live_missions_of_users, user_ids, after, limit
        )

    async def steps(self, pid: str) -> list[StepRecord]:
        """Return a mission's journal in the order in which calls were first recorded."""
        return await self._readers.run(mission_queries.list_steps, pid)

    async def interrupt(self, interrupt_id: str) -> InterruptRecord | None:
        """Return an interrupt."""
        return await self._readers.run(mission_queries.interrupt, interrupt_id)

    async def interrupts(self, query: InterruptQuery) -> list[InterruptRecord]:
        """Return a page of interrupts, oldest first."""
        return await self._readers.run(mission_queries.list_interrupts, query)

    async def session(self, session_id: str) -> SessionRecord | None:
        """Return a session, deleted ones too."""
        return await self._readers.run(session_queries.session, session_id)

    async def sessions(self, query: SessionQuery) -> list[SessionRecord]:
        """Return a page of sessions, newest activity first."""
        return await self._readers.run(session_queries.list_sessions, query)

    async def count_sessions(self, query: SessionQuery) -> int:
        """Return how many sessions there are on all pages; quick for those of one user."""
        return await self._readers.run(session_queries.count_sessions, query)

    async def message(self, message_id: str) -> MessageRecord | None:
        """Return a message, deleted ones too."""
        return await self._readers.run(session_queries.message, message_id)

    async def messages(self, session_id: str, limit: int, offset: int) -> list[MessageRecord]:
        """Return a page of a session's messages, oldest first, without deleted ones."""
        return await self._readers.run(session_queries.list_messages, session_id, limit, offset)

    async def recent_messages(self, session_id: str, limit: int) -> list[MessageRecord]:
        """Return a session's newest messages, oldest of them first."""
        return await self._readers.run(session_queries.recent_messages, session_id, limit)

    async def search_messages(
        self, text: str, user_id: str | None, limit: int, offset: int
    ) -> list[MessageHit]:
        """Return messages with every word of ``text``, the best first; None is everyone's."""
        return await self._readers.run(search.search, text, user_id, limit, offset)

    async def files(self, session_id: str) -> list[FileRecord]:
        """Return a session's files by name, without their content."""
        return await self._readers.run(file_queries.list_files, session_id)

    async def file(self, session_id: str, name: str) -> FileRecord | None:
        """Return a file of a session's workspace with its content."""
        return await self._readers.run(file_queries.file, session_id, name)

    async def artifacts(self, pid: str) -> list[FileRecord]:
        """Return a mission's named results by name, without their content."""
        return await self._readers.run(file_queries.list_artifacts, pid)

    async def artifact(self, pid: str, name: str) -> FileRecord | None:
        """Return a mission's named result with its content."""
        return await self._readers.run(file_queries.artifact, pid, name)

    async def user_day(self, user_id: str, day: str) -> UserDay:
        """Return what a user spent on a UTC day; nothing, if they did not."""
        return await self._readers.run(spending.user_day, user_id, day)

    async def user_days(self, day: str, limit: int, offset: int) -> list[UserDay]:
        """Return a page of what everybody spent on a UTC day, by user."""
        return await self._readers.run(spending.user_days, day, limit, offset)

    async def key(self, user_id: str, key: str) -> KeyRecord | None:
        """Return an idempotency key's row."""
        return await self._readers.run(keys.key, user_id, key)

    async def newest_tool_calls(self, most: int, after: int = 0) -> list[ToolCallRecord]:
        """Return the newest ended attempts of tools with ``no`` > ``after``, newest first."""
        return await self._readers.run(audit.newest_tool_calls, most, after)

    async def prove_calls(self, calls: Sequence[tuple[str, str]]) -> list[CallProof]:
        """Return what the store holds of each call, given as (mission, step), in their order."""
        return await self._readers.run(audit.prove_calls, calls)

    async def outcomes(self, most_missions: int, most_events: int) -> Outcomes:
        """Return the newest missions, with what the newest events say of their ends."""
        return await self._readers.run(audit.outcomes, most_missions, most_events)

    async def figures(self) -> StoreFigures:
        """Return how much there is."""
        return await self._readers.run(audit.figures)

    async def newest_message_is_indexed(self) -> bool | None:
        """Return whether search finds the newest message by its words; None without any."""
        return await self._readers.run(audit.newest_message_is_indexed)

    async def api_keys(self) -> list[ApiKeyRecord]:
        """Return every API key, oldest first, those that ended too."""
        return await self._readers.run(api_keys.list_keys)

    async def api_key(self, key_sha256: str) -> ApiKeyRecord | None:
        """Return the API key with this hash."""
        return await self._readers.run(api_keys.by_hash, key_sha256)

    async def api_key_called(self, key_id: str) -> ApiKeyRecord | None:
        """Return the API key with this id."""
        return await self._readers.run(api_keys.by_id, key_id)

    async def ended_api_keys(self, key_ids: Collection[str], now: float) -> frozenset[str]:
        """Return those of the ids whose API key opens nothing any more."""
        return await self._readers.run(api_keys.ended, key_ids, now)

    async def schema(self) -> str | None:
        """Return the revision of the schema as the database says it."""
        return await self._readers.run(schema_of)
