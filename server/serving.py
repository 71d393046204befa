"""Running the application: sockets, signals, and a shutdown that keeps its promises.

On SIGTERM or SIGINT the tower stops taking missions while HTTP still answers (readiness says 503),
running missions reach their next call, connections are told and closed in turn, and the process
exits 0. A second signal skips what is left of the waiting.
"""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Generator
from types import FrameType
from typing import Protocol

import structlog
import uvicorn
from starlette.types import ASGIApp

from server.access.hosts import base_url, ip_of
from server.http_protocol import BoundedHttpProtocol
from server.settings import Settings, SettingsError
from server.wire.ws_protocol import TowerProtocol

FATAL_EXIT_CODE = 74
"""EX_IOERR: the store can't be trusted any more."""

SEND_BUFFER_BYTES = 64 * 1024
USER_TIMEOUT_MS = 10_000
BACKLOG = 2048
CLOSE_S = 2
KEEP_ALIVE_S = 65
"""Longer than the 60 s of the usual proxies, so that they close first."""

log = structlog.get_logger(__name__)


class Drainable(Protocol):
    """What the server drains before it closes its sockets."""

    async def drain(self, hurry: asyncio.Event) -> None:
        """Leave everything in order; at once when ``hurry`` is set."""


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Return a bound socket whose connections can't hold unseen megabytes.

    A client that never reads would else fill the kernel's buffer first; accepted sockets inherit
    both options. A ``shared`` port may be listened on by all processes of this user that ask for
    it so: the kernel gives each connection to one of them.

    Raises:
        SettingsError: if the address can't be had.
    """
    address = ip_of(host)
    try:
        family = (
            socket.AF_INET6
            if address is not None and address.version == 6
            else socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        )
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise SettingsError(f"{host} is no address of this machine: {error.strerror}.") from None
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
    try:
        listener.bind((host.strip("[]"), port))
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"{host}:{port} can't be listened on: {error.strerror}. Is another server running "
            "there? TOWER_PORT=0 takes a free port."
        ) from None
    listener.setblocking(False)
    return listener


def reserve(host: str, port: int) -> socket.socket:
    """Return a socket that keeps a port for processes which will share it; nobody listens yet.

    Raises:
        SettingsError: if the address can't be had, or somebody is there already.
    """
    # Asked for to be shared, a port that another group of processes shares would be given, too.
    with contextlib.closing(listen(host, port)) as alone:
        found: int = alone.getsockname()[1]
    return listen(host, found, shared=True)


def url_of(settings: Settings, listener: socket.socket) -> str:
    """Return where the server can be reached."""
    return base_url(settings.host, listener.getsockname()[1])


class TowerServer(uvicorn.Server):
    """uvicorn's server with a drain before its shutdown and an exit code of 0 after it."""

    def __init__(
        self, config: uvicorn.Config, drainable: Drainable, started: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._drainable = drainable
        self._on_started = started
        self._hurry = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets=sockets)
        spare_the_collector()
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain with the listeners still open, then close everything."""
        log.info("server.draining")
        await self._drainable.drain(self._hurry)
        await super().shutdown(sockets=sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Handle the signals without raising them again: after a drain the exit code is 0."""
        originals = {
            number: signal.signal(number, self.handle_exit)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in originals.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """First signal: drain. Second: hurry."""
        if not self.should_exit:
            self.should_exit = True
            return
        self.force_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._hurry.set)


def spare_the_collector() -> None:
    """Make the garbage collector's full passes, which stop everything, few and short.

    What was made to start lives as long as the process, so it is left out of them. And thousands
    of connections that come back at once are no garbage: by Python's own measure they would be
    gone through again and again while they come, for 100 ms each time. A million objects that
    nobody has given back is worth a look.
    """
    gc.freeze()
    gc.set_threshold(2_000, 10, 50)


def make_config(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    """Return uvicorn's configuration for the application."""
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=BoundedHttpProtocol,
        ws=TowerProtocol,
        ws_max_size=settings.max_frame_bytes,
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        ws_ping_timeout=None,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=CLOSE_S,
    )


def end_for_good() -> None:
    """End the process at once: the store failed, and nothing it says can be promised any more."""
    log.critical("store.failed")
    sys.stderr.flush()
    os._exit(FATAL_EXIT_CODE)
