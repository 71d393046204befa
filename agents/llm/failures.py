"""What a provider's failure means: whether to try again, when, and what people are told of it."""

import importlib
from collections.abc import Mapping
from typing import Any

from agents.bounds import clean_text
from agents.errors import ModelBusy
from control_tower.errors import ModelFailed

LONGEST_WAIT_S = 60.0
"""A provider that asks for more patience has failed: a mission's slot is not held for so long."""

MAX_SAID_CHARACTERS = 300
PASSING = (
    "ModelRateLimitError",
    "ModelUnavailableError",
    "ModelServerError",
    "ModelConnectionError",
)
"""The library's classes for what another attempt may mend."""


def failure_of(provider: str, error: Exception, keys: Mapping[str, str]) -> ModelFailed:
    """Return a turn's failure for what the library raised.

    Args:
        provider: its name, for people.
        error: what was raised.
        keys: secrets by name, which no message may show.
    """
    said = _without(keys, _said(provider, error))
    wait_s = getattr(error, "retry_after", None)
    if not _may_pass(error):
        return ModelFailed(said)
    if wait_s is not None and wait_s > LONGEST_WAIT_S:
        return ModelFailed(f"{said} It asks for {wait_s:.0f} s of patience.")
    return ModelBusy(said, wait_s)


def _may_pass(error: Exception) -> bool:
    # What broke off its own stream had begun to answer, so it is not the request that is wrong.
    broke_off = getattr(error, "in_stream", False) and not _is(error, "ModelRequestRejectedError")
    return (broke_off or _is(error, *PASSING)) and not _is(error, "ModelTimeoutError")


def _is(error: Exception, *names: str) -> bool:
    """Whether an error is of one of the library's classes, which may be imported only late."""
    exceptions = importlib.import_module("pydantic_ai.exceptions")
    return isinstance(error, tuple(getattr(exceptions, name) for name in names))


def _said(provider: str, error: Exception) -> str:
    status = getattr(error, "status_code", None)
    if _is(error, "ModelTimeoutError"):
        return f"{provider} did not answer in time."
    if status is not None:
        message = _message(getattr(error, "body", None))
        return f"{provider} answered {status}{f': {message}' if message else ''}."
    if _is(error, "ModelConnectionError"):
        return f"The connection to {provider} failed: {str(error).rstrip('.')}."
    if getattr(error, "in_stream", False):
        return f"{provider} broke off: {str(error).rstrip('.')}."
    return f"{provider}: {type(error).__name__}: {error}"


def _message(body: object) -> str:
    """Return the message in the body of an error; providers wrap it once or not at all."""
    inner: Any = body.get("error", body) if isinstance(body, Mapping) else None
    message = inner.get("message") if isinstance(inner, Mapping) else None
    return message.strip().rstrip(".") if isinstance(message, str) else ""


def _without(keys: Mapping[str, str], said: str) -> str:
    for name, value in keys.items():
        said = said.replace(value, f"[{name}]")
    return clean_text(said)[:MAX_SAID_CHARACTERS]
