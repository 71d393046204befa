"""The post: letters between nodes, over LISTEN and NOTIFY of the database that they share.

One thread over one connection sends what waits and hears what comes. Letters that wait while a
transaction is on its way go out together in the next one, so they take fewer transactions the more
there are. No letter needs the disk: the connection commits without waiting for a sync.

A letter is lost when the database goes away while it travels, or takes none for some seconds;
whoever waits for an answer has a time-out of its own. None comes twice.

A connection may be dead without saying so, and a pooler in front of the database may swallow what
we listen for: when nothing was heard for :data:`CHECK_S`, the thread notifies itself.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from selectors import EVENT_READ, DefaultSelector
from time import monotonic
from typing import Any, Final

import psycopg
import structlog

from control_tower.cluster.ports import Letter
from control_tower.store.database import PASSING, DatabaseAway
from control_tower.store.letters import Assembly
from control_tower.store.outbox import Outbox, Piece
from control_tower.store.postgres import connect, meaning_of
from control_tower.store.seat import DatabaseUnusable

CHECK_S: Final = 2.0
DEAF_S: Final = 6.0
"""Without hearing ourselves for so long after a check, the connection is made anew."""

RETRY_S: Final = 0.5
CLOSE_S: Final = 2.0
"""How long the last letters may take before the connection is cut under them."""

_SEND = b"SELECT pg_notify(channel, piece) FROM unnest(%b::text[], %b::text[]) AS p(channel, piece)"
# Binary: arrays of long texts take five times as long in the other format.
_BEGIN = b"""
    SELECT set_config('synchronous_commit', 'off', false), current_schema()::regnamespace::oid
"""
_CHECK = ""
"""What the thread notifies itself of; a letter's pieces are never empty."""

# Schemas are apart by their number: of two towers in one database neither hears the other.

log = structlog.get_logger(__name__)


