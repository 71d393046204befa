"""The other package called ``agents``: openai-agents, which cannot share our process."""

from importlib.metadata import PackageNotFoundError, distribution

NO_ROOM = (
    "openai-agents cannot run in this process: its import name is agents, too. Run it in an "
    "environment of its own behind MCP; docs/agents.md shows how."
)


def problem() -> str | None:
    """Return what is wrong with this environment, if openai-agents is installed in it."""
    try:
        found = distribution("openai-agents")
    except PackageNotFoundError:
        return None
    return f"openai-agents {found.version} is installed beside Control Tower. {NO_ROOM}"


def means_the_other(error: BaseException) -> bool:
    """Whether an import failed because it wanted the other package."""
    return (
        isinstance(error, ImportError)
        and error.name == "agents"
        and any(name in str(error) for name in ("'Runner'", "'Agent'", "'function_tool'"))
    )
