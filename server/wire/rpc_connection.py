"""The methods of `/ws` that are about the connection itself: who it is, and what it is sent."""

from typing import Any

from control_tower.commands import Caller
from control_tower.errors import Conflict, Forbidden, NotFound
from events.topics import SYSTEM, build_filters, parse_topic
from server.access.auth import LOCAL, acting_as
from server.services import Services
from server.wire import rpc_params as p
from server.wire.rpc_session import Ack, Method
from server.wire.ws import Connection

SERVER = "control-tower"
HEARTBEAT_S = 25
MAX_TOPICS = 100


def connection_methods(services: Services) -> dict[str, Method]:
    """Return ``hello, ping, subscribe, unsubscribe`` and ``tower.status``."""

    async def hello(connection: Connection, params: p.HelloParams, _: Ack) -> Any:
        caller = acting_as(await _known(services, connection, params.token), params.user_id)
        if connection.hears and caller != connection.caller:
            raise Conflict("Say who you are before you subscribe.")
        if connection.caller is None or connection.caller.user_id != caller.user_id:
            services.admit(caller.user_id)
        connection.client = params.client
        connection.admit(caller)
        return {
            "connection_id": connection.connection_id,
            "user_id": caller.user_id,
            "role": caller.role,
            "server": SERVER,
            "version": services.version,
            "epoch": services.hub.epoch,
            "offset": services.hub.head,
            "heartbeat_s": HEARTBEAT_S,
            "limits": {
                "max_frame_bytes": services.settings.max_frame_bytes,
                "max_topics": MAX_TOPICS,
                "send_buffer_bytes": services.settings.send_buffer_bytes,
            },
        }

    async def ping(connection: Connection, _params: p.NoParams, _: Ack) -> Any:
        return {"offset": connection.offset()}

    async def subscribe(connection: Connection, params: p.SubscribeParams, ack: Ack) -> Any:
        caller = connection.known_caller
        where = params.where.given() if params.where else None
        filters = build_filters(params.topics, params.types, params.deltas, where)
        since = {"now": None, "start": 0}.get(str(params.since), params.since)
        with connection.attaching():
            async with connection.changing_topics:
                for topic in params.topics:
                    await check_topic(services, caller, topic)
                return await connection.subscribe(
                    filters, since if isinstance(since, int) else None, params.epoch, ack
                )

    async def unsubscribe(connection: Connection, params: p.UnsubscribeParams, _: Ack) -> Any:
        async with connection.changing_topics:
            return {"topics": connection.unsubscribe(params.topics)}

    async def status(connection: Connection, _params: p.NoParams, _: Ack) -> Any:
        require_overview(connection.known_caller)
        return await services.status()

    return {
        "hello": Method(p.HelloParams, hello),
        "ping": Method(p.NoParams, ping),
        "subscribe": Method(p.SubscribeParams, subscribe),
        "unsubscribe": Method(p.UnsubscribeParams, unsubscribe),
        "tower.status": Method(p.NoParams, status),
    }


async def _known(services: Services, connection: Connection, token: str | None) -> Caller:
    """Return whose credentials the connection has."""
    if services.gate.open:
        return LOCAL
    if token is None and connection.caller is not None:
        return connection.caller
    return await services.gate.caller_of(token)


def require_overview(caller: Caller) -> None:
    """Check that the caller may see everybody's things.

    Raises:
        Forbidden: for role user.
    """
    if not caller.reads_all:
        raise Forbidden("This is for operators and viewers.")


async def check_topic(services: Services, caller: Caller, topic: str) -> None:
    """Check that the caller may hear of a topic.

    Raises:
        NotFound: if it does not exist or is another user's; the two look the same.
        Forbidden: for ``system``, with role user.
    """
    kind, ident = parse_topic(topic)
    match kind, ident:
        case "session", str():
            await services.sessions.get(caller, ident)
        case "mission", str():
            await services.tower.mission(caller, ident)
        case "user", str():
            if not caller.reads_all and ident != caller.user_id:
                raise NotFound("No such user.")
        case _:
            if kind == SYSTEM:
                require_overview(caller)
