"""The built-in tools, one a file."""

from agents.registry import Registry
from agents.tools import calculator, clock, search_history, workspace


def register_tools(registry: Registry) -> None:
    """Register the built-in tools that are on by default."""
    calculator.register(registry)
    clock.register(registry)
    search_history.register(registry)
    workspace.register(registry)
