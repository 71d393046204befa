"""The errors of user land: what a program may catch, and what a registration may raise.

The errors that a call raises into a program are the kernel's and only re-exported here, because
the journal stores them by their code.
"""

from typing import ClassVar

from control_tower.errors import (
    AgentError,
    BreakerOpen,
    ChildFailed,
    ClarificationExpired,
    ConcurrentCall,
    ModelFailed,
    Parked,
    QuotaExceeded,
    StepFailed,
    ToolFailed,
    ToolInvalid,
    ToolRefused,
    ToolTimeout,
)

__all__ = [
    "AgentError",
    "AppLoadError",
    "BreakerOpen",
    "ChildFailed",
    "ClarificationExpired",
    "ConcurrentCall",
    "ModelBusy",
    "ModelFailed",
    "Parked",
    "QuotaExceeded",
    "RegistrationError",
    "StepFailed",
    "ToolDeclined",
    "ToolFailed",
    "ToolInvalid",
    "ToolRefused",
    "ToolTimeout",
]


class RegistrationError(ValueError):
    """An agent or a tool cannot be registered as it is written. The message says what to change."""


class AppLoadError(Exception):
    """A file or module of agents could not be imported. The cause is chained."""


class ModelBusy(ModelFailed):
    """A model's provider failed in a way that may pass. A program sees :class:`ModelFailed`."""

    transient: ClassVar[bool] = True

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ToolDeclined(ToolFailed):
    """A tool is well, but what it was asked for cannot be done: a missing file, a bad number.

    A program sees it as :class:`ToolFailed`. Raise it from a tool so that the failure does not
    count against the tool's health and breaker.
    """

    transient: ClassVar[bool] = False
