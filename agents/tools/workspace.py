"""``workspace.list``, ``read``, ``write`` and ``delete``: the files of the session."""

from agents.errors import ToolDeclined
from agents.registry import Registry
from agents.tool_context import ToolContext
from events.payloads import JsonObject
from events.times import rfc3339


async def list_files(ctx: ToolContext) -> list[JsonObject]:
    """List the files of this session."""
    return [
        {
            "name": file.name,
            "size_bytes": file.size,
            "media_type": file.media_type,
            "updated_at": rfc3339(file.updated_at),
        }
        for file in await ctx.workspace.list()
    ]


async def read_file(ctx: ToolContext, name: str) -> str:
    """Read a text file of this session.

    Args:
        ctx: given by the executor.
        name: the file's name.
    """
    file = await ctx.workspace.read(name)
    try:
        return file.content.decode()
    except UnicodeDecodeError:
        raise ToolDeclined(f"{file.name} is not a text file.") from None


async def write_file(ctx: ToolContext, name: str, text: str) -> JsonObject:
    """Write a text file of this session, replacing one of the same name.

    Args:
        ctx: given by the executor.
        name: a plain file name, without folders.
        text: the whole new content.
    """
    before = {file.name for file in await ctx.workspace.list()}
    file = await ctx.workspace.write(name, text.encode())
    return {"name": file.name, "size_bytes": file.size, "replaced": file.name in before}


async def delete_file(ctx: ToolContext, name: str) -> JsonObject:
    """Delete a file of this session for good.

    Args:
        ctx: given by the executor.
        name: the file's name.
    """
    return {"deleted": await ctx.workspace.delete(name)}


def register(registry: Registry) -> None:
    """Register the tools."""
    registry.tool("read_only", idempotent=True, name="workspace.list")(list_files)
    registry.tool("read_only", idempotent=True, name="workspace.read")(read_file)
    registry.tool("write", name="workspace.write", staged=True)(write_file)
    registry.tool("destructive", name="workspace.delete", staged=True)(delete_file)
