"""A tower to run a mission on: one that is there, or one of our own."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Generator, Iterable
from dataclasses import dataclass

from control_tower.store import holder_of
from server.app import running
from server.asgi import create_app
from server.client import Client, ClientError
from server.commands.place import Place
from server.serving import TowerServer, end_for_good, listen, make_config, url_of
from server.settings import Settings

START_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Reached:
    """A tower that was reached.

    Attributes:
        client: connected to it.
        ours: whether it ends with this process.
    """

    client: Client
    ours: bool


class _EmbeddedServer(TowerServer):
    """A server that leaves Ctrl-C to the command around it, which knows what to say."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Drain on SIGTERM only."""
        original = signal.signal(signal.SIGTERM, self.handle_exit)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, original)


@contextlib.asynccontextmanager
async def any_tower(
    place: Place, settings: Settings, apps: Iterable[str] = ()
) -> AsyncIterator[Reached]:
    """Connect to the server at ``place``; if there is none over its folder, serve it meanwhile.

    Either way everything goes over `/ws`, so a mission behaves alike in both.
    """
    holder = None if place.url else holder_of(settings.data_dir)
    if place.url or holder is not None:
        if list(apps):
            where = place.url or f"{settings.data_dir} is served by {holder and holder.url}, which"
            raise ClientError("conflict", f"--app: {where} has its own agents and tools.")
        async with place.client() as client:
            yield Reached(client, ours=False)
        return
    async with _own_tower(settings, apps) as (url, token), Client(url, token) as client:
        yield Reached(client, ours=True)


@contextlib.asynccontextmanager
async def _own_tower(settings: Settings, apps: Iterable[str]) -> AsyncIterator[tuple[str, str]]:
    """Serve on a free loopback port until the block ends."""
    settings = settings.model_copy(update={"host": "127.0.0.1", "port": 0})
    listener = listen(settings.host, settings.port)
    url = url_of(settings, listener)
    started = asyncio.Event()
    try:
        async with running(
            settings, url=url, on_fatal=lambda _: end_for_good(), apps=apps, alone=True
        ) as tower:
            server = _EmbeddedServer(make_config(create_app(tower), settings), tower, started.set)
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                async with asyncio.timeout(START_TIMEOUT_S):
                    await started.wait()
                yield url, tower.token
            finally:
                server.should_exit = True
                await serving
    finally:
        listener.close()
