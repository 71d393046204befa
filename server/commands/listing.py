"""Asking a server that runs, and printing what it says: as a table for people, or as JSON."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer
from rich.table import Table

from events.payloads import JsonObject
from server.client import Client
from server.commands.embedded import running_tower
from server.commands.terminal import loaded, out

T = TypeVar("T")

DataDir = Annotated[Path | None, typer.Option(help="Folder of the database.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Limit = Annotated[int, typer.Option(min=1, max=200, help="How many at most.")]

SHOWN_CHARACTERS = 60


def ask_tower(data_dir: Path | None, question: Callable[[Client], Awaitable[T]]) -> T:
    """Connect to the running server and ask it something."""
    settings = loaded({"data_dir": data_dir}).settings

    async def ask() -> T:
        async with running_tower(settings) as tower:
            return await question(tower)

    return asyncio.run(ask())


def show(rows: list[JsonObject], columns: tuple[str, ...], *, as_json: bool) -> None:
    """Print rows, as JSON with everything in them or as a table of some columns."""
    if as_json:
        show_json(rows)
        return
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name.removesuffix("_at"), no_wrap=name.endswith("_id"), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(name, row[name]) for name in columns))
    out.print(table)


def show_json(value: object) -> None:
    """Print a JSON value on one line."""
    typer.echo(msgspec.json.encode(value).decode())


def _cell(name: str, value: object) -> str:
    if value is None:
        return ""
    text = str(value)
    if name.endswith(("_at", "_activity")):
        return age(text)
    return text if len(text) <= SHOWN_CHARACTERS or name.endswith("_id") else text[:59] + "…"


def age(instant: str) -> str:
    """Return how far away an instant is, in its largest unit."""
    seconds = (datetime.fromisoformat(instant) - datetime.now(UTC)).total_seconds()
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if abs(seconds) >= size:
            count = int(abs(seconds) // size)
            return f"in {count} {unit}" if seconds > 0 else f"{count} {unit} ago"
    return "now"
