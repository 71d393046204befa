"""Imports a session: what an export wrote becomes a new session with the same messages.

A session of a few messages is one unit. A longer one is built hidden (as a deleted session is),
some messages a unit, so that nobody waits long for the writer; then it is shown. An import that
breaks off leaves only what nobody sees.
"""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias

import msgspec
from pydantic import AfterValidator, Field

from control_tower.committing import committed
from control_tower.errors import Unavailable
from control_tower.ports import Clock, Ids, Store
from control_tower.public import message_json, session_json
from control_tower.records import MessageRecord, SessionRecord
from control_tower.sessions import TITLE_LIMIT
from control_tower.unit import (
    InsertMessage,
    InsertSession,
    RequireSession,
    SaveSession,
    SessionMissing,
    TouchSession,
    Unit,
    Write,
)
from events.payloads import MessageCreated, SessionCreated, SessionUpdated
from events.times import instant_of
from events.types import EventData, Scope, draft
from server.endpoints import WHOLE, Body

MOST_CHARACTERS = 8 * 1024 * 1024
"""Of one message: as long as an agent's result may be."""
UNIT_MESSAGES = 500
UNIT_CHARACTERS = 1024 * 1024


def _check_instant(text: str) -> str:
    instant_of(text)
    return text


Instant: TypeAlias = Annotated[
    str,
    Field(max_length=40, json_schema_extra={"format": "date-time"}),
    AfterValidator(_check_instant),
]
OldId: TypeAlias = Annotated[str, Field(max_length=200)]
Content: TypeAlias = Annotated[str, Field(max_length=MOST_CHARACTERS)]


class ImportedMessage(Body):
    """A message as an export has it. Ids are read over: it gets new ones."""

    message_id: OldId | None = None
    session_id: OldId | None = None
    role: Literal["user", "assistant"]
    content: Content
    mission_id: OldId | None = None
    created_at: Instant
    edited_at: Instant | None = None
    original_content: Content | None = None
    deleted_at: None = None


class ImportedSession(Body):
    """A session as an export has it. It becomes the importer's."""

    session_id: OldId | None = None
    user_id: OldId | None = None
    title: Annotated[str, Field(max_length=TITLE_LIMIT)] | None = None
    message_count: Annotated[int, Field(ge=0), WHOLE] | None = None
    created_at: Instant
    last_activity: Instant
    archived_at: Instant | None = None
    deleted_at: None = None


@dataclass(slots=True)
class _Batch:
    """Messages on their way into one unit."""

    session: SessionRecord
    writes: list[Write] = field(default_factory=list)
    events: list[EventData] = field(default_factory=list)
    messages: int = 0
    characters: int = 0

    def add(self, message: MessageRecord) -> None:
        """Take one more."""
        self.writes.append(InsertMessage(message))
        self.events.append(MessageCreated(message=message_json(message)))
        self.messages += 1
        self.characters += len(message.content) + len(message.original_content or "")

    @property
    def full(self) -> bool:
        """Whether it is large enough for a unit."""
        return self.messages >= UNIT_MESSAGES or self.characters >= UNIT_CHARACTERS

    def touch(self) -> TouchSession:
        """Return the write that counts the messages."""
        at = self.session.last_activity
        return TouchSession(self.session.session_id, at, messages=self.messages)


class Importer:
    """Makes sessions of what was exported."""

    def __init__(self, store: Store, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids

    async def run(
        self, user_id: str, given: ImportedSession, messages: AsyncIterator[ImportedMessage]
    ) -> SessionRecord:
        """Make a session of ``user_id`` with these messages; return it once it is committed.

        Raises:
            UnitRefused: when the store does not take it.
            Unavailable: when it is erased meanwhile, with its user.
        """
        session = self._session(user_id, given)
        batch, hidden, count = _Batch(session), False, 0
        async for each in messages:
            batch.add(self._message(session, each))
            count += 1
            if batch.full:
                await self._commit(session, *self._hidden(batch, begun=hidden), begun=hidden)
                batch, hidden = _Batch(session), True
        whole = msgspec.structs.replace(session, message_count=count)
        if hidden:
            writes = [*batch.writes, batch.touch(), SaveSession(session)]
            shown: EventData = SessionUpdated(session=session_json(whole))
            await self._commit(session, writes, [*batch.events, shown], begun=True)
        else:
            created: EventData = SessionCreated(session=session_json(whole))
            writes = [InsertSession(session), *batch.writes, batch.touch()]
            await self._commit(session, writes, [created, *batch.events], begun=False)
        return whole

    def _hidden(self, batch: _Batch, *, begun: bool) -> tuple[list[Write], list[EventData]]:
        """Return the writes and events of a part of a session that is not shown yet."""
        writes, events = [*batch.writes, batch.touch()], [*batch.events]
        if not begun:
            hidden = msgspec.structs.replace(batch.session, deleted_at=self._clock.now())
            writes.insert(0, InsertSession(hidden))
            events.insert(0, SessionCreated(session=session_json(hidden)))
        return writes, events

    def _session(self, user_id: str, given: ImportedSession) -> SessionRecord:
        return SessionRecord(
            session_id=self._ids.new("s_"),
            user_id=user_id,
            title=given.title,
            created_at=self._past(given.created_at),
            last_activity=self._past(given.last_activity),
            archived_at=None if given.archived_at is None else self._past(given.archived_at),
        )

    def _message(self, session: SessionRecord, given: ImportedMessage) -> MessageRecord:
        return MessageRecord(
            message_id=self._ids.new("msg_"),
            session_id=session.session_id,
            role=given.role,
            content=given.content,
            # Its mission may be another user's, or of another server.
            mission_id=None,
            created_at=self._past(given.created_at),
            edited_at=None if given.edited_at is None else self._past(given.edited_at),
            original_content=given.original_content,
        )

    def _past(self, text: str) -> float:
        """Return a time as an instant that was: none from tomorrow stays on top of a list."""
        return min(max(instant_of(text), 0.0), self._clock.now())

    async def _commit(
        self,
        session: SessionRecord,
        writes: Iterable[Write],
        events: Iterable[EventData],
        *,
        begun: bool,
    ) -> None:
        scope, now = Scope(session.session_id, session.user_id), self._clock.now()
        unit = Unit(
            drafts=[draft(event, scope, now) for event in events],
            writes=[*writes],
            require=_ours(session) if begun else None,
            critical=False,
        )
        try:
            await committed(self._store, unit)
        except SessionMissing:
            gone = "The session was erased while it was imported."
            raise Unavailable(gone, outcome="rejected") from None


def _ours(session: SessionRecord) -> RequireSession:
    return RequireSession(session.session_id, session.user_id, deleted=True)
