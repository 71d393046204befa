"""The declarative table of endpoints, and what every call of one goes through.

An :class:`Endpoint` names its method, path, models and errors. Routing, validation and the
OpenAPI document all come from it, so that none of them can say something the others don't.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from control_tower.commands import Caller
from control_tower.errors import InvalidParams, NotFound
from server.access.auth import Gate, acting_as
from server.errors import InvalidRequest, MethodNotFound, ParseError, TooLarge, UnsupportedMediaType
from server.json_text import clean
from server.services import Services

MAX_ID_LENGTH = 200
BODY_TIMEOUT_S = 30.0

_encode = msgspec.json.Encoder().encode
_check_syntax = msgspec.json.Decoder().decode


class Body(BaseModel):
    """Base of request bodies: unknown fields are refused, nothing is coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Query(BaseModel):
    """Base of query strings: unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
"""For integers of bodies: 3.0 is the integer 3, as JSON Schema has it."""

B = TypeVar("B", bound=Body | None)
Q = TypeVar("Q", bound=Query)
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Call(Generic[B, Q]):
    """One call of an endpoint, checked.

    Attributes:
        caller: who asks, from the credentials.
        body: the request's body; None where the endpoint has none, or it is optional and absent.
        path: the path's parameters.
    """

    request: Request
    services: Services
    caller: Caller
    body: B
    query: Q
    path: Mapping[str, str]

    def acting_as(self, user_id: str | None) -> Caller:
        """Return who acts, when a body may name somebody else."""
        return acting_as(self.caller, user_id)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of the table.

    Attributes:
        call: does it; its docstring is the description.
        reply: type of the answer's body, for the document; None when there is none.
        status: of the usual answer. ``also`` lists further ones with their meaning.
        errors: codes of refusals beyond those that any endpoint may give.
        public: needs no credentials.
        headers: of the request, with what they do.
        gives: headers of the usual answer, with what they say.
        media: media type of the answer.
        streams: whether it may answer with server-sent events.
        upload: most bytes of a body that the call reads itself; ``body`` then describes it only.
        page: file among the pages that a browser gets instead, without credentials: a page asks
            for a token itself.
    """

    method: str
    path: str
    call: Callable[[Call[Any, Any]], Awaitable[Response]]
    tag: str
    reply: Any = None
    status: int = 200
    body: type[Body] | None = None
    body_required: bool = True
    query: type[Query] = Query
    also: Mapping[int, str] = field(default_factory=dict)
    errors: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    public: bool = False
    media: str = "application/json"
    upload: int | None = None
    page: str | None = None
    streams: bool = False
    gives: Mapping[str, str] = field(default_factory=dict)


