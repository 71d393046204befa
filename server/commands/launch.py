"""From a command line to a server: one process, one that is reloaded, or several on one port."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import structlog
import typer

from control_tower.store import DataFolderLock, DataFolderUnusable
from server import interpreter, leaving, logging, processes, reloading
from server.app import package_version, running
from server.asgi import create_app
from server.commands.terminal import loaded, out
from server.role import Role, check_shared
from server.serving import (
    BACKLOG,
    TowerServer,
    end_for_good,
    listen,
    make_config,
    reserve,
    url_of,
)
from server.settings import Loaded, Settings, SettingsError
from server.standby import Standby
from server.tether import Tether

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Launch:
    """What a command line asks for.

    Attributes:
        given: settings that it names, by their fields; None for those it does not.
        reload: start again whenever an app changes.
        processes: how many share the port.
        supervised: descriptor of a supervisor's listener, if there is one.
        tether: descriptor of the tie to the parent that has started this process, if one has.
    """

    role: Role
    apps: list[str]
    given: dict[str, object] = field(default_factory=dict)
    reload: bool = False
    processes: int = 1
    supervised: int | None = None
    tether: int | None = None

    def run(self) -> None:
        """Serve until a signal says otherwise.

        Raises:
            SettingsError: if the settings do not go together with what is asked for.
        """
        found = loaded(self.given)
        settings = found.settings
        check_shared(settings, self.role, self.processes)
        if self.reload and self.processes > 1:
            raise SettingsError("--reload is for one process.")
        logging.configure(settings.log_level, settings.log_format, secrets_of(settings))
        if self.reload:
            supervise(found, self.apps)
        if self.processes > 1:
            self._share(settings)
        leaving.run(self._serve(settings))

    async def _serve(self, settings: Settings) -> None:
        """Serve here; while another serves the database alone, stand by."""
        tether = None if self.tether is None else Tether(self.tether)
        if self.supervised is None:
            listener = listen(settings.host, settings.port, shared=tether is not None)
        else:
            listener = reloading.inherited(self.supervised)
        url = url_of(settings, listener)
        standby = Standby(listener)
        try:
            async with running(
                settings,
                url=url,
                on_fatal=lambda _: end_for_good(),
                apps=self.apps,
                standing_by=standby.note,
                role=self.role,
                shared_token=None if tether is None else tether.token,
                alone=True,
            ) as tower:
                await standby.leave()
                server = TowerServer(
                    make_config(create_app(tower), settings),
                    tower,
                    lambda: self._started(url, settings, tether),
                )
                interpreter.settle()
                await server.serve(sockets=[listener])
        except asyncio.CancelledError:
            if not standby.told_to_end:
                raise
        finally:
            listener.close()

    def _started(self, url: str, settings: Settings, tether: Tether | None) -> None:
        log.info("server.started", url=url, version=package_version(), auth=settings.auth)
        if tether is None or self.supervised is not None:
            self._announce(url)
        else:
            tether.started()

    def _announce(self, url: str) -> None:
        """Say where the server is, to people on a terminal and to whoever reads the output."""
        who = "Control Tower" if self.role.serves_people else "A worker of Control Tower"
        if sys.stdout.isatty():
            out.print(f"\n  {who} is at [bold]{url}[/bold]  (Ctrl-C stops it)\n")
        else:
            print(f"{who} is at {url}", flush=True)  # noqa: T201 - the one line on stdout

    def _share(self, settings: Settings) -> NoReturn:
        """Run several processes on one port. Their parent holds the data folder.

        So commands find them as they find a single server: the folder's lock says the port that
        all share and a token that all take.
        """
        with contextlib.closing(reserve(settings.host, settings.port)) as reserved:
            url = url_of(settings, reserved)
            with _held(settings.data_dir, url) as lock:
                port = reserved.getsockname()[1]
                commands = [
                    self._command(number, port, settings.data_dir)
                    for number in range(1, self.processes + 1)
                ]
                family = processes.Processes(
                    commands, lock.holder.token, lambda: self._announce(url)
                )
                code = asyncio.run(family.run())
        raise typer.Exit(code)

    def _command(self, number: int, port: int, data_dir: Path) -> list[str]:
        """Return the command line of one of the processes."""
        own = {"port": port, "data_dir": processes.data_dir_of(data_dir, number)}
        given = self.given | own
        options = [
            f"--{name.replace('_', '-')}={value}"
            for name, value in given.items()
            if value is not None
        ]
        if self.role is Role.WORKER:
            return processes.this_program("worker", *options, *self.apps)
        return processes.this_program("serve", f"--role={self.role.value}", *options, *self.apps)


@contextlib.contextmanager
def _held(data_dir: Path, url: str) -> Iterator[DataFolderLock]:
    """Hold a data folder meanwhile."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = DataFolderLock(data_dir, url)
    except OSError as error:
        raise DataFolderUnusable(data_dir, error) from error
    try:
        yield lock
    finally:
        lock.release()


def supervise(found: Loaded, apps: list[str]) -> NoReturn:
    """Run the server as a child, again whenever an app or the settings file changes."""
    settings = found.settings
    given = sys.argv[sys.argv.index("serve") + 1 :]
    places = reloading.watched([*settings.apps, *apps], found.file)
    with contextlib.closing(listen(settings.host, settings.port)) as listener:
        listener.listen(BACKLOG)
        arguments = [each for each in given if each != "--reload"]
        raise typer.Exit(reloading.Supervisor(arguments, listener, places).run())


def secrets_of(settings: Settings) -> list[str]:
    """Return the settings' and the environment's secrets, which logs must never show."""
    secrets = [settings.jwt_secret, *settings.secrets.values()]
    own = [secret.get_secret_value() for secret in secrets if secret]
    return own + logging.secrets_of_environment(os.environ)
