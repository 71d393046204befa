"""The two connections of a bus to Redis: one that speaks, one that listens.

Shells. Each is a loop that connects, works until something goes wrong, and begins again after a
pause. They use connections of redis-py as they are, not its client and its PubSub: a request that
is given up must take its connection with it, since the reply to it would be taken for the next
one's; nothing may be tried again behind our back; and a thousand messages a second should cost
little.

A half-open link says nothing for ever. Everybody hears their own messages too, and says something
once a second, so a listener that hears nothing for ``SILENCE_S`` connects again.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from random import Random
from typing import Any, Final, Protocol

import structlog
from redis.asyncio.connection import AbstractConnection, BlockingConnectionPool, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig

from events.outbox import Letter

SILENCE_S: Final = 3.0
ANSWER_S: Final = 2.0
"""How long connecting and each answer may take."""
PACE_S: Final = 0.002
"""The least time between two rounds of ours: what comes about meanwhile shares the next."""

_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 2.0

LOST: Final = (RedisError, OSError, TimeoutError)
"""What a connection to Redis that is lost, late or refused raises."""

log = structlog.get_logger(__name__)


def connections(url: str, most: int | None = None) -> ConnectionPool:
    """Return connections to the Redis at ``url``; none is made yet.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``.
        most: how many there may be; whoever wants one more waits for one, ``ANSWER_S`` at most.

    Raises:
        ValueError: if it is no URL of a Redis.
    """
    options: dict[str, Any] = {
        "socket_timeout": ANSWER_S,
        "socket_connect_timeout": ANSWER_S,
        # What is tried again is decided by us. A PUBLISH that is repeated is a message twice.
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    try:
        if most is None:
            return ConnectionPool.from_url(url, **options)
        return BlockingConnectionPool.from_url(
            url, max_connections=most, timeout=ANSWER_S, **options
        )
    except ValueError:  # its text may hold a part of the password
        raise ValueError("this is not the URL of a Redis") from None


class Messages(Protocol):
    """Where the speaker takes messages from."""

    def open(self) -> None:
        """Begin to keep messages: somebody carries them."""

    def close(self) -> None:
        """Drop everything: nobody does."""

    def beat(self) -> None:
        """See to it that there is a message."""

    def take(self) -> Sequence[Letter]:
        """Return those that go out next, together and in order."""


class Pauses:
    """How long to wait before the next attempt: longer each time, and never the same."""

    def __init__(self, random: Random | None = None) -> None:
        self._random = random or Random()  # noqa: S311 - spreads reconnects, no secret
        self._next_s = _FIRST_PAUSE_S

    def next(self) -> float:
        """Return seconds."""
        pause_s = self._next_s * self._random.uniform(0.5, 1)
        self._next_s = min(self._next_s * 2, _LONGEST_PAUSE_S)
        return pause_s

    def forget(self) -> None:
        """Begin again with a short one: it worked."""
        self._next_s = _FIRST_PAUSE_S


class Link:
    """What both have in common.

    Args:
        pool: makes connections.
        works: called each time that it begins to work.

    Attributes:
        connected: whether it works, as far as is known.
        times: how often it began to.
        lost: how often it did and then did not.
    """

    name = "link"

    def __init__(self, pool: ConnectionPool, works: Callable[[], None]) -> None:
        self.connected = False
        self.times = 0
        self.lost = 0
        self._pool = pool
        self._tell = works
        self._pauses = Pauses()
        self._told = False

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                async with self._connection() as connection:
                    await self._work(connection)
            except LOST as error:
                self._note_lost(error)
            await asyncio.sleep(self._pauses.next())

    async def _work(self, connection: AbstractConnection) -> None:
        raise NotImplementedError

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[AbstractConnection]:
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            yield connection
        finally:
            self.lost += self.connected
            self.connected = False
            await connection.disconnect(nowait=True)

    def _works(self) -> None:
        self._pauses.forget()
        self.times += 1
        self.connected, self._told = True, False
        log.info("bus.connected", link=self.name)
        self._tell()

    def _note_lost(self, error: Exception) -> None:
        # Once an outage. The error's text may hold the address, never the password.
        if not self._told:
            self._told = True
            log.warning("bus.lost", link=self.name, error=type(error).__name__)


class Speaker(Link):
    """Publishes messages, round after round, each as soon as the one before it is taken.

    Args:
        channel: of all nodes; that of one is followed by a colon and its token.
        messages: where they are taken from.
    """

    name = "speaker"

    def __init__(
        self, pool: ConnectionPool, works: Callable[[], None], channel: str, messages: Messages
    ) -> None:
        super().__init__(pool, works)
        self._channel = channel
        self.sent = 0
        self.sent_bytes = 0
        self._messages = messages
        self._woken = asyncio.Event()
        self._idle = asyncio.Event()

    def wake(self) -> None:
        """Say that there is a message. It goes out in the next turn of the loop, or later."""
        self._woken.set()
        self._idle.clear()

    async def idle(self) -> None:
        """Return once everything is said, or nobody listens."""
        if self.connected:
            await self._idle.wait()

    async def _work(self, connection: AbstractConnection) -> None:
        try:
            self._messages.open()
            self._messages.beat()
            await self._say_all(connection)
            self._works()
            while True:
                await self._woken.wait()
                self._woken.clear()
                await self._say_all(connection)
        finally:
            self._messages.close()
            self._idle.set()

    async def _say_all(self, connection: AbstractConnection) -> None:
        while letters := self._messages.take():
            commands = [("PUBLISH", self._channel_of(to), data) for to, data in letters]
            packed = connection.pack_commands(commands)
            await connection.send_packed_command(packed, check_health=False)
            for _, data in letters:
                await connection.read_response()
                self.sent += 1
                self.sent_bytes += len(data)
            await asyncio.sleep(PACE_S)
        if not self._woken.is_set():
            self._idle.set()

    def _channel_of(self, token: int | None) -> str:
        return self._channel if token is None else f"{self._channel}:{token}"


class Listener(Link):
    """Hands over every message of some channels, our own included, in order."""

    name = "listener"

    def __init__(
        self,
        pool: ConnectionPool,
        works: Callable[[], None],
        channels: Sequence[str],
        heard: Callable[[bytes], None],
    ) -> None:
        super().__init__(pool, works)
        self._channels = channels
        self.received = 0
        self.received_bytes = 0
        self._heard = heard

    async def _work(self, connection: AbstractConnection) -> None:
        await connection.send_command("SUBSCRIBE", *self._channels, check_health=False)
        while True:
            answer = await connection.read_response(timeout=SILENCE_S)
            match answer:
                case [b"message", _, bytes(message)]:
                    self.received += 1
                    self.received_bytes += len(message)
                    self._heard(message)
                    # What has arrived is read without a pause; others want the loop, too.
                    await asyncio.sleep(0)
                case [b"subscribe", _, count] if count == len(self._channels):
                    self._works()
                case None:
                    raise TimeoutError
                case _:
                    pass
