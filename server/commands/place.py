"""Which server a command talks to: the one at --url, else the one that serves the data folder.

A command takes a :class:`Place`; :func:`placed` turns that into the options that say which.
"""

import asyncio
import inspect
import shlex
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from control_tower.store import Holder, holder_of
from server.client import Client, ClientError, Status
from server.commands.listing import DataDir
from server.commands.terminal import err, loaded, plainly

T = TypeVar("T")

UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="TOWER_URL",
        help="Address of a server. Without: the one that serves the data folder.",
    ),
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="TOWER_TOKEN",
        help="Credentials for --url. Others can see arguments: better set the variable.",
    ),
]

SAID_AFTER_S = 1.0
"""A shorter wait is not worth a line."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server is.

    Attributes:
        url: as given; None for the data folder's.
        token: goes with ``url``.
        data_dir: as given; None for the settings'.
    """

    url: str | None = None
    token: str | None = None
    data_dir: Path | None = None

    @property
    def again(self) -> str:
        """The options that name the same place once more, from a space on; never the token."""
        if self.url:
            return f" --url {shlex.quote(self.url)}"
        return f" --data-dir {shlex.quote(str(self.data_dir))}" if self.data_dir else ""

    def client(
        self,
        *,
        patience_s: float | None = 0.0,
        on_status: Callable[[Status], None] | None = None,
    ) -> Client:
        """Return a client of the server. A data folder is asked anew at each connect."""
        folder = None if self.url else self.folder()
        return Client(
            self.url or (lambda: _holder(folder).url),
            self.token if self.url else (lambda: _holder(folder).token),
            name="tower",
            patience_s=patience_s,
            on_status=on_status or say_status,
        )

    def address(self) -> tuple[str, str | None]:
        """Return the server's address and the token for it.

        Raises:
            ClientError: if none is named, and none serves the data folder.
        """
        if self.url:
            return self.url.rstrip("/"), self.token
        holder = _holder(self.folder())
        return holder.url, holder.token

    def folder(self) -> Path:
        """Return the data folder."""
        return loaded({"data_dir": self.data_dir}).settings.data_dir


def ask(place: Place, question: Callable[[Client], Awaitable[T]]) -> T:
    """Connect to the server, ask it something, and return what it said."""

    async def connected() -> T:
        async with place.client() as tower:
            return await question(tower)

    return asyncio.run(connected())


def placed(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command with a ``place`` the options --url, --token and --data-dir instead.

    It also ends :func:`~server.commands.terminal.plainly`.
    """

    @plainly
    @wraps(command)
    def run(
        *args: Any, url: str | None, token: str | None, data_dir: Path | None, **kwargs: Any
    ) -> None:
        command(*args, place=Place(url, token, data_dir), **kwargs)

    given = inspect.signature(command)
    hints = get_type_hints(command, include_extras=True)
    options = {"url": UrlOption, "token": TokenOption, "data_dir": DataDir}
    kept = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[parameter.name])
        for parameter in given.parameters.values()
        if parameter.name != "place"
    ]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option)
        for name, option in options.items()
    ]
    run.__signature__ = inspect.Signature([*kept, *added])  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in [*kept, *added]}
    return run


def say_status(status: Status) -> None:
    """Tell a person that the server is away, so that silence is not taken for peace."""
    if status.state == "lost" and status.wait_s >= SAID_AFTER_S:
        said = f"{status.reason}; trying again in {status.wait_s:.0f} s"
        err.print(said, style="dim", markup=False, highlight=False, soft_wrap=True)


def _holder(folder: Path | None) -> Holder:
    holder = holder_of(folder) if folder is not None else None
    if holder is None:
        raise ClientError(
            "unavailable",
            f"no server runs over {folder}; start one with tower serve, or name one with --url",
        )
    return holder
