"""Sessions and their messages: the commands that people give.

A session belongs to its user. To another user it does not exist; an operator may do everything, a
viewer may read everything and change nothing. Each change is one unit: its row and its event.

Changes of one session are made one after another, because each replaces what it has read. A
deleted session stays where it is until it is restored; to everyone it is gone, unless asked for.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal, TypeAlias, TypeVar

import msgspec

from control_tower.commands import Caller
from control_tower.committing import committed
from control_tower.erasure import Eraser
from control_tower.errors import Forbidden, InvalidParams, NotFound, Refusal, Unavailable
from control_tower.keyed_locks import KeyedLocks
from control_tower.ports import Clock, Ids, SessionQuery, Store
from control_tower.public import message_json, session_json
from control_tower.records import MessageHit, MessageRecord, SessionRecord
from control_tower.sight import require_writer
from control_tower.unit import (
    InsertSession,
    RequireSession,
    SaveMessage,
    SaveSession,
    SessionMissing,
    StoreFailed,
    TouchSession,
    Unit,
    UnitRefused,
    Write,
)
from events.payloads import (
    MessageDeleted,
    MessageEdited,
    SessionCreated,
    SessionDeleted,
    SessionUpdated,
)
from events.types import EventData, Scope, draft

TITLE_LIMIT = 500
CONTENT_LIMIT = 10_000
QUERY_LIMIT = 500

Period: TypeAlias = Literal["today", "week", "month", "all"]
"""How far back the last activity of a listed session may be."""

_DAYS = {"week": 7, "month": 30}
_DAY_S = 86_400.0

Record = TypeVar("Record", SessionRecord, MessageRecord)
Ack: TypeAlias = Callable[[Record], None]
"""Called with the command's result when it is committed, before its event is published: a reply
sent here precedes the event."""

SessionPage: TypeAlias = list[SessionRecord]
MessagePage: TypeAlias = list[MessageRecord]
HitPage: TypeAlias = list[MessageHit]


def _whose(caller: Caller, user_id: str | None) -> str | None:
    """Return whose sessions are listed when ``user_id`` is asked for; None is everyone's."""
    if caller.reads_all:
        return user_id
    if user_id not in {None, caller.user_id}:
        raise Forbidden("Only an operator or a viewer may list another user's sessions.")
    return caller.user_id


def active_since(period: Period, now: float) -> float | None:
    """Return the least last activity in ``period``: today is the UTC day, a month 30 days."""
    if period == "all":
        return None
    if period == "today":
        midnight = datetime.fromtimestamp(now, UTC).replace(
            hour=0, minute=0, second=0, microsecond=0
        )
        return midnight.timestamp()
    return now - _DAYS[period] * _DAY_S


