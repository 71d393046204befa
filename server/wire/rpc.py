"""The methods of `/ws`: what each takes, and what it asks of the tower.

A command's reply goes out at its commit, before the events that it causes: ``ack`` is handed down
to the tower for that. What a caller may do is decided below; here is only what a connection is.
"""

from collections.abc import Callable
from typing import Any

from control_tower.commands import Caller, QuotaIncrease
from control_tower.errors import InvalidParams
from control_tower.ports import InterruptQuery, MissionQuery
from control_tower.public import session_json
from control_tower.records import InterruptKind, SessionRecord
from events.payloads import JsonObject
from server.json_text import check_free
from server.paging import check_cursor
from server.rest.shapes import body_sha256
from server.services import Services
from server.wire import rpc_params as p
from server.wire.rpc_connection import connection_methods
from server.wire.rpc_follow import Followings
from server.wire.rpc_session import Ack, Method
from server.wire.ws import Connection

CONFIRMATION = frozenset({InterruptKind.CONFIRMATION})
CLARIFICATION = frozenset({InterruptKind.CLARIFICATION})
DECIDED = frozenset({InterruptKind.RESOURCE_EXHAUSTED, InterruptKind.UNKNOWN_OUTCOME})


class MethodTable:
    """Every method by its name; implements :class:`server.wire.rpc_session.Methods`."""

    def __init__(self, services: Services) -> None:
        self.methods: dict[str, Method] = {
            **connection_methods(services),
            **_Missions(services).table(),
            **_Interrupts(services).table(),
            **_Sessions(services).table(),
        }

    def find(self, name: str) -> Method | None:
        """Return the method called ``name``."""
        return self.methods.get(name)


class _Missions:
    """``mission.*`` and ``message.send``."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._tower = services.tower
        self._followings = Followings(services)

    def table(self) -> dict[str, Method]:
        """Return the methods by name."""
        return {
            "mission.submit": Method(p.SubmitParams, self.submit),
            "mission.get": Method(p.MissionParams, self.get),
            "mission.explain": Method(p.MissionParams, self.explain),
            "mission.list": Method(p.MissionListParams, self.list),
            "mission.cancel": Method(p.MissionReasonParams, self.cancel),
            "mission.pause": Method(p.MissionReasonParams, self.pause),
            "mission.resume": Method(p.MissionReasonParams, self.resume),
            "mission.set_priority": Method(p.PriorityParams, self.set_priority),
            "mission.extend_quota": Method(p.QuotaParams, self.extend_quota),
            "message.send": Method(p.SendParams, self.send),
        }

    async def submit(self, connection: Connection, params: p.SubmitParams, ack: Ack) -> Any:
        submission, caller = params.submission(), await self._submitter(connection, params)
        reply = await self._tower.submit(
            caller,
            submission,
            body_sha256=body_sha256("mission", submission),
            ack=self._following(connection, ack, wanted=params.subscribe),
        )
        if params.subscribe and connection.caller == caller:
            await self._followings.again(connection, reply, ack)
        return reply

    async def send(self, connection: Connection, params: p.SendParams, ack: Ack) -> Any:
        submission, caller = params.submission(), await self._submitter(connection, params)
        reply = await self._tower.send_message(
            caller,
            params.message,
            submission,
            body_sha256=body_sha256("message", submission),
            ack=self._following(connection, ack, wanted=params.subscribe),
        )
        if params.subscribe and connection.caller == caller:
            await self._followings.again(connection, reply, ack)
        return reply

    async def get(self, connection: Connection, params: p.MissionParams, _: Ack) -> Any:
        return await self._tower.mission(connection.known_caller, params.mission_id)

    async def explain(self, connection: Connection, params: p.MissionParams, _: Ack) -> Any:
        return await self._tower.explain(connection.known_caller, params.mission_id)

    async def list(self, connection: Connection, params: p.MissionListParams, _: Ack) -> Any:
        await check_cursor(self._tower.mission, connection.known_caller, params.cursor)
        query = MissionQuery(
            user_id=params.user_id,
            session_id=params.session_id,
            state=params.state.value if params.state else None,
            limit=params.limit,
            after=params.cursor,
        )
        found = await self._tower.missions(connection.known_caller, query)
        return _page("missions", found, "mission_id", params.limit)

    async def cancel(self, connection: Connection, params: p.MissionReasonParams, ack: Ack) -> Any:
        caller = connection.known_caller
        return await self._tower.cancel(caller, params.mission_id, params.reason, ack=ack)

    async def pause(self, connection: Connection, params: p.MissionReasonParams, ack: Ack) -> Any:
        caller = connection.known_caller
        return await self._tower.pause(caller, params.mission_id, params.reason, ack=ack)

    async def resume(self, connection: Connection, params: p.MissionReasonParams, ack: Ack) -> Any:
        caller = connection.known_caller
        return await self._tower.resume(caller, params.mission_id, params.reason, ack=ack)

    async def set_priority(self, connection: Connection, params: p.PriorityParams, ack: Ack) -> Any:
        caller = connection.known_caller
        return await self._tower.set_priority(caller, params.mission_id, params.priority, ack=ack)

    async def extend_quota(self, connection: Connection, params: p.QuotaParams, ack: Ack) -> Any:
        caller = connection.known_caller
        if params.quota == QuotaIncrease():
            raise InvalidParams("quota: say by how much to raise which limit.", field="quota")
        return await self._tower.extend_quota(caller, params.mission_id, params.quota, ack=ack)

    async def _submitter(
        self, connection: Connection, params: p.SubmitParams | p.SendParams
    ) -> Caller:
        """Check what every submit has in common; return who makes it."""
        caller = connection.known_caller
        await self._services.rates.take(caller.user_id, self._services.clock.now())
        check_free(params.inputs, "inputs")
        if params.subscribe:
            await self._services.expect_text(caller.user_id)
        return caller

    def _following(
        self, connection: Connection, ack: Ack, *, wanted: bool
    ) -> Callable[[JsonObject], None]:
        """Return an ack that also gives the connection the mission's events, from its first."""
        caller = connection.caller

        def acknowledged(reply: JsonObject) -> None:
            # Who has become somebody else meanwhile does not hear of it.
            follows = wanted and connection.caller == caller
            if not follows or self._followings.begin(connection, reply):
                ack(reply)

        return acknowledged


