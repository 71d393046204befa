"""What a caller is told when something is refused: one table for `/ws` and REST.

A :class:`~control_tower.errors.Refusal` carries a stable ``code``; :data:`CODES` gives it its
JSON-RPC number and its HTTP status. Anything else that is raised is ours: it is logged, and the
caller learns no more than ``internal``.
"""

import math
import secrets
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, ClassVar

from control_tower.errors import InvalidParams, Refusal, Unavailable
from control_tower.unit import StoreFailed
from events.errors import EventsError


@dataclass(frozen=True, slots=True)
class Codes:
    """How one ``data.code`` looks on the two wires."""

    rpc: int
    http: HTTPStatus


CODES: MappingProxyType[str, Codes] = MappingProxyType(
    {
        "parse_error": Codes(-32700, HTTPStatus.BAD_REQUEST),
        "invalid_request": Codes(-32600, HTTPStatus.BAD_REQUEST),
        "method_not_found": Codes(-32601, HTTPStatus.METHOD_NOT_ALLOWED),
        "invalid_params": Codes(-32602, HTTPStatus.UNPROCESSABLE_ENTITY),
        "internal": Codes(-32603, HTTPStatus.INTERNAL_SERVER_ERROR),
        "unauthenticated": Codes(-32001, HTTPStatus.UNAUTHORIZED),
        "forbidden": Codes(-32003, HTTPStatus.FORBIDDEN),
        "not_found": Codes(-32004, HTTPStatus.NOT_FOUND),
        "conflict": Codes(-32009, HTTPStatus.CONFLICT),
        "expired": Codes(-32010, HTTPStatus.GONE),
        "busy": Codes(-32011, HTTPStatus.CONFLICT),
        "quota_exceeded": Codes(-32028, HTTPStatus.TOO_MANY_REQUESTS),
        "rate_limited": Codes(-32029, HTTPStatus.TOO_MANY_REQUESTS),
        "unavailable": Codes(-32050, HTTPStatus.SERVICE_UNAVAILABLE),
        # HTTP only: on /ws a frame's size is a matter of close codes.
        "too_large": Codes(-32600, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
        "unsupported_media_type": Codes(-32600, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    }
)
"""Every code with its numbers."""

HTTP_ONLY = frozenset({"too_large", "unsupported_media_type"})
"""Those that no reply of `/ws` has."""

INTERNAL_MESSAGE = "Something went wrong on the server's side; it has been logged."


class ParseError(Refusal):
    """Not JSON, or not UTF-8, or too deep."""

    code: ClassVar[str] = "parse_error"


class InvalidRequest(Refusal):
    """JSON, but not a request."""

    code: ClassVar[str] = "invalid_request"


class MethodNotFound(Refusal):
    """No such method. ``details["allow"]`` lists those that an HTTP path has."""

    code: ClassVar[str] = "method_not_found"


class Unauthenticated(Refusal):
    """No credentials, or bad ones."""

    code: ClassVar[str] = "unauthenticated"


class TooLarge(Refusal):
    """A body over the limit."""

    code: ClassVar[str] = "too_large"


class UnsupportedMediaType(Refusal):
    """A body that is not JSON."""

    code: ClassVar[str] = "unsupported_media_type"


def new_request_id() -> str:
    """Return an id for a request that brought none of its own."""
    return f"r_{secrets.token_hex(8)}"


def as_refusal(error: BaseException) -> Refusal | None:
    """Return what a caller may be told about ``error``; None when it is ours and a bug."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, EventsError):
        refusal = InvalidParams(error.message)
        refusal.details |= {} if error.field is None else {"field": error.field}
        return refusal
    if isinstance(error, StoreFailed):
        return Unavailable(
            "The store did not take it; try again with the same idempotency key.",
            outcome=error.outcome,
            disk_full=error.disk_full,
        )
    return None


def rpc_error(error: BaseException) -> dict[str, Any]:
    """Return the ``error`` member of a JSON-RPC reply.

    ``retry_after_s`` and ``outcome`` stand beside ``code`` and in ``details``.
    """
    refusal = as_refusal(error)
    if refusal is None:
        return rpc_error_of("internal", INTERNAL_MESSAGE)
    more = _extras(refusal)
    details = {**refusal.details, **more}
    return rpc_error_of(refusal.code, refusal.message, details) | {
        "data": {"code": refusal.code, "details": details, **more}
    }


def rpc_error_of(code: str, message: str, details: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the ``error`` member of a reply with ``code``, for what no exception carries."""
    data = {"code": code, "details": details or {}}
    return {"code": CODES[code].rpc, "message": message, "data": data}


def http_status(refusal: Refusal) -> HTTPStatus:
    """Return the HTTP status of a refusal."""
    if isinstance(refusal, Unavailable) and refusal.disk_full:
        return HTTPStatus.INSUFFICIENT_STORAGE
    return CODES[refusal.code].http


def problem(error: BaseException, request_id: str) -> tuple[HTTPStatus, dict[str, Any]]:
    """Return the status and the body of an RFC 9457 ``application/problem+json`` answer."""
    refusal = as_refusal(error)
    if refusal is None:
        status = CODES["internal"].http
        return status, _problem(status, "internal", INTERNAL_MESSAGE, request_id)
    status = http_status(refusal)
    body = _problem(status, refusal.code, refusal.message, request_id)
    errors = refusal.details.get("errors")
    if errors is None and "field" in refusal.details:
        errors = [{"field": refusal.details["field"], "message": refusal.message}]
    if errors is not None:
        body["errors"] = errors
    details = {k: v for k, v in refusal.details.items() if k not in {"errors", "field", "allow"}}
    return status, details | _extras(refusal) | body


def headers(error: BaseException) -> dict[str, str]:
    """Return the headers that go with an HTTP answer to ``error``."""
    refusal = as_refusal(error)
    found: dict[str, str] = {}
    if refusal is None:
        return found
    if refusal.retry_after_s is not None:
        found["Retry-After"] = str(max(1, math.ceil(refusal.retry_after_s)))
    if isinstance(refusal, Unauthenticated):
        found["WWW-Authenticate"] = 'Bearer realm="control-tower"'
    if isinstance(refusal, MethodNotFound) and "allow" in refusal.details:
        found["Allow"] = ", ".join(refusal.details["allow"])
    return found


def _extras(refusal: Refusal) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if refusal.retry_after_s is not None:
        found["retry_after_s"] = refusal.retry_after_s
    if isinstance(refusal, Unavailable):
        found["outcome"] = refusal.outcome
    return found


def _problem(status: HTTPStatus, code: str, detail: str, request_id: str) -> dict[str, Any]:
    return {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }
