"""The tower: its hub, its connections, its protocol under uvicorn; only the log is left out."""

import logging

import msgspec
import structlog

from control_tower.commands import Caller
from events.hub import Hub
from events.log import Page
from events.topics import Filter
from events.turns import LoopTurns
from server.wire.rpc_session import Ack, Method
from server.wire.ws import Connection, Sockets
from server.wire.ws_protocol import TowerProtocol
from tests.benchmarks.fanout.bursts import orders_of
from tests.benchmarks.fanout.messages import FIRST_OFFSET, make_event
from tests.benchmarks.obey import obey_under_uvicorn, run


class EmptyLog:
    """The hub's log, of which nobody reads: nobody is behind."""

    epoch = "e"
    head = FIRST_OFFSET

    async def read(self, *_: object) -> Page:
        """Never called."""
        raise NotImplementedError

    async def floor(self, *_: object) -> int:
        """Everything is there."""
        return 0


class _Nothing(msgspec.Struct):
    """Parameters, none of which is looked at."""


class OnlySubscribe:
    """A table with one method, which subscribes to everything."""

    def find(self, name: str) -> Method | None:
        """Return it, whatever it is called."""
        return Method(_Nothing, self._subscribe)

    async def _subscribe(self, connection: Connection, _: _Nothing, ack: Ack) -> object:
        return await connection.subscribe([Filter("system")], None, None, ack)


async def serve() -> None:
    """Serve until the end of input."""
    # Standard output is for answers.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    hub = Hub(EmptyLog(), LoopTurns())

    async def authenticate(_: object) -> Caller:
        return Caller("local", "operator")

    sockets = Sockets(hub, OnlySubscribe(), authenticate=authenticate, snapshot=lambda _: [])

    async def send(burst: int) -> None:
        for _ in range(burst):
            hub.publish([make_event(hub.head + 1)])

    await obey_under_uvicorn(sockets, TowerProtocol, orders_of(send, lambda: len(sockets)))
    await hub.close()


if __name__ == "__main__":
    run(serve)