class _Interrupts:
    """``confirm``, ``clarify`` and ``interrupt.*``."""

    def __init__(self, services: Services) -> None:
        self._tower = services.tower

    def table(self) -> dict[str, Method]:
        """Return the methods by name."""
        return {
            "confirm": Method(p.ConfirmParams, self.confirm),
            "clarify": Method(p.ClarifyParams, self.clarify),
            "interrupt.answer": Method(p.DecideParams, self.decide),
            "interrupt.list": Method(p.InterruptListParams, self.list),
        }

    async def confirm(self, connection: Connection, params: p.ConfirmParams, ack: Ack) -> Any:
        check_free(params.arguments, "arguments")
        return await self._tower.answer(
            connection.known_caller,
            params.confirmation_id,
            params.answer(),
            kinds=CONFIRMATION,
            ack=ack,
        )

    async def clarify(self, connection: Connection, params: p.ClarifyParams, ack: Ack) -> Any:
        return await self._tower.answer(
            connection.known_caller,
            params.clarification_id,
            params.words(),
            kinds=CLARIFICATION,
            ack=ack,
        )

    async def decide(self, connection: Connection, params: p.DecideParams, ack: Ack) -> Any:
        check_free(params.result, "result")
        return await self._tower.answer(
            connection.known_caller, params.interrupt_id, params.answer(), kinds=DECIDED, ack=ack
        )

    async def list(self, connection: Connection, params: p.InterruptListParams, _: Ack) -> Any:
        await check_cursor(self._tower.interrupt, connection.known_caller, params.cursor)
        query = InterruptQuery(
            session_id=params.session_id,
            mission_id=params.mission_id,
            kind=params.kind.value if params.kind else None,
            status=None if params.status == "any" else params.status,
            limit=params.limit,
            after=params.cursor,
        )
        found = await self._tower.interrupts(connection.known_caller, query)
        return _page("interrupts", found, "interrupt_id", params.limit)


class _Sessions:
    """``session.*``."""

    def __init__(self, services: Services) -> None:
        self._sessions = services.sessions
        self._eraser = services.eraser

    def table(self) -> dict[str, Method]:
        """Return the methods by name."""
        return {
            "session.create": Method(p.SessionCreateParams, self.create),
            "session.get": Method(p.SessionParams, self.get),
            "session.list": Method(p.SessionListParams, self.list),
            "session.update": Method(p.SessionUpdateParams, self.update),
            "session.delete": Method(p.SessionDeleteParams, self.delete),
        }

    async def create(self, connection: Connection, params: p.SessionCreateParams, ack: Ack) -> Any:
        caller = connection.known_caller
        session = await self._sessions.create(
            caller, user_id=params.user_id, title=params.title, ack=_shown(ack)
        )
        return session_json(session)

    async def get(self, connection: Connection, params: p.SessionParams, _: Ack) -> Any:
        return session_json(await self._sessions.get(connection.known_caller, params.session_id))

    async def list(self, connection: Connection, params: p.SessionListParams, _: Ack) -> Any:
        found = await self._sessions.list(
            connection.known_caller,
            user_id=params.user_id,
            period=params.filter,
            archived=p.ARCHIVED[params.archived],
            include_deleted=params.include_deleted,
            limit=params.limit,
            offset=params.offset,
        )
        return [session_json(session) for session in found]

    async def update(self, connection: Connection, params: p.SessionUpdateParams, ack: Ack) -> Any:
        session = await self._sessions.update(
            connection.known_caller,
            params.session_id,
            title=params.title,
            archived=params.archived,
            ack=_shown(ack),
        )
        return session_json(session)

    async def delete(self, connection: Connection, params: p.SessionDeleteParams, ack: Ack) -> Any:
        caller = connection.known_caller
        if params.soft:
            session = await self._sessions.delete(caller, params.session_id, ack=_shown(ack))
        else:
            session = await self._sessions.erase(
                caller, params.session_id, self._eraser, ack=_shown(ack)
            )
        return session_json(session)


def _shown(ack: Ack) -> Callable[[SessionRecord], None]:
    return lambda session: ack(session_json(session))


def _page(name: str, found: list[JsonObject], key: str, limit: int) -> JsonObject:
    return {name: found, "next_cursor": found[-1][key] if len(found) == limit else None}