class Sessions:
    """The commands. Each may raise a :class:`~control_tower.errors.Refusal`.

    A command that is cancelled while it waits for its commit is carried out all the same.
    """

    def __init__(self, store: Store, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._turns = KeyedLocks()

    @property
    def parts(self) -> tuple[Store, Clock, Ids]:
        """What it was made of."""
        return self._store, self._clock, self._ids

    async def create(
        self,
        caller: Caller,
        *,
        user_id: str | None = None,
        title: str | None = None,
        ack: Ack[SessionRecord] | None = None,
    ) -> SessionRecord:
        """Make a session; only an operator may make one for another user."""
        require_writer(caller)
        owner = user_id or caller.user_id
        if owner != caller.user_id and caller.role != "operator":
            raise Forbidden("Only an operator may act for another user.")
        now = self._clock.now()
        session = SessionRecord(
            session_id=self._ids.new("s_"),
            user_id=owner,
            title=_checked_title(title),
            created_at=now,
            last_activity=now,
        )
        created = SessionCreated(session=session_json(session))
        return await self._commit(
            self._unit(created, session, InsertSession(session)), session, ack
        )

    async def get(
        self, caller: Caller, session_id: str, *, include_deleted: bool = False
    ) -> SessionRecord:
        """Return a session that the caller may see."""
        session = await self._store.session(session_id)
        if session is None or session.erased_at is not None:
            raise _no_session()
        if not (caller.reads_all or session.user_id == caller.user_id):
            raise _no_session()
        if session.deleted_at is not None and not include_deleted:
            raise _no_session()
        return session

    async def list(
        self,
        caller: Caller,
        *,
        user_id: str | None = None,
        period: Period = "all",
        archived: bool | None = False,
        include_deleted: bool = False,
        limit: int = 50,
        offset: int = 0,
    ) -> SessionPage:
        """Return sessions, newest activity first; ``archived`` None is both kinds.

        Without ``user_id`` a user sees their own, operators and viewers everyone's.
        """
        return await self._store.sessions(
            SessionQuery(
                user_id=_whose(caller, user_id),
                since=active_since(period, self._clock.now()),
                archived=archived,
                include_deleted=include_deleted,
                limit=limit,
                offset=offset,
            )
        )

    async def count(
        self,
        caller: Caller,
        *,
        user_id: str | None = None,
        period: Period = "all",
        archived: bool | None = False,
        include_deleted: bool = False,
    ) -> int | None:
        """Return how many sessions :meth:`list` has on all its pages; of everyone's, None.

        Those of one user are few, and found by an index.
        """
        owner = _whose(caller, user_id)
        if owner is None:
            return None
        since = active_since(period, self._clock.now())
        return await self._store.count_sessions(
            SessionQuery(owner, since=since, archived=archived, include_deleted=include_deleted)
        )

    async def update(
        self,
        caller: Caller,
        session_id: str,
        *,
        title: str | None = None,
        archived: bool | None = None,
        ack: Ack[SessionRecord] | None = None,
    ) -> SessionRecord:
        """Rename a session, move it into the archive or out of it. None leaves as it is."""
        require_writer(caller)
        title = _checked_title(title)
        async with self._turns.of(session_id):
            old = await self.get(caller, session_id)
            archived_at = old.archived_at
            if archived is not None and archived != (archived_at is not None):
                archived_at = self._clock.now() if archived else None
            session = msgspec.structs.replace(
                old, title=old.title if title is None else title, archived_at=archived_at
            )
            updated = SessionUpdated(session=session_json(session))
            save = SaveSession(session)
            unit = self._unit(updated, session, save, require=_still_theirs(session))
            return await self._commit(unit, session, ack)

    async def delete(
        self, caller: Caller, session_id: str, *, ack: Ack[SessionRecord] | None = None
    ) -> SessionRecord:
        """Delete a session softly: it can be restored."""
        require_writer(caller)
        async with self._turns.of(session_id):
            old = await self.get(caller, session_id)
            session = msgspec.structs.replace(old, deleted_at=self._clock.now())
            deleted = SessionDeleted(session=session_json(session))
            save = SaveSession(session)
            unit = self._unit(deleted, session, save, require=_still_theirs(session))
            return await self._commit(unit, session, ack)

    async def restore(
        self, caller: Caller, session_id: str, *, ack: Ack[SessionRecord] | None = None
    ) -> SessionRecord:
        """Bring a deleted session back; one that is not deleted is returned as it is."""
        require_writer(caller)
        async with self._turns.of(session_id):
            old = await self.get(caller, session_id, include_deleted=True)
            if old.deleted_at is None:
                if ack is not None:
                    ack(old)
                return old
            session = msgspec.structs.replace(old, deleted_at=None)
            updated = SessionUpdated(session=session_json(session))
            save, there = (
                SaveSession(session),
                RequireSession(session_id, old.user_id, deleted=True),
            )
            unit = self._unit(updated, session, save, require=there)
            return await self._commit(unit, session, ack)

    async def erase(
        self,
        caller: Caller,
        session_id: str,
        eraser: Eraser,
        *,
        ack: Ack[SessionRecord] | None = None,
    ) -> SessionRecord:
        """Remove a session with everything in it, deleted or not; there is no way back.

        ``ack`` is called as soon as nobody can see it any more; this returns when it is gone.
        """
        require_writer(caller)
        async with self._turns.of(session_id):
            old = await self.get(caller, session_id, include_deleted=True)
            session = msgspec.structs.replace(old, deleted_at=self._clock.now())
            deleted = SessionDeleted(session=session_json(session))
            unit = self._unit(deleted, session)
            try:
                await eraser.begin_session(
                    old, unit.drafts, None if ack is None else lambda _: ack(session)
                )
            except UnitRefused as reason:
                raise _refusal(reason) from reason
        await eraser.session_erased(session_id)
        return session

    async def messages(
        self, caller: Caller, session_id: str, *, limit: int = 100, offset: int = 0
    ) -> MessagePage:
        """Return a page of a session's messages, oldest first."""
        await self.get(caller, session_id)
        return await self._store.messages(session_id, limit, offset)

    async def search(
        self, caller: Caller, text: str, *, limit: int = 50, offset: int = 0
    ) -> HitPage:
        """Return messages that hold every word of ``text``, the best first.

        A user's own; operators and viewers search everyone's.
        """
        if not 1 <= len(text) <= QUERY_LIMIT:
            raise InvalidParams(f"query must have 1 to {QUERY_LIMIT} characters.", field="query")
        user_id = None if caller.reads_all else caller.user_id
        return await self._store.search_messages(text, user_id, limit, offset)

    async def edit_message(
        self,
        caller: Caller,
        message_id: str,
        content: str,
        *,
        ack: Ack[MessageRecord] | None = None,
    ) -> MessageRecord:
        """Change a user message's text; the first text is kept in ``original_content``."""
        require_writer(caller)
        if not 1 <= len(content) <= CONTENT_LIMIT:
            raise InvalidParams(
                f"content must have 1 to {CONTENT_LIMIT} characters.", field="content"
            )
        session = await self._session_of(caller, message_id)
        async with self._turns.of(session.session_id):
            old = await self._own_message(message_id)
            first = old.content if old.original_content is None else old.original_content
            message = msgspec.structs.replace(
                old, content=content, edited_at=self._clock.now(), original_content=first
            )
            edited = MessageEdited(message=message_json(message))
            save = SaveMessage(message)
            unit = self._unit(edited, session, save, require=_still_theirs(session))
            return await self._commit(unit, message, ack)

    async def delete_message(
        self, caller: Caller, message_id: str, *, ack: Ack[MessageRecord] | None = None
    ) -> MessageRecord:
        """Delete a user message; it is no longer listed, counted or found."""
        require_writer(caller)
        session = await self._session_of(caller, message_id)
        async with self._turns.of(session.session_id):
            old = await self._own_message(message_id)
            message = msgspec.structs.replace(old, deleted_at=self._clock.now())
            deleted = MessageDeleted(message=message_json(message))
            save = SaveMessage(message)
            count = TouchSession(session.session_id, session.last_activity, messages=-1)
            unit = self._unit(deleted, session, save, count, require=_still_theirs(session))
            return await self._commit(unit, message, ack)

    async def _session_of(self, caller: Caller, message_id: str) -> SessionRecord:
        message = await self._store.message(message_id)
        if message is None:
            raise _no_message()
        try:
            return await self.get(caller, message.session_id)
        except NotFound:
            raise _no_message() from None

    async def _own_message(self, message_id: str) -> MessageRecord:
        message = await self._store.message(message_id)
        if message is None or message.deleted_at is not None:
            raise _no_message()
        if message.role != "user":
            raise Forbidden("Only a user's own messages can be changed.")
        return message

    def _unit(
        self,
        event: EventData,
        session: SessionRecord,
        *writes: Write,
        require: RequireSession | None = None,
    ) -> Unit:
        scope = Scope(session.session_id, session.user_id)
        return Unit(
            drafts=[draft(event, scope, self._clock.now())],
            writes=[*writes],
            require=require,
            critical=False,
        )

    async def _commit(self, unit: Unit, result: Record, ack: Ack[Record] | None) -> Record:
        try:
            await committed(self._store, unit, None if ack is None else lambda _: ack(result))
        except UnitRefused as reason:
            raise _refusal(reason) from reason
        return result


def _still_theirs(session: SessionRecord) -> RequireSession:
    return RequireSession(session.session_id, session.user_id)


def _checked_title(title: str | None) -> str | None:
    if title is not None and len(title) > TITLE_LIMIT:
        raise InvalidParams(f"title may have {TITLE_LIMIT} characters.", field="title")
    return title


def _no_session() -> NotFound:
    return NotFound("No such session.")


def _no_message() -> NotFound:
    return NotFound("No such message.")


def _refusal(reason: UnitRefused) -> Refusal | UnitRefused:
    if isinstance(reason, SessionMissing):
        return _no_session()
    if isinstance(reason, StoreFailed):
        return Unavailable(
            "The store can't take this now.", outcome=reason.outcome, disk_full=reason.disk_full
        )
    return reason
