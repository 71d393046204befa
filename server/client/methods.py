"""The methods of `/ws` with their types; what they take and return is the wire's."""

from typing import Any, Literal

import msgspec

from events.payloads import JsonObject


class Submitted(msgspec.Struct, frozen=True, kw_only=True):
    """The reply to a submit: the mission is stored, and survives whatever comes.

    Attributes:
        offset: the first of its events has it.
        duplicate: whether the same key had been submitted before.
    """

    mission_id: str
    session_id: str
    state: str
    offset: int
    duplicate: bool = False


class Methods:
    """Mixed into :class:`server.client.Client`. Every method may raise ``ClientError``."""

    async def call(self, method: str, **params: object) -> Any:
        """Call a method; the client has it."""
        raise NotImplementedError

    async def submit(
        self,
        mission: str,
        *,
        agent: str | None = None,
        profile: str | None = None,
        session_id: str | None = None,
        inputs: JsonObject | None = None,
        priority: str | None = None,
        quota: JsonObject | None = None,
        deadline_s: float | None = None,
        start_at: str | None = None,
        on_busy: str | None = None,
        idempotency_key: str | None = None,
    ) -> Submitted:
        """Submit a mission. It may be lost neither here nor there, and is never made twice.

        The submit carries a key of its own if it is given none, so that it is safely sent again
        over a lost connection. Give one that outlives the process to be safe from its crash, too.
        """
        reply = await self.call(
            "mission.submit",
            mission=mission,
            agent=agent,
            profile=profile,
            session_id=session_id,
            inputs=inputs,
            priority=priority,
            quota=quota,
            deadline_s=deadline_s,
            start_at=start_at,
            on_busy=on_busy,
            idempotency_key=idempotency_key,
            subscribe=False,
        )
        return msgspec.convert(reply, Submitted)

    async def send_message(
        self, message: str, *, session_id: str | None = None, **more: object
    ) -> JsonObject:
        """Say something in a session; a clarification that waits there takes it as its answer."""
        return await self._object(
            "message.send", message=message, session_id=session_id, subscribe=False, **more
        )

    async def mission(self, mission_id: str) -> JsonObject:
        """Return a mission's control block."""
        return await self._object("mission.get", mission_id=mission_id)

    async def missions(
        self,
        *,
        session_id: str | None = None,
        state: str | None = None,
        user_id: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> list[JsonObject]:
        """Return missions, newest first; ``cursor`` is the last id of the page before."""
        page = await self._object(
            "mission.list",
            session_id=session_id,
            state=state,
            user_id=user_id,
            limit=limit,
            cursor=cursor,
        )
        return list(page["missions"])

    async def explain(self, mission_id: str) -> JsonObject:
        """Return why a mission is where it is, and its place in the queue."""
        return await self._object("mission.explain", mission_id=mission_id)

    async def cancel(self, mission_id: str, reason: str | None = None) -> JsonObject:
        """Cancel a mission. One that has ended is returned as it is."""
        return await self._object("mission.cancel", mission_id=mission_id, reason=reason)

    async def pause(self, mission_id: str, reason: str | None = None) -> JsonObject:
        """Pause a mission at its next call."""
        return await self._object("mission.pause", mission_id=mission_id, reason=reason)

    async def resume(self, mission_id: str, reason: str | None = None) -> JsonObject:
        """Let a paused mission go on."""
        return await self._object("mission.resume", mission_id=mission_id, reason=reason)

    async def set_priority(self, mission_id: str, priority: str) -> JsonObject:
        """Change a priority: realtime, high, normal, low or idle."""
        return await self._object("mission.set_priority", mission_id=mission_id, priority=priority)

    async def extend_quota(self, mission_id: str, quota: JsonObject) -> JsonObject:
        """Add amounts to a mission's limits."""
        return await self._object("mission.extend_quota", mission_id=mission_id, quota=quota)

    async def confirm(
        self,
        confirmation_id: str,
        approved: bool,
        *,
        message: str | None = None,
        arguments: JsonObject | None = None,
    ) -> JsonObject:
        """Approve or refuse exactly what a confirmation shows, or ``arguments`` instead."""
        return await self._object(
            "confirm",
            confirmation_id=confirmation_id,
            approved=approved,
            message=message,
            arguments=arguments,
        )

    async def clarify(self, clarification_id: str, answer: str) -> JsonObject:
        """Answer a question that wants words."""
        return await self._object("clarify", clarification_id=clarification_id, answer=answer)

    async def decide(
        self,
        interrupt_id: str,
        decision: Literal["extend", "finish", "cancel", "it_happened", "retry", "fail"],
        *,
        quota: JsonObject | None = None,
        **result: object,
    ) -> JsonObject:
        """Decide what becomes of a used-up quota, or of a call whose outcome nobody knows.

        Args:
            interrupt_id: the question.
            decision: one of those that its kind has.
            quota: amounts to add, with ``extend``.
            result: ``result=…``, any JSON, with ``it_happened``.
        """
        return await self._object(
            "interrupt.answer", interrupt_id=interrupt_id, decision=decision, quota=quota, **result
        )

    async def interrupts(
        self,
        *,
        session_id: str | None = None,
        mission_id: str | None = None,
        kind: str | None = None,
        status: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> list[JsonObject]:
        """Return questions, oldest first: the pending ones unless ``status`` says otherwise."""
        page = await self._object(
            "interrupt.list",
            session_id=session_id,
            mission_id=mission_id,
            kind=kind,
            status=status,
            limit=limit,
            cursor=cursor,
        )
        return list(page["interrupts"])

    async def session(self, session_id: str) -> JsonObject:
        """Return a session."""
        return await self._object("session.get", session_id=session_id)

    async def sessions(self, **filters: object) -> list[JsonObject]:
        """Return sessions, newest activity first."""
        return list(await self.call("session.list", **filters))

    async def create_session(
        self, title: str | None = None, user_id: str | None = None
    ) -> JsonObject:
        """Make a session."""
        return await self._object("session.create", title=title, user_id=user_id)

    async def update_session(
        self, session_id: str, *, title: str | None = None, archived: bool | None = None
    ) -> JsonObject:
        """Rename a session, or put it into the archive or take it out."""
        return await self._object(
            "session.update", session_id=session_id, title=title, archived=archived
        )

    async def delete_session(self, session_id: str) -> JsonObject:
        """Delete a session; it can be restored."""
        return await self._object("session.delete", session_id=session_id)

    async def status(self) -> JsonObject:
        """Return what the server does, for operators and viewers."""
        return await self._object("tower.status")

    async def _object(self, method: str, **params: object) -> JsonObject:
        found: JsonObject = await self.call(method, **params)
        return found
