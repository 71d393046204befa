"""An MCP server of the protocol's own library, as a process: ``python mcp_box.py [PORT]``.

Without a port it talks over its standard streams. Its memory is its process, so that a test can
tell whether it was started again.
"""

import os
import sys

from mcp.server.mcpserver import MCPServer
from mcp.types import ToolAnnotations

box = MCPServer("box")


@box.tool(annotations=ToolAnnotations(read_only_hint=True))
def whoami() -> str:
    """Say which process this is."""
    return str(os.getpid())


@box.tool(annotations=ToolAnnotations(destructive_hint=True))
def wipe(name: str) -> str:
    """Wipe something."""
    return f"wiped {name}"


@box.tool()
def plain(number: int) -> int:
    """Do something that says nothing of its risk."""
    return number + 1


if __name__ == "__main__":
    if len(sys.argv) > 1:
        box.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        box.run()
