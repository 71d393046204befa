"""Tools of MCP servers: the Model Context Protocol's client side, as far as tools go.

A server of the settings file is started or reached, asked for its tools, and its tools become
tools of the registry under ``mcp.<server>.<tool>``. Written on the standard library: the protocol
is JSON-RPC, and tools are two of its methods.
"""

from agents.mcp.servers import McpServer, McpServers

__all__ = ["McpServer", "McpServers"]
