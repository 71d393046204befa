"""The default registry: the one of this process, with the built-in agents and tools.

:func:`agents.agent` and :func:`agents.tool` fill it; :func:`recording` makes them fill another for
a while.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from agents.builtin import register_agents
from agents.registry import Registry
from agents.tools import register_tools

_default: Registry | None = None
_target: ContextVar[Registry | None] = ContextVar("registry", default=None)


def default_registry() -> Registry:
    """Return the registry of this process, which has the built-in agents and tools."""
    global _default  # noqa: PLW0603 - one per process is what "default" means
    if _default is None:
        _default = builtin_registry()
    return _default


def builtin_registry() -> Registry:
    """Return a fresh registry that has only the built-in agents and tools."""
    registry = Registry()
    register_agents(registry)
    register_tools(registry)
    return registry


def current_registry() -> Registry:
    """Return where the decorators register: the default, or that of :func:`recording`."""
    return _target.get() or default_registry()


@contextlib.contextmanager
def recording(registry: Registry) -> Iterator[Registry]:
    """Let the decorators register in ``registry`` inside the ``with`` block."""
    token = _target.set(registry)
    try:
        yield registry
    finally:
        _target.reset(token)
