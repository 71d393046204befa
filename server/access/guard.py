"""The outermost ring: what holds for every request before anything else looks at it.

In this order: a request id, the Host allow-list (against DNS rebinding), no tokens in URLs, the
Origin allow-list on `/ws` and unsafe methods (against other sites' pages), then the application;
on the way out the security headers, and problem+json for whatever was raised.
"""

import re
import time
from collections.abc import Iterable
from urllib.parse import parse_qsl

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from control_tower.errors import Forbidden, NotFound, Refusal
from server.access.hosts import LOOPBACK_NAMES, host_of, ip_of
from server.endpoints import json_reply
from server.errors import (
    InvalidRequest,
    MethodNotFound,
    as_refusal,
    headers,
    new_request_id,
    problem,
)
from server.figures.http_figures import ELSEWHERE, HttpFigures
from server.settings import Settings

API_POLICY = "default-src 'none'; frame-ancestors 'none'"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
URL_SECRETS = frozenset({"token", "access_token", "api_key", "authorization"})
CORS_METHODS = "GET, POST, PATCH, DELETE"
CORS_HEADERS = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-Request-ID"
CORS_EXPOSED = "Location, Retry-After, X-Request-ID, X-Total-Count"

QUIET_ROUTES = frozenset({"/health", "/ready", "/health/ready", "/metrics"})
MAX_LOGGED_PATH = 300

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:\-]{1,128}")

log = structlog.get_logger(__name__)


class Guard:
    """ASGI middleware; see the module."""

    def __init__(self, app: ASGIApp, settings: Settings, figures: HttpFigures) -> None:
        self._app = app
        self._figures = figures
        self._hosts = frozenset(
            name.lower() for name in (settings.allowed_hosts or (*LOOPBACK_NAMES, settings.host))
        )
        self._cors = frozenset(settings.cors_origins)
        self._origins = self._cors | frozenset(settings.allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        request = Headers(scope=scope)
        request_id = _request_id(request)
        scope.setdefault("state", {})["request_id"] = request_id
        answer = _Answer(send, request_id, self._allowed_by_cors(request))
        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            self._check(scope, request)
            if answer.cors is not None and _is_preflight(scope, request):
                await _preflight()(scope, receive, answer.send)
                return
            await self._app(scope, receive, answer.send)
        except Exception as error:
            # The last catcher: the caller gets a problem, the log gets the rest. Cancellation
            # is no Exception and passes.
            if answer.started:
                raise
            await _refuse(error, request_id, scope, receive, answer.send)
        finally:
            if scope["type"] == "http":
                self._say(scope, answer)
            structlog.contextvars.unbind_contextvars("request_id")

    def _say(self, scope: Scope, answer: "_Answer") -> None:
        """Count the request, and write the one line of the log that it gets.

        Probes and files come by the second and say nothing: theirs is for debugging. The path is
        as it came, escapes and all, so that it can't break the line; its query may hold what is
        nobody's business.
        """
        state = scope["state"]
        route = state.get("route")
        method, path = scope["method"], scope.get("raw_path") or scope["path"].encode()
        self._figures.note(method, route or ELSEWHERE, answer.status, answer.took_s)
        quiet = route in QUIET_ROUTES or scope["path"].startswith("/static/")
        (log.debug if quiet else log.info)(
            "http.answered",
            method=method,
            path=path.decode("latin1")[:MAX_LOGGED_PATH],
            route=route,
            status=answer.status,
            user_id=state.get("user_id"),
            size_bytes=answer.size_bytes,
            duration_ms=round((time.perf_counter() - answer.began) * 1000, 2),
        )

    def _check(self, scope: Scope, request: Headers) -> None:
        hosts = request.getlist("host")
        if len(hosts) != 1:
            raise InvalidRequest("There must be exactly one Host header.")
        if not self._serves(host_of(hosts[0])):
            raise InvalidRequest(
                "This server does not answer to that Host; see TOWER_ALLOWED_HOSTS."
            )
        if any(
            name in URL_SECRETS for name, _ in parse_qsl(scope["query_string"].decode("latin1"))
        ):
            raise InvalidRequest("A token does not belong in a URL; send Authorization: Bearer.")
        if scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS:
            self._check_origin(scope, request, hosts[0])

    def _serves(self, host: str) -> bool:
        # An IP literal can't be rebound: rebinding needs a name.
        return host in self._hosts or ip_of(host) is not None

    def _check_origin(self, scope: Scope, request: Headers, host: str) -> None:
        origins = request.getlist("origin")
        if not origins:
            return
        scheme = {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])
        own = f"{scheme}://{host}".lower()
        if len(origins) != 1 or (origins[0].lower() != own and origins[0] not in self._origins):
            raise Forbidden("This Origin may not; see TOWER_ALLOWED_ORIGINS.")

    def _allowed_by_cors(self, request: Headers) -> str | None:
        origin = request.get("origin")
        return origin if origin in self._cors else None


