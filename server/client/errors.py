"""What a client raises: one error, told apart by its ``code``."""

from typing import Any, Final

from events.payloads import JsonObject

DISCONNECTED: Final = "disconnected"
TIMEOUT: Final = "timeout"
CLOSED: Final = "closed"
TOO_LARGE: Final = "too_large"


class ClientError(Exception):
    """A call that was refused, or a connection that is gone.

    Attributes:
        code: the server's ``data.code``, or one of the client's own: ``disconnected`` (the
            connection was lost; maybe the server did it), ``timeout`` (no reply in time),
            ``closed`` (this client will not connect again), ``too_large`` (never sent).
        message: one sentence for a person.
        details: ``data.details``, with ``retry_after_s`` and ``outcome`` where the server has them.
        method: the method that was called, if it was a call.
    """

    def __init__(
        self, code: str, message: str, details: JsonObject | None = None, method: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details or {}
        self.method = method

    @property
    def retry_after_s(self) -> float | None:
        """When to try again, in seconds, if the server said so."""
        value = self.details.get("retry_after_s")
        return float(value) if isinstance(value, int | float) else None

    @property
    def outcome_unknown(self) -> bool:
        """Whether the command may have been done all the same."""
        return self.code in {DISCONNECTED, TIMEOUT} or self.details.get("outcome") == "unknown"

    @classmethod
    def from_wire(cls, error: JsonObject, method: str | None) -> "ClientError":
        """Return the error of a reply's ``error`` member."""
        data: dict[str, Any] = dict(error.get("data") or {})
        code = str(data.pop("code", "internal"))
        details = data.pop("details", None) or {}
        return cls(code, str(error.get("message", "")), {**data, **details}, method)