class PostgresPost:
    """``cluster.ports.Post`` from :meth:`start` to :meth:`close`. Made and used on the event loop.

    Args:
        url: of the database that all nodes share.
        token: our own; nobody else may ever have had it.
    """

    def __init__(self, url: str, token: int) -> None:
        self._url = url
        self._token = token
        self._loop = asyncio.get_running_loop()
        self._outbox = Outbox(token)
        self._assembly = Assembly()
        self._arrived: list[tuple[int, bytes]] = []
        self._to_all = ""
        self._heard_at = self._asked_at = 0.0
        self._bell = _Bell()
        self._raw: psycopg.Connection[Any] | None = None
        self._ending = threading.Event()
        self._started: asyncio.Future[None] = self._loop.create_future()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="tower-post", daemon=True)

    async def start(self, on_letter: Letter) -> None:
        """Begin to hear and to send: letters that are sent to us from now on arrive.

        Waits, however long, for a database that is away.

        Raises:
            DatabaseUnusable: when it does not let us listen.
        """
        self._on_letter = on_letter
        self._thread.start()
        try:
            await self._started
        except BaseException:
            await self.close()
            raise

    def send(self, to: int | None, letter: bytes) -> None:
        """Send a letter to a node, or to all others. Never blocks; in order between two nodes.

        Raises:
            LetterTooLong: nothing is sent.
        """
        self._outbox.put(to, letter)
        self._bell.ring()

    async def close(self) -> None:
        """Send what waits, if the database takes it, and end."""
        if self._thread.ident is not None:
            await self._end()
        self._bell.close()

    async def _end(self) -> None:
        self._ending.set()
        self._bell.ring()
        try:
            await asyncio.wait_for(self._ended.wait(), CLOSE_S)
        except TimeoutError:
            self._cut_off()
            await self._ended.wait()
        self._thread.join()

    def _cut_off(self) -> None:
        """End whatever the thread waits for on its connection."""
        raw = self._raw
        with suppress(OSError, psycopg.Error):
            if raw is not None:
                with socket.socket(fileno=socket.dup(raw.fileno())) as wire:
                    wire.shutdown(socket.SHUT_RDWR)

    def _deliver(self, letters: Sequence[tuple[int, bytes]]) -> None:
        for sender, letter in letters:
            try:
                self._on_letter(sender, letter)
            except Exception:  # the fault of one letter; those behind it must arrive
                log.exception("post.letter_failed", sender=sender)

    # -- in the thread ----------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while True:
                try:
                    self._serve()
                except Exception as error:  # noqa: BLE001 - a fault of ours, too, is no end of the post
                    self._lose(error)
                if self._ending.wait(RETRY_S):
                    return
        finally:
            self._on_loop(self._ended.set)

    def _lose(self, error: Exception) -> None:
        """The connection is lost, and with it what was on its way."""
        self._outbox.drop_rest()
        self._assembly.clear()
        meaning = meaning_of(error)
        passing = isinstance(meaning, PASSING)
        log.warning("post.away", error=str(error), exc_info=None if passing else error)
        if not passing:
            refused = isinstance(meaning, psycopg.Error)
            told = DatabaseUnusable(str(error)) if refused else meaning
            self._on_loop(partial(_settle, self._started, told))

    def _serve(self) -> None:
        """Send and hear over a new connection until it is lost or we end."""
        with self._connected() as raw, DefaultSelector() as selector:
            selector.register(raw.fileno(), EVENT_READ)
            selector.register(self._bell, EVENT_READ)
            while True:
                self._bell.hush()
                batch = self._outbox.batch()
                if batch:
                    self._notify(raw, batch)
                self._hear(raw)
                self._check(raw)
                if not batch:
                    if self._ending.is_set():
                        return
                    selector.select(CHECK_S)

    @contextmanager
    def _connected(self) -> Iterator["psycopg.Connection[Any]"]:
        connection = connect(self._url)
        raw = connection.raw
        try:
            raw.add_notify_handler(self._notified)
            found = raw.execute(_BEGIN).fetchone()
            self._to_all = f"tower_{found[1]}"  # type: ignore[index]  # it is one row
            for channel in (self._to_all, self._channel(self._token)):
                raw.execute(f'LISTEN "{channel}"'.encode())
            self._heard_at = self._asked_at = monotonic()
            self._raw = raw
            log.info("post.listens", channel=self._channel(self._token))
            self._on_loop(partial(_settle, self._started, None))
            yield raw
        finally:
            self._raw = None
            connection.close()

    def _channel(self, token: int) -> str:
        return f"{self._to_all}_{token}"

    def _notify(self, raw: "psycopg.Connection[Any]", batch: Sequence[Piece]) -> None:
        """Send pieces in one transaction."""
        channels = [self._to_all if to is None else self._channel(to) for to, _ in batch]
        raw.execute(_SEND, (channels, [piece for _, piece in batch]))

    def _hear(self, raw: "psycopg.Connection[Any]") -> None:
        """Take in what has come, and hand over the letters that it completes."""
        raw.pgconn.consume_input()
        while (notified := raw.pgconn.notifies()) is not None:
            self._take(notified.relname.decode(), notified.extra.decode())
        if self._arrived:
            letters, self._arrived = self._arrived, []
            self._on_loop(partial(self._deliver, letters))

    def _notified(self, notified: psycopg.Notify) -> None:
        """Take in what came while something else was asked of the connection."""
        self._take(notified.channel, notified.payload)

    def _take(self, channel: str, piece: str) -> None:
        self._heard_at = monotonic()
        if piece == _CHECK or (channel == self._to_all and piece.startswith(f"{self._token}.")):
            return
        try:
            letter = self._assembly.take(piece, self._heard_at)
        except ValueError as error:  # anybody may notify who may use the database
            log.warning("post.no_letter", error=str(error))
            return
        if letter is not None:
            self._arrived.append(letter)

    def _check(self, raw: "psycopg.Connection[Any]") -> None:
        """See that what is sent to us is heard.

        Raises:
            DatabaseAway: when it is not.
        """
        now = monotonic()
        if self._asked_at > self._heard_at:
            if now - self._asked_at > DEAF_S:
                raise DatabaseAway("the database tells us nothing of what we listen for")
        elif now - self._heard_at >= CHECK_S:
            self._asked_at = now
            self._assembly.forget_old(now)
            raw.execute(_SEND, ([self._channel(self._token)], [_CHECK]))

    def _on_loop(self, call: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self._loop.call_soon_threadsafe(call)


def _settle(started: "asyncio.Future[None]", error: BaseException | None) -> None:
    if started.done():
        return
    if error is None:
        started.set_result(None)
    else:
        started.set_exception(error)


class _Bell:
    """Wakes a thread that waits for its sockets. Rung by one thread, hushed by one other."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)
        self._rung = False

    def fileno(self) -> int:
        """Return what becomes readable when it is rung."""
        return self._ours.fileno()

    def ring(self) -> None:
        """Wake the other thread; one that is awake looks once more before it sleeps."""
        if not self._rung:
            self._rung = True
            with suppress(OSError):  # it is closed: nobody sleeps
                self._theirs.send(b"\0")

    def hush(self) -> None:
        """Begin to look: whoever rings from now on is heard."""
        if self._rung:
            with suppress(BlockingIOError):  # about to be written: it wakes us once for nothing
                self._ours.recv(16)
            self._rung = False

    def close(self) -> None:
        """Close it."""
        self._ours.close()
        self._theirs.close()
