"""What can go wrong, in three families.

- :class:`KernelBug`: ours. Never mapped to a wire code other than ``internal``.
- :class:`Refusal`: a caller's. Its ``code`` is the ``data.code`` of wire.md.
- :class:`AgentError`: raised into a program by one of its calls; journaled, so that a replay
  raises it again. ``code`` is stable and stored.
"""

from typing import Any, ClassVar


class KernelBug(Exception):
    """An invariant of the kernel does not hold."""


class IllegalTransition(KernelBug):
    """A state change that the table does not have."""

    def __init__(self, source: str, target: str) -> None:
        super().__init__(f"no transition from {source} to {target}")
        self.source = source
        self.target = target


class Refusal(Exception):
    """A command that is not carried out.

    Attributes:
        message: one sentence for the caller, saying nothing of the inside.
        details: shown as ``data.details``.
        retry_after_s: when trying again makes sense, else None.
    """

    code: ClassVar[str] = "invalid_request"

    def __init__(self, message: str, *, retry_after_s: float | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.retry_after_s = retry_after_s


class InvalidParams(Refusal):
    """A field's value is wrong; ``details["field"]`` names it."""

    code: ClassVar[str] = "invalid_params"


class NotFound(Refusal):
    """It does not exist, or is not the caller's: the two look the same."""

    code: ClassVar[str] = "not_found"


class Forbidden(Refusal):
    """The caller's role may not do this."""

    code: ClassVar[str] = "forbidden"


class Conflict(Refusal):
    """It is in a state, or has an answer, that excludes this."""

    code: ClassVar[str] = "conflict"


class Expired(Refusal):
    """The time to answer is over."""

    code: ClassVar[str] = "expired"


class Busy(Refusal):
    """The session is busy and the caller chose not to wait."""

    code: ClassVar[str] = "busy"


class QuotaRefused(Refusal):
    """The user's account has no room for this mission."""

    code: ClassVar[str] = "quota_exceeded"


class RateLimited(Refusal):
    """Too many requests; ``retry_after_s`` says when."""

    code: ClassVar[str] = "rate_limited"


class Unavailable(Refusal):
    """The store did not take it. ``outcome`` is ``rejected`` or ``unknown``."""

    code: ClassVar[str] = "unavailable"

    def __init__(self, message: str, *, outcome: str, disk_full: bool = False) -> None:
        super().__init__(message, retry_after_s=1.0)
        self.outcome = outcome
        self.disk_full = disk_full


class AgentError(Exception):
    """Raised into a program by a call on its context; a program may catch it.

    Attributes:
        message: one sentence, shown to people and stored in the journal.
    """

    code: ClassVar[str] = "agent_error"
    transient: ClassVar[bool] = False
    """Whether another attempt may end otherwise."""
    retry_after_s: float | None = None
    """When to make it, if whoever failed has said so."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ToolRefused(AgentError):
    """A person said no, or nobody said yes in time."""

    code: ClassVar[str] = "tool_refused"


class ToolFailed(AgentError):
    """The tool raised."""

    code: ClassVar[str] = "tool_failed"
    transient: ClassVar[bool] = True


class ToolTimeout(AgentError):
    """An idempotent tool did not answer in time."""

    code: ClassVar[str] = "tool_timeout"
    transient: ClassVar[bool] = True


class ToolInvalid(AgentError):
    """The tool is unknown or its arguments do not fit its schema."""

    code: ClassVar[str] = "tool_invalid"


class BreakerOpen(AgentError):
    """The tool failed too often of late and is not called for now."""

    code: ClassVar[str] = "breaker_open"


class ClarificationExpired(AgentError):
    """Nobody answered the question in time."""

    code: ClassVar[str] = "clarification_expired"


class QuotaExceeded(AgentError):
    """A limit was met and a person chose *finish*: return what there is."""

    code: ClassVar[str] = "quota_exceeded"


class ModelFailed(AgentError):
    """The model's provider failed or refused."""

    code: ClassVar[str] = "model_failed"


class StepFailed(AgentError):
    """The function of ``ctx.step`` raised, or a person said that it failed."""

    code: ClassVar[str] = "step_failed"


class ChildFailed(AgentError):
    """A child mission did not complete."""

    code: ClassVar[str] = "child_failed"


class ConcurrentCall(AgentError):
    """A second call on a Context that has one in flight; use ``ctx.parallel``."""

    code: ClassVar[str] = "concurrent_call"


class Parked(BaseException):
    """Raised into a waiting program to let it out of memory. Never to be caught."""


AGENT_ERRORS: dict[str, type[AgentError]] = {
    leaf.code: leaf
    for leaf in (
        AgentError,
        ToolRefused,
        ToolFailed,
        ToolTimeout,
        ToolInvalid,
        BreakerOpen,
        ClarificationExpired,
        QuotaExceeded,
        ModelFailed,
        StepFailed,
        ChildFailed,
        ConcurrentCall,
    )
}
"""By their code, as the journal stores them."""


def agent_error(code: str, message: str) -> AgentError:
    """Return the error that the journal recorded as ``code`` with ``message``."""
    return AGENT_ERRORS.get(code, AgentError)(message)
