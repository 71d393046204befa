"""The JSON-RPC session of one connection: a core without sockets, tasks or clocks.

:meth:`RpcSession.receive` takes one text message and says what follows from it: a reply, a call to
be made, a close, or a reply and a close. It knows the envelope, the rule for ids, who may call
before saying hello, and the bounds on what a client may send.

The rules of ids: a string of at most 256 characters, or an integer of 64 bits. Anything else, or
none, is answered with ``id: null``.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from control_tower.errors import InvalidParams, RateLimited, Refusal
from events.errors import EventsError
from server.errors import (
    InvalidRequest,
    MethodNotFound,
    ParseError,
    Unauthenticated,
    rpc_error,
)
from server.json_text import mend, refuse_nul
from server.wire.close_codes import Close
from server.wire.rpc_problems import invalid

RequestId: TypeAlias = str | int | None
Ack: TypeAlias = Callable[[Any], None]

MAX_ID_CHARACTERS: Final = 256
MAX_ID: Final = 2**63
MAX_STRIKES: Final = 3
HELLO: Final = "hello"

_NO_PARAMS: Final = msgspec.Raw(b"{}")
_NUL = r"\u0000"

_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Method:
    """A method of `/ws`.

    Attributes:
        params: the Struct of its parameters.
        call: ``await call(connection, params, ack)`` returns the result, a JSON-able value. It
            may call ``ack(result)`` before, on the loop, when the result is certain and events
            will follow at once; what it returns then is not sent.
    """

    params: type[msgspec.Struct]
    call: Callable[[Any, Any, Ack], Awaitable[Any]]
    decoder: msgspec.json.Decoder[Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.decoder = msgspec.json.Decoder(self.params)


class Methods(Protocol):
    """The table of methods."""

    def find(self, name: str) -> Method | None:
        """Return the method called ``name``."""


class _Envelope(msgspec.Struct, forbid_unknown_fields=False):
    """A message as loosely as can be, so that its id is known whatever else is wrong."""

    jsonrpc: Any = None
    method: Any = None
    id: Any = None
    params: msgspec.Raw = _NO_PARAMS


_decode = msgspec.json.Decoder(_Envelope).decode


@dataclass(slots=True, frozen=True)
class Call:
    """A call to be made."""

    id: str | int
    name: str
    method: Method
    params: Any


@dataclass(slots=True, frozen=True)
class Received:
    """What follows from a message: at most one of ``reply`` and ``call``, and maybe a close."""

    reply: bytes | None = None
    call: Call | None = None
    close: tuple[Close, str] | None = None


@dataclass(slots=True, frozen=True)
class RateBound:
    """A bucket of ``burst`` frames that fills with ``per_s``; ``patience`` refusals, then close."""

    per_s: float = 100.0
    burst: float = 200.0
    patience: int = 100


@dataclass(slots=True)
class _Bucket:
    bound: RateBound
    left: float
    at: float
    refused: int = 0

    def take(self, now: float) -> bool:
        """Take a frame out; False if there is none."""
        self.left = min(self.bound.burst, self.left + (now - self.at) * self.bound.per_s)
        self.at = now
        if self.left < 1:
            self.refused += 1
            return False
        self.left -= 1
        # Half a bucket of good behaviour makes up for what was refused.
        if self.refused and self.left >= self.bound.burst / 2:
            self.refused = 0
        return True

    @property
    def flooding(self) -> bool:
        """Whether it went on after the warning."""
        return self.refused > self.bound.patience

    @property
    def wait_s(self) -> float:
        """When there will be one again."""
        return round(max(0.01, (1 - self.left) / self.bound.per_s), 3)


class RpcSession:
    """See the head of this file.

    Args:
        methods: the table.
        now: seconds, of the clock that :meth:`receive` will be given.
        admitted: whether anything but ``hello`` may be called.
        rate: None for no bound.
    """

    __slots__ = ("_bucket", "_methods", "_strikes", "admitted")

    def __init__(
        self, methods: Methods, now: float, *, admitted: bool, rate: RateBound | None
    ) -> None:
        self._methods = methods
        self._bucket = _Bucket(rate, rate.burst, now) if rate is not None else None
        self._strikes = 0
        self.admitted = admitted

    def receive(self, text: str, now: float) -> Received:
        """Return what follows from one message."""
        in_rate = self._bucket is None or self._bucket.take(now)
        if not in_rate and self._bucket is not None and self._bucket.flooding:
            return Received(close=(Close.FLOODING, "too many messages"))
        text = mend(text)
        try:
            envelope = _envelope(text)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return self._strike()
        if envelope is None:
            return _refused(None, InvalidRequest("A message is one JSON-RPC object."))
        request_id = _id_of(envelope.id)
        try:
            if not in_rate:
                raise self._too_fast()
            return Received(call=self._call(envelope, request_id, text))
        except Refusal as refusal:
            return _refused(request_id, refusal)

    def frame(self, now: float) -> tuple[Close, str] | None:
        """Count a frame that is no message; return why to close, if that is due."""
        if self._bucket is not None and not self._bucket.take(now) and self._bucket.flooding:
            return (Close.FLOODING, "too many frames")
        return None

    def _strike(self) -> Received:
        self._strikes += 1
        reply = encode_error(None, ParseError("This is not JSON, or too deep."))
        if self._strikes < MAX_STRIKES:
            return Received(reply=reply)
        return Received(reply=reply, close=(Close.UNPARSABLE, "three messages were not JSON"))

    def _too_fast(self) -> Refusal:
        wait_s = self._bucket.wait_s if self._bucket is not None else 1.0
        return RateLimited("Too many messages; slow down.", retry_after_s=wait_s)

    def _call(self, envelope: _Envelope, request_id: RequestId, text: str) -> Call:
        if request_id is None:
            raise InvalidRequest(
                f"A request has an id: a string of at most {MAX_ID_CHARACTERS} characters, or an "
                "integer of 64 bits."
            )
        if envelope.jsonrpc != "2.0" or not isinstance(envelope.method, str):
            raise InvalidRequest('A request has "jsonrpc": "2.0" and a method.')
        name = envelope.method
        if not self.admitted and name != HELLO:
            raise Unauthenticated("Say hello with a token first.")
        method = self._methods.find(name)
        if method is None:
            raise MethodNotFound("There is no such method.")
        if _NUL in text:
            refuse_nul(text.encode(errors="replace"), envelope.params)
        return Call(request_id, name, method, _params(method, envelope.params))


def _envelope(text: str) -> _Envelope | None:
    """Return the message's members; None if it is JSON but no object."""
    try:
        return _decode(text)
    except msgspec.ValidationError:
        # It stopped at the first value of a wrong type; is what follows JSON at all?
        msgspec.json.decode(text)
        return None


def _id_of(given: object) -> RequestId:
    if isinstance(given, str) and len(given) <= MAX_ID_CHARACTERS:
        return given
    if isinstance(given, int) and not isinstance(given, bool) and -MAX_ID <= given < MAX_ID:
        return given
    return None


def _params(method: Method, raw: msgspec.Raw) -> Any:
    try:
        return method.decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise invalid(error, method.params) from None
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise InvalidParams("The parameters can't be read.") from None


def _refused(request_id: RequestId, error: Refusal) -> Received:
    return Received(reply=encode_error(request_id, error))


def encode_result(request_id: str | int, result: Any) -> bytes:
    """Return the reply of a call that succeeded."""
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (_encode(request_id), _encode(result))


def encode_error(request_id: RequestId, error: BaseException) -> bytes:
    """Return the reply of a call that failed; what is ours says ``internal`` and no more."""
    if isinstance(error, EventsError):
        wrong = error
        error = InvalidParams(wrong.message)
        if wrong.field is not None:
            error = InvalidParams(wrong.message, field=wrong.field)
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (
        _encode(request_id),
        _encode(rpc_error(error)),
    )
