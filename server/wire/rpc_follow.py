"""The events that a submit brings to its connection: those of its mission, from first to last.

A new mission is followed from its commit on. One whose events may have been published here already
is first replayed from its first event; then it is followed to its end, if that is still to come.
So it is with a submit that was made before, and with a reply of another node that came too late: by
the post, since the bus was away.
"""

import asyncio
from collections import OrderedDict
from typing import Final

from events.payloads import JsonObject
from events.topics import build_filters
from server.services import Services
from server.wire.rpc_session import Ack
from server.wire.ws import Connection

MAX_REMEMBERED: Final = 20_000
LOOK_FIRST_S: Final = 0.01
LOOK_AT_LEAST_S: Final = 0.5


class Followings:
    """Who was given which mission's events, so that no connection is given them twice."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._given: OrderedDict[tuple[str, str], None] = OrderedDict()

    def begin(self, connection: Connection, reply: JsonObject) -> bool:
        """Follow a new mission. Call it in the step in which its reply is known.

        Returns:
            Whether the reply may go out at once. If not, events of the mission were published here
            before it: :meth:`again` must give them, behind the reply.
        """
        pid = reply.get("mission_id")
        if pid is None:
            return True
        if reply["offset"] <= self._services.hub.head:
            return False
        connection.follow(pid)
        self._remember(connection, pid)
        return True

    async def again(self, connection: Connection, reply: JsonObject, ack: Ack) -> None:
        """Acknowledge a submit; give the events that this connection was not given.

        Returns when the replay is done: until then the mission is one of its topics. A client
        that has subscribed to the mission itself is left to that, with its filters.

        Raises:
            EventsError: if the connection has no room for a topic.
        """
        pid = reply.get("mission_id")
        topic = f"mission:{pid}"
        if (
            pid is None
            or topic in connection.topics
            or (connection.connection_id, pid) in (self._given)
        ):
            return
        filters, since = build_filters([topic]), max(0, reply["offset"] - 1)
        # Before anything is awaited: the same may be asked again meanwhile.
        self._remember(connection, pid)
        try:
            # Its home may be another node: this waits until all is known here that it committed.
            attached = await connection.subscribe(filters, since, None, lambda _: ack(reply))
        except BaseException:
            self._given.pop((connection.connection_id, pid), None)
            raise
        if attached.get("floor") is not None:
            # Its oldest events are gone; the rest is not.
            await connection.subscribe(filters, attached["floor"], None, lambda _: None)
        await self._caught_up(connection)
        # In one step, so that nothing is published in between.
        connection.unsubscribe([topic])
        if self._services.tower.snapshot([topic]):
            connection.follow(pid)

    async def _caught_up(self, connection: Connection) -> None:
        """Wait until everything was written to it; a connection that is lost cancels this."""
        pause_s = LOOK_FIRST_S
        while connection.offset() < self._services.hub.head:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LOOK_AT_LEAST_S)

    def _remember(self, connection: Connection, pid: str) -> None:
        self._given[connection.connection_id, pid] = None
        if len(self._given) > MAX_REMEMBERED:
            self._given.popitem(last=False)
