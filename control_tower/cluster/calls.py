"""Calls between nodes: a method and its arguments go to a node, a reply comes back.

A letter may be lost, and none comes twice. So whoever waits for a reply asks from time to time
what became of the call: a node that has its reply sends it again, one that never got the call says
so, and then the very same call goes out again. A node carries a call out once, whatever arrives.

A reply comes twice: on the bus in front of the events that the call has caused there, and as a
letter, since the bus may be gone. The first of the two counts.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Container
from dataclasses import dataclass
from itertools import count
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec
import structlog

from control_tower.cluster.ports import Post, Replies
from control_tower.cluster.refusals import (
    NotAtHome,
    RefusalLetter,
    letter_of,
    refusal_in,
    refusal_of,
)
from control_tower.errors import KernelBug, Refusal, Unavailable
from events.payloads import JsonObject

TIMEOUT_S = 30.0
LOOK_S = 0.5
"""How often who waits looks whether the other node still lives."""

ASK_S = 2.0
"""How often who waits asks what became of the call."""

KEPT_S = 15.0
"""How long a reply is kept to be sent again: some times what a lost letter takes to be missed."""

A = TypeVar("A")

Ack: TypeAlias = Callable[[JsonObject], None]
"""Called with a command's result at its commit."""

Handler: TypeAlias = Callable[[A, Ack | None], Awaitable[JsonObject]]
"""Carries a call out. ``ack`` is None when nobody wants to know before it returns."""

log = structlog.get_logger(__name__)


class NodeGone(Unavailable):
    """A node was buried with our call: it may have been carried out."""

    def __init__(self) -> None:
        super().__init__("The node that had this is gone.", outcome="unknown")


class Nothing(msgspec.Struct):
    """The arguments of a method that has none."""


class _Called(msgspec.Struct, frozen=True, tag="call"):
    """A call. ``wants_ack``: the result at its commit is wanted, not what is returned later."""

    id: str
    method: str
    arguments: msgspec.Raw
    wants_ack: bool


class _Told(msgspec.Struct, frozen=True, tag="told"):
    """A call that nobody waits for."""

    method: str
    arguments: msgspec.Raw


class _Asked(msgspec.Struct, frozen=True, tag="asked"):
    """What became of this call?"""

    id: str


class _Unknown(msgspec.Struct, frozen=True, tag="unknown"):
    """This call never came."""

    id: str


class _Replied(msgspec.Struct, frozen=True, tag="reply"):
    """A call's result or refusal. ``acked``: it is what ``ack`` was called with."""

    id: str
    result: JsonObject | None = None
    refusal: RefusalLetter | None = None
    acked: bool = False


_Letter: TypeAlias = _Called | _Told | _Asked | _Unknown | _Replied

_encode = msgspec.json.encode
_encode_reply = msgspec.json.Encoder(enc_hook=str).encode
"""A refusal's details may hold what is no JSON; a reply goes out all the same."""
_decode_letter = msgspec.json.Decoder(_Letter).decode


@dataclass(slots=True, frozen=True)
class _Method(Generic[A]):
    handler: Handler[A]
    arguments: msgspec.json.Decoder[A]

    async def __call__(self, arguments: msgspec.Raw, ack: Ack | None) -> JsonObject:
        return await self.handler(self.arguments.decode(arguments), ack)


@dataclass(slots=True, eq=False)
class _Waiting:
    """A call of ours that has no reply yet."""

    to: int
    letter: bytes
    ack: Ack | None
    reply: asyncio.Future[JsonObject]
    since: float