def json_reply(
    content: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return an answer with a JSON body."""
    return Response(_encode(content), status, dict(headers or {}), "application/json")


def routes(endpoints: Iterable[Endpoint]) -> list[BaseRoute]:
    """Return one route for each path, in the order of the table."""
    by_path: dict[str, dict[str, Endpoint]] = defaultdict(dict)
    for endpoint in endpoints:
        by_path[endpoint.path][endpoint.method] = endpoint
    return [Route(path, _Path(methods)) for path, methods in by_path.items()]


class _Path:
    """The ASGI application of one path: picks the method, checks the call, answers."""

    def __init__(self, methods: dict[str, Endpoint]) -> None:
        self._methods = methods
        if "GET" in methods:
            methods.setdefault("HEAD", methods["GET"])
        self._allow = sorted(methods)
        self._public = any(each.public for each in methods.values())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._methods.get(scope["method"])
        public = self._public if endpoint is None else endpoint.public
        request = Request(scope, receive, send)
        services: Services = request.app.state.services
        caller = await services.gate.caller(scope, public=public)
        scope["state"]["user_id"] = caller.user_id or None
        if endpoint is None:
            raise MethodNotFound(f"{scope['method']} is not for this path.", allow=self._allow)
        scope["state"]["route"] = endpoint.path
        path, query = _path_parameters(request), _query(request, endpoint.query)
        body = await _body(request, endpoint, services.settings.max_body_bytes)
        call = Call(request, services, caller, body, query, path)
        response = await endpoint.call(call)
        await response(scope, receive, send)


class NoSuchPath:
    """Answers where no route is: to those with credentials only, as all but the open paths do."""

    def __init__(self, gate: Gate, not_found: ASGIApp) -> None:
        self._gate = gate
        self._not_found = not_found

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask who it is, then say that there is nothing."""
        if scope["type"] == "http":
            await self._gate.caller(scope)
        await self._not_found(scope, receive, send)


def _path_parameters(request: Request) -> dict[str, str]:
    values: dict[str, str] = request.path_params
    if any(len(value) > MAX_ID_LENGTH or "\0" in value for value in values.values()):
        raise NotFound("There is no such thing.")
    return values


def _query(request: Request, model: type[Query]) -> Query:
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in given:
            raise InvalidParams(f"{name} is given twice.", field=name)
        if "\0" in value:
            raise InvalidParams("A text may not contain NUL characters.", field=name)
        given[name] = value
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise _invalid_query(error) from None


def _invalid_query(error: ValidationError) -> InvalidParams:
    """Return the refusal of a query string: it is flat, so a field's forms are one field."""
    found: dict[str, list[str]] = defaultdict(list)
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        name = str(problem["loc"][0]) if problem["loc"] else "query"
        found[name].append(_sentence(problem["type"], problem["msg"]))
    errors = [
        {"field": name, "message": ", or: ".join(dict.fromkeys(said))}
        for name, said in found.items()
    ]
    return InvalidParams(f"These fields do not fit: {', '.join(found)}.", errors=errors)


async def _body(request: Request, endpoint: Endpoint, limit: int) -> Body | None:
    if endpoint.body is None or endpoint.upload is not None:
        return None
    raw = await read_body(request, limit)
    if not raw and not endpoint.body_required:
        return None
    require_json(request)
    return parsed(raw, endpoint.body)


def parsed(raw: bytes, model: type[M], within: str = "") -> M:
    """Return JSON from outside as ``model``. ``within`` is the path of the fields' place.

    Raises:
        ParseError: if it is no JSON.
        InvalidParams: if fields do not fit.
    """
    try:
        text = clean(raw)
        # pydantic's own parser takes NaN and Infinity, which are no JSON.
        _check_syntax(text)
        return model.model_validate_json(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ParseError("The body is not valid JSON.") from None
    except ValidationError as error:
        raise invalid_fields(error, within) from None


def require_json(request: Request) -> None:
    """Check that the body claims to be JSON.

    Raises:
        UnsupportedMediaType: if it does not.
    """
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json" and not (
        media.startswith("application/") and media.endswith("+json")
    ):
        raise UnsupportedMediaType("The body must be JSON: Content-Type: application/json.")


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body; raises as :func:`body_chunks` does."""
    raw = bytearray()
    async for chunk in body_chunks(request, limit, BODY_TIMEOUT_S):
        raw += chunk
    return bytes(raw)


async def body_chunks(request: Request, limit: int, timeout_s: float) -> AsyncIterator[bytes]:
    """Yield the body as it comes.

    Raises:
        TooLarge: beyond ``limit`` bytes, told before reading where the length is announced.
        InvalidRequest: if it did not arrive whole in time.
    """
    too_large = TooLarge(f"A body has at most {limit} bytes.", limit=limit)
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > limit:
        raise too_large
    chunks, size = aiter(request.stream()), 0
    until = asyncio.get_running_loop().time() + timeout_s
    try:
        while True:
            async with asyncio.timeout_at(until):
                chunk = await anext(chunks)
            size += len(chunk)
            if size > limit:
                raise too_large
            yield chunk
    except StopAsyncIteration:
        return
    except (TimeoutError, ClientDisconnect):
        raise InvalidRequest("The body did not arrive.") from None


def invalid_fields(error: ValidationError, within: str = "") -> InvalidParams:
    """Return the refusal that names each field which does not fit."""
    errors = [
        {
            "field": within + ".".join(str(part) for part in problem["loc"]) or "body",
            "message": _sentence(problem["type"], problem["msg"]),
        }
        for problem in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    names = ", ".join(dict.fromkeys(str(each["field"]) for each in errors))
    return InvalidParams(f"These fields do not fit: {names}.", errors=errors)


def _sentence(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "There is no such field."
    return message.removeprefix("Value error, ")
