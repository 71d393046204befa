"""A whole server of the tower in a process of its own."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

START_TIMEOUT_S: Final = 20.0
STOP_TIMEOUT_S: Final = 30.0


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    """Wait until something listens on ``port``.

    Raises:
        TimeoutError: if nothing does in time.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError("the server did not start")


@contextmanager
def serving(folder: str, *arguments: str, **environment: str) -> Iterator[tuple[int, int]]:
    """Run ``tower serve`` over ``folder``; yield its port and process id."""
    port = free_port()
    settings = {
        **os.environ,
        "TOWER_PORT": str(port),
        "TOWER_DATA_DIR": folder,
        "TOWER_RATE_LIMITS": "off",
        "TOWER_LOG_LEVEL": "warning",
        **environment,
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "server", "serve", *arguments],
        env=settings,
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for(port)
        yield port, server.pid
    finally:
        server.terminate()
        server.wait(STOP_TIMEOUT_S)
