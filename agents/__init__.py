"""User land: the agents and tools that the tower runs, and how developers bring theirs.

Write an async function, put ``@agent`` on it, and ``tower serve app.py`` runs it::

    from agents import Context, agent, tool

    @tool(risk="destructive")
    async def refund(order: str, amount: float) -> str:
        \"\"\"Refund an order.\"\"\"
        return f"refunded {amount} on {order}"

    @agent("support", description="Answers and refunds.")
    async def support(ctx: Context) -> str:
        order = await ctx.clarify("Which order?")
        return await ctx.tool(refund, order=order, amount=12.5)

Everything else in this package is the machinery behind those two decorators: the registry, the
tool executor with its breakers and health, the language models, and the built-in agents and
tools. It imports ``control_tower`` and ``events``, and nothing of ``server``.
"""

from agents.adapters import adapt
from agents.api import agent, tool
from agents.blocking import BlockingChild, BlockingContext
from agents.catalog import AgentCatalog
from agents.defaults import default_registry
from agents.errors import (
    AgentError,
    AppLoadError,
    BreakerOpen,
    ChildFailed,
    ClarificationExpired,
    ConcurrentCall,
    ModelFailed,
    Parked,
    QuotaExceeded,
    RegistrationError,
    StepFailed,
    ToolDeclined,
    ToolFailed,
    ToolInvalid,
    ToolRefused,
    ToolTimeout,
)
from agents.executor import Executor
from agents.llm import ModelTable
from agents.loading import load_app, load_entry_points
from agents.registry import Registry
from agents.result import Result
from agents.runtime import MissionRuntime, create_mission_runtime
from agents.secret import Secret
from agents.tool_context import ToolContext
from control_tower.execution.context import Child, Context
from control_tower.execution.results import Decision, Message, Reply, ToolRequest

__all__ = [
    "AgentCatalog",
    "AgentError",
    "AppLoadError",
    "BlockingChild",
    "BlockingContext",
    "BreakerOpen",
    "Child",
    "ChildFailed",
    "ClarificationExpired",
    "ConcurrentCall",
    "Context",
    "Decision",
    "Executor",
    "Message",
    "MissionRuntime",
    "ModelFailed",
    "ModelTable",
    "Parked",
    "QuotaExceeded",
    "RegistrationError",
    "Registry",
    "Reply",
    "Result",
    "Secret",
    "StepFailed",
    "ToolContext",
    "ToolDeclined",
    "ToolFailed",
    "ToolInvalid",
    "ToolRefused",
    "ToolRequest",
    "ToolTimeout",
    "adapt",
    "agent",
    "create_mission_runtime",
    "default_registry",
    "load_app",
    "load_entry_points",
    "tool",
]
