"""What is registered: agents and tools by name, each with the module it came from.

It knows nobody who fills it; the one of the process is put together in :mod:`agents.defaults`.
"""

import difflib
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, TypeVar

from agents.errors import RegistrationError
from agents.program import AgentProgram
from agents.tool_spec import ToolSpec

F = TypeVar("F", bound=Callable[..., Any])
Risk = Literal["read_only", "write", "destructive", "low", "medium", "high", "critical"]

FILE_MODULE = "tower_app_"
"""How the names of modules begin that were made of a file, as ``app.py``."""

Kept: TypeAlias = tuple[dict[str, AgentProgram], dict[str, ToolSpec]]
"""Agents and tools as they were at some time."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,199}")


class Registry:
    """Agents and tools by name."""

    def __init__(self) -> None:
        self._agents: dict[str, AgentProgram] = {}
        self._tools: dict[str, ToolSpec] = {}
        self._expected: dict[str, Callable[[], str | None]] = {}

    @property
    def agents(self) -> Mapping[str, AgentProgram]:
        """The agents by name."""
        return MappingProxyType(self._agents)

    @property
    def tools(self) -> Mapping[str, ToolSpec]:
        """The tools by name."""
        return MappingProxyType(self._tools)

    def agent(self, name: str, description: str = "") -> Callable[[F], F]:
        """Register a callable as the agent ``name``; see :func:`agents.agent`."""
        if not isinstance(name, str):
            raise RegistrationError('An agent needs a name: @agent("support").')

        def register(function: F) -> F:
            said = description or _first_line(function)
            self.add_agent(AgentProgram(name, function, said, _origin(function)))
            return function

        return register

    def tool(
        self,
        risk: Risk,
        *,
        idempotent: bool = False,
        timeout_s: float | None = 10,
        retries: int = 0,
        confirm: bool | None = None,
        tags: tuple[str, ...] = (),
        on_open: Literal["wait", "fail"] = "wait",
        name: str | None = None,
        staged: bool = False,
    ) -> Callable[[F], F]:
        """Register a function as a tool; see :func:`agents.tool`.

        Args:
            risk: how dangerous a call is.
            idempotent: whether a call may safely be made twice.
            timeout_s: bound of one attempt.
            retries: further attempts after a failure.
            confirm: overrules what the risk says about asking.
            tags: free labels.
            on_open: what a call does while the tool's breaker is open.
            name: the function's name by default.
            staged: its only effect is what it changes in ``ToolContext.workspace``; such a call
                is never in doubt after a crash.
        """
        if not isinstance(risk, str):
            raise RegistrationError('A tool needs its risk: @tool(risk="read_only").')

        def register(function: F) -> F:
            spec = ToolSpec(
                name=name or str(getattr(function, "__name__", type(function).__name__)),
                function=function,
                risk=risk,
                idempotent=idempotent,
                timeout_s=timeout_s,
                retries=retries,
                confirm=confirm,
                tags=tags,
                on_open=on_open,
                staged=staged,
                origin=_origin(function),
            )
            self.add_tool(spec)
            return function

        return register

    def add_agent(self, program: AgentProgram) -> None:
        """Take an agent.

        Raises:
            RegistrationError: for a bad name, or one that is taken.
        """
        _check_name("agent", program.name, self._agents)
        self._agents[program.name] = program

    def add_tool(self, spec: ToolSpec) -> None:
        """Take a tool.

        Raises:
            RegistrationError: for a bad name, or one that is taken.
        """
        _check_name("tool", spec.name, self._tools)
        self._tools[spec.name] = spec

    def find_tool(self, tool: object) -> ToolSpec | None:
        """Return the tool called ``tool``, or whose function it is."""
        if isinstance(tool, str):
            return self._tools.get(tool)
        for spec in self._tools.values():
            if spec.function is tool:
                return spec
        return None

    def expect(self, prefix: str, trouble: Callable[[], str | None]) -> None:
        """Expect tools that come later, and may go; ``trouble()`` says why they are not there."""
        self._expected[prefix] = trouble

    def why_missing(self, name: str) -> str | None:
        """Return why a tool that is expected is not there; None if nobody knows."""
        for prefix, trouble in self._expected.items():
            if name.startswith(prefix):
                return trouble()
        return None

    def nearest_tool(self, name: str) -> str | None:
        """Return the registered tool whose name is most like ``name``, if any is."""
        return next(iter(difflib.get_close_matches(name, self._tools, n=1)), None)

    def kept(self) -> "Kept":
        """Return what there is, for :meth:`restore`."""
        return self._agents.copy(), self._tools.copy()

    def restore(self, kept: "Kept") -> set[str]:
        """Go back to what there was; return the modules whose agents or tools are dropped."""
        agents, tools = kept
        dropped = {one.origin for key, one in self._agents.items() if agents.get(key) is not one}
        dropped |= {one.origin for key, one in self._tools.items() if tools.get(key) is not one}
        self._agents, self._tools = agents, tools
        return dropped

    def forget(self, origin: str) -> None:
        """Drop what came from the module ``origin``, before it is loaded again."""
        self._agents = {key: one for key, one in self._agents.items() if one.origin != origin}
        self._tools = {key: one for key, one in self._tools.items() if one.origin != origin}


def _check_name(kind: str, name: str, taken: Mapping[str, Any]) -> None:
    if not _NAME.fullmatch(name):
        raise RegistrationError(
            f"{name!r} is not a name for {'an agent' if kind == 'agent' else 'a tool'}: use "
            "letters, digits, dots, dashes and underscores, at most 200, a letter first."
        )
    if name in taken:
        raise RegistrationError(
            f"There is already {'an agent' if kind == 'agent' else 'a tool'} called {name}, "
            f"from {_where(taken[name].origin)}; choose another name."
        )


def _where(origin: str) -> str:
    """Return where a module is from, as its developer knows it: by its file if it is an app."""
    path = getattr(sys.modules.get(origin), "__file__", None)
    return Path(path).name if origin.startswith(FILE_MODULE) and path else origin


def _origin(function: object) -> str:
    return str(getattr(function, "__module__", None) or type(function).__module__)


def _first_line(function: object) -> str:
    lines = (getattr(function, "__doc__", None) or "").strip().splitlines()
    return lines[0] if lines else ""
