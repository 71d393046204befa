"""The built-in agents, one a file."""

from agents.builtin import demo, echo, react
from agents.registry import Registry


def register_agents(registry: Registry) -> None:
    """Register the built-in agents."""
    demo.register(registry)
    echo.register(registry)
    react.register(registry)
