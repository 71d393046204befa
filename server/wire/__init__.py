"""The socket `/ws`: connections, their JSON-RPC sessions, and the methods."""