class Calls:
    """This node's calls and those that come to it. All of it runs on the event loop.

    Args:
        post: letters; hand :meth:`take` to it as what takes them.
        token: our own.
        alive: returns who lives.
        replies: the bus, if there is one; what comes by it goes to :meth:`take_reply`.
    """

    def __init__(
        self,
        post: Post,
        token: int,
        alive: Callable[[], Container[int]],
        replies: Replies | None = None,
    ) -> None:
        self._post = post
        self._alive = alive
        self._replies = replies
        self._ids = (f"{token}.{number}" for number in count(1))
        self._methods: dict[str, _Method[Any]] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._served: dict[str, bytes | None] = {}
        self._replied: deque[tuple[float, int, str]] = deque()
        self._forgotten: dict[int, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    async def replied(self, within_s: float) -> None:
        """Return once all calls of ours that are under way now have their replies, or in time.

        Left out are those that take longer than that, such as an erasure.
        """
        young = self._loop.time() - within_s
        replies = [each.reply for each in self._waiting.values() if each.since >= young]
        if replies:
            await asyncio.wait(replies, timeout=within_s)

    def serve(self, method: str, arguments: type[A], handler: Handler[A]) -> None:
        """Let ``handler`` carry out what comes as ``method``; ``arguments`` is their type."""
        if method in self._methods:
            raise KernelBug(f"two handlers of {method}")
        self._methods[method] = _Method(handler, msgspec.json.Decoder(arguments))

    # -- asking -----------------------------------------------------------------------------

    async def call(
        self,
        to: int,
        method: str,
        arguments: object,
        timeout_s: float = TIMEOUT_S,
        ack: Ack | None = None,
    ) -> JsonObject:
        """Have a node carry something out, and return its result.

        If it acknowledged before it returned, ``ack`` is called with the result, in the step in
        which that arrives, and this returns then. A cancelled wait withdraws nothing.

        Raises:
            Refusal: as raised there.
            NodeGone: when the node is buried meanwhile.
            Unavailable: ``unknown`` after ``timeout_s``, or when something broke there.
        """
        called = _Called(next(self._ids), method, _raw(arguments), ack is not None)
        now = self._loop.time()
        waiting = _Waiting(to, _encode(called), ack, self._loop.create_future(), now)
        self._waiting[called.id] = waiting
        try:
            self._post.send(to, waiting.letter)
            return await self._reply(called.id, waiting, now + timeout_s)
        finally:
            self._waiting.pop(called.id, None)
            if waiting.reply.done() and not waiting.reply.cancelled():
                waiting.reply.exception()  # looked at, also by who was cancelled

    async def _reply(self, call_id: str, waiting: _Waiting, until: float) -> JsonObject:
        ask_at = self._loop.time() + ASK_S
        while True:
            now = self._loop.time()
            await asyncio.wait([waiting.reply], timeout=max(0.0, min(LOOK_S, until - now)))
            if waiting.reply.done():
                return waiting.reply.result()
            if waiting.to not in self._alive():
                raise NodeGone
            now = self._loop.time()
            if now >= until:
                raise Unavailable("Another node has not answered.", outcome="unknown")
            if now >= ask_at:
                ask_at = now + ASK_S
                self._post.send(waiting.to, _encode(_Asked(call_id)))

    async def ask_all(
        self, others: "list[int]", method: str, arguments: object, timeout_s: float
    ) -> dict[int, JsonObject]:
        """Return what other nodes answer within ``timeout_s``, by token; some may be missing."""
        asked = [self.call(to, method, arguments, timeout_s) for to in others]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        found: dict[int, JsonObject] = {}
        for token, answer in zip(others, answers, strict=True):
            if isinstance(answer, dict):
                found[token] = answer
            elif not isinstance(answer, Refusal):
                raise answer
        return found

    def tell_all(self, method: str, arguments: object) -> None:
        """Have all other nodes carry something out; whether they did is not learned."""
        self._post.send(None, _encode(_Told(method, _raw(arguments))))

    # -- letters ----------------------------------------------------------------------------

    def take(self, sender: int, letter: bytes) -> None:
        """Take a letter: ``ports.Letter``."""
        try:
            taken = _decode_letter(letter)
        except msgspec.MsgspecError as error:  # of another version
            log.warning("calls.unreadable", sender=sender, error=str(error))
            return
        match taken:
            case _Called():
                self._called(sender, taken)
            case _Told():
                self._spawn(self._tell(sender, taken))
            case _Asked():
                self._asked(sender, taken.id)
            case _Unknown():
                self._send_again(taken.id)
            case _Replied():
                self._arrived(taken)

    def take_reply(self, call_id: str, body: bytes) -> None:
        """Take a reply that came by the bus, in front of the events of its call."""
        if call_id in self._waiting:
            self.take(self._waiting[call_id].to, body)

    def _arrived(self, reply: _Replied) -> None:
        waiting = self._waiting.pop(reply.id, None)
        if waiting is None or waiting.reply.done():
            return  # the second of two, or nobody waits any more
        if reply.refusal is not None:
            waiting.reply.set_exception(refusal_in(reply.refusal))
            return
        result = reply.result or {}
        waiting.reply.set_result(result)
        if reply.acked and waiting.ack is not None:
            waiting.ack(result)

    def _send_again(self, call_id: str) -> None:
        waiting = self._waiting.get(call_id)
        if waiting is not None:
            log.info("calls.sent_again", call=call_id, to=waiting.to)
            self._post.send(waiting.to, waiting.letter)

    # -- carrying out -----------------------------------------------------------------------

    def _called(self, sender: int, called: _Called) -> None:
        if called.id not in self._served:
            self._served[called.id] = None
            self._spawn(self._serve(sender, called))

    def _asked(self, sender: int, call_id: str) -> None:
        if call_id in self._served:
            body = self._served[call_id]
            if body is not None:
                self._post.send(sender, body)
        elif _number(call_id) > self._forgotten.get(sender, 0):
            self._post.send(sender, _encode(_Unknown(call_id)))
        else:  # it may have come, and its reply be forgotten: it must not come again
            refusal = letter_of(Unavailable("The answer was lost.", outcome="unknown"))
            self._post.send(sender, _encode(_Replied(call_id, refusal=refusal)))

    async def _serve(self, sender: int, called: _Called) -> None:
        def ack(result: JsonObject) -> None:
            self._send_reply(sender, _Replied(called.id, result, acked=True))

        try:
            method = self._methods.get(called.method)
            if method is None:  # this node is starting; nothing has happened
                raise NotAtHome("Not yet.")
            result = await method(called.arguments, ack if called.wants_ack else None)
            self._send_reply(sender, _Replied(called.id, result))
        except Exception as error:  # noqa: BLE001 - it is told to who waits, and logged if it is ours
            self._send_reply(sender, _Replied(called.id, refusal=_told(called, error)))

    def _send_reply(self, sender: int, reply: _Replied) -> None:
        """Send a reply both ways, unless the call has one: what it acknowledged is its reply."""
        if self._served.get(reply.id) is not None:
            return
        body = self._served[reply.id] = _encode_reply(reply)
        if self._replies is not None:
            self._replies.reply(sender, reply.id, body)
        self._post.send(sender, body)
        self._forget_old(sender, reply.id)

    def _forget_old(self, sender: int, call_id: str) -> None:
        now = self._loop.time()
        self._replied.append((now, sender, call_id))
        while self._replied[0][0] < now - KEPT_S:
            _, caller, old = self._replied.popleft()
            del self._served[old]
            self._forgotten[caller] = max(_number(old), self._forgotten.get(caller, 0))

    async def _tell(self, sender: int, told: _Told) -> None:
        try:
            await self._methods[told.method](told.arguments, None)
        except Exception:  # nobody waits for it; what it was is for us to look at
            log.exception("calls.told_in_vain", method=told.method, sender=sender)

    def _spawn(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Carry nothing out any more; what is under way ends unanswered."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _number(call_id: str) -> int:
    """Return the number of a call among its sender's, which come in order."""
    return int(call_id.rpartition(".")[2])


def _raw(arguments: object) -> msgspec.Raw:
    return msgspec.Raw(_encode(arguments))


def _told(called: _Called, error: Exception) -> RefusalLetter:
    refusal = refusal_of(error)
    if refusal is None:
        log.error("calls.failed", method=called.method, call=called.id, exc_info=error)
        refusal = Unavailable("Another node could not carry this out.", outcome="unknown")
    return letter_of(refusal)
