"""A registered tool: its function, its risk, and how it may be called."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, cast

from agents.docstrings import Docstring, read_docstring
from agents.errors import RegistrationError
from agents.program import Form, form_of
from agents.schema import ArgumentSchema, Checked
from agents.tool_context import ToolContext
from events.payloads import JsonObject

RISKS = ("read_only", "write", "destructive", "low", "medium", "high", "critical")
ASK_FIRST = frozenset({"destructive", "high", "critical"})
MAX_RETRIES = 10
MAX_TIMEOUT_S = 86_400


class Gate(Protocol):
    """What a tool's arguments must pass. :class:`ArgumentSchema` is that of a function."""

    @property
    def json_schema(self) -> JsonObject:
        """JSON Schema of an object."""

    @property
    def context_parameter(self) -> str | None:
        """The parameter that takes the :class:`ToolContext`, if there is one."""

    def check(self, arguments: Mapping[str, object]) -> Checked:
        """Validate arguments.

        Raises:
            ToolInvalid: naming what is wrong.
        """

    def keywords(self, arguments: JsonObject) -> dict[str, Any]:
        """Return checked arguments as the function takes them."""


UNREAD = cast("Gate", None)
"""The schema before it was read from the function."""


def _none() -> None:
    """The trouble of a tool that has none."""


@dataclass(frozen=True)
class ToolSpec:
    """One tool. Checked when it is made.

    Attributes:
        confirm: whether a person is asked first; None leaves it to the risk.
        staged: its only effect is what it stages in the workspace.
        origin: the module it came from.
        schema: what its arguments must be; read from the function when it is not given.
        about: stands in for the function's docstring.
        trouble: says why the tool cannot work just now, whatever its calls have shown; None
            when it can.

    Raises:
        RegistrationError: for options that contradict each other or the function.
    """

    name: str
    function: Callable[..., Any]
    risk: str
    idempotent: bool = False
    timeout_s: float | None = 10
    retries: int = 0
    confirm: bool | None = None
    tags: tuple[str, ...] = ()
    on_open: str = "wait"
    staged: bool = False
    origin: str = ""
    schema: Gate = field(default=UNREAD, compare=False)
    about: str | None = None
    trouble: Callable[[], str | None] = field(default=_none, compare=False)

    def __post_init__(self) -> None:
        self._check()
        if self.schema is UNREAD:
            read = ArgumentSchema(self.function, context=ToolContext, name=self.name)
            object.__setattr__(self, "schema", read)

    @property
    def asks(self) -> bool:
        """Whether a person must approve each call."""
        return self.risk in ASK_FIRST if self.confirm is None else self.confirm

    @cached_property
    def description(self) -> str:
        """What the docstring says before its sections."""
        return self._docstring.description

    @cached_property
    def summary(self) -> str:
        """The docstring's first line."""
        return self._docstring.summary

    @cached_property
    def _docstring(self) -> Docstring:
        return read_docstring(self.function.__doc__ if self.about is None else self.about)

    @cached_property
    def in_loop(self) -> bool:
        """Whether it is an async function; a plain one runs in a thread."""
        return form_of(self.function) is Form.ASYNC

    def _check(self) -> None:
        if not callable(self.function):
            raise self._complaint("is not callable")
        if form_of(self.function) in (Form.STREAM, Form.PLAIN_STREAM):
            raise self._complaint("is a generator; a tool returns its result")
        if self.risk not in RISKS:
            raise self._complaint(f"has risk {self.risk!r}; it must be one of {', '.join(RISKS)}")
        if type(self.retries) is not int or not 0 <= self.retries <= MAX_RETRIES:
            raise self._complaint(f"has retries={self.retries!r}; it must be 0 to {MAX_RETRIES}")
        if self.retries and not self.idempotent:
            raise self._complaint(
                "has retries but is not idempotent; only a call that may safely be made twice "
                "can be retried: add idempotent=True or leave retries out"
            )
        if self.timeout_s is not None and not _is_time(self.timeout_s):
            raise self._complaint(
                f"has timeout_s={self.timeout_s!r}; it must be seconds up to {MAX_TIMEOUT_S}"
            )
        if self.on_open not in ("wait", "fail"):
            raise self._complaint(f'has on_open={self.on_open!r}; it must be "wait" or "fail"')
        if self.confirm not in (None, True, False):
            raise self._complaint(f"has confirm={self.confirm!r}; it must be True, False or None")
        tags: object = self.tags
        if not isinstance(tags, tuple) or not all(isinstance(tag, str) for tag in tags):
            raise self._complaint("has tags that are not a tuple of texts")

    def _complaint(self, what: str) -> RegistrationError:
        return RegistrationError(f"The tool {self.name} {what}.")


def _is_time(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and 0 < value <= MAX_TIMEOUT_S
    )