class _Answer:
    """The way out: adds the headers that every answer has, and knows how far it has come.

    Attributes:
        cors: the origin that may read it; None for no other than its own.
        began: when the request came, by the performance counter.
        status: of the answer; 0 while there is none, and when the client went away before it.
        took_s: until its head went out.
    """

    def __init__(self, send: Send, request_id: str, cors: str | None) -> None:
        self._send = send
        self._request_id = request_id
        self.cors = cors
        self.began = time.perf_counter()
        self.started = False
        self.status = 0
        self.took_s = 0.0
        self.size_bytes = 0

    async def send(self, message: Message) -> None:
        if message["type"] in {"http.response.start", "websocket.http.response.start"}:
            self.started = True
            self.status = int(message["status"])
            self.took_s = time.perf_counter() - self.began
            self._add_headers(MutableHeaders(scope=message))
        elif message["type"] == "http.response.body":
            self.size_bytes += len(message.get("body", b""))
        elif message["type"] in {"websocket.accept", "websocket.close"}:
            self.started = True
        await self._send(message)

    def _add_headers(self, out: MutableHeaders) -> None:
        out["X-Request-ID"] = self._request_id
        out["X-Content-Type-Options"] = "nosniff"
        out["Referrer-Policy"] = "no-referrer"
        out.setdefault("Content-Security-Policy", API_POLICY)
        out.setdefault("Cache-Control", "no-store")
        if self.cors is not None:
            out["Access-Control-Allow-Origin"] = self.cors
            out["Access-Control-Expose-Headers"] = CORS_EXPOSED
            out.add_vary_header("Origin")


def _request_id(request: Headers) -> str:
    given = request.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else new_request_id()


def _is_preflight(scope: Scope, request: Headers) -> bool:
    return (
        scope["type"] == "http"
        and scope["method"] == "OPTIONS"
        and "access-control-request-method" in request
    )


def _preflight() -> Response:
    return Response(
        status_code=204,
        headers={
            "Access-Control-Allow-Methods": CORS_METHODS,
            "Access-Control-Allow-Headers": CORS_HEADERS,
            "Access-Control-Max-Age": "600",
        },
    )


def _translate(error: Exception) -> Exception:
    """Return what Starlette's own 404s and 405s are in our words; others as they are."""
    if not isinstance(error, HTTPException):
        return error
    if error.status_code == 405:
        allow: Iterable[str] = (error.headers or {}).get("Allow", "").split(", ")
        return MethodNotFound("This method is not for this path.", allow=sorted(allow))
    if error.status_code < 500:
        return NotFound("There is nothing at this path.")
    return error


async def _refuse(
    error: Exception, request_id: str, scope: Scope, receive: Receive, send: Send
) -> None:
    told = _translate(error)
    if not isinstance(told, Refusal) and as_refusal(told) is None:
        log.error("http.failed", path=scope["path"], exc_info=error)
    status, body = problem(told, request_id)
    response = json_reply(body, status, headers(told))
    response.headers["Content-Type"] = "application/problem+json"
    # Starlette turns a Response into a denial response on a websocket scope, where the server
    # has that extension; ours does.
    await response(scope, receive, send)
