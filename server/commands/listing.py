"""Printing what a server said: as a table for people, or as JSON for programs."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from events.payloads import JsonObject
from server.commands.terminal import out, printable

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Folder of the database.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=200, help="How many at most.")]

SHOWN_CHARACTERS = 60
HEADINGS = {
    "mission_id": "id",
    "session_id": "id",
    "message_count": "messages",
    "priority": "prio",
    "created_at": "made",
    "last_activity": "active",
}
"""Short ones for the commonest columns, so that a row fits eighty of them."""


def show_json(value: object) -> None:
    """Print one line of JSON to standard output."""
    typer.echo(msgspec.json.encode(value).decode())


def show(
    rows: list[JsonObject],
    columns: tuple[str, ...],
    *,
    as_json: bool,
    nothing: str = "There are none.",
) -> None:
    """Print rows, as JSON with everything in them or as a table of some columns.

    Args:
        rows: what to print.
        columns: which of their fields the table has.
        as_json: print JSON.
        nothing: what to say of no rows.
    """
    if as_json:
        show_json(rows)
        return
    if not rows:
        out.print(nothing, markup=False, highlight=False)
        return
    cells = [[cell(name, row[name]) for name in columns] for row in rows]
    table = Table(box=None, pad_edge=False)
    for at, name in enumerate(columns):
        # The last one gives way where it is narrow (rich shrinks only what may be wrapped, which
        # its cells then are not): an id that is cut can't be typed.
        fixed = at < len(columns) - 1
        widest = max(len(heading(name)), *(len(row[at]) for row in cells)) if fixed else None
        table.add_column(heading(name), no_wrap=fixed, overflow="ellipsis", min_width=widest)
    for row in cells:
        table.add_row(*row)
    out.print(table)


def show_fields(thing: JsonObject, *, as_json: bool) -> None:
    """Print one thing: a line for each of its fields that says something."""
    if as_json:
        show_json(thing)
        return
    told = {name: value for name, value in thing.items() if value not in (None, [], {}, "")}
    width = max((len(name) for name in told), default=0)
    for name, value in told.items():
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        line = printable(text).replace("\n", "\n" + " " * (width + 2))
        out.print(f"{name:<{width}}  {line}", markup=False, highlight=False, soft_wrap=True)


def heading(name: str) -> str:
    """Return a column's heading."""
    return HEADINGS.get(name) or name.removesuffix("_at").removesuffix("_id").replace("_", " ")


def cell(name: str, value: object) -> Text:
    """Return a table's cell, as plain text that can't be markup."""
    if value is None:
        return Text("")
    text = str(value)
    if name.endswith(("_at", "_activity")):
        return Text(age(text))
    text = printable(" ".join(text.split()))
    short = len(text) <= SHOWN_CHARACTERS or name.endswith("_id")
    shown = text if short else text[: SHOWN_CHARACTERS - 1] + "…"
    return Text(shown, overflow="ellipsis", no_wrap=True)


def age(instant: str) -> str:
    """Return how far away an instant is, in its largest unit."""
    seconds = (datetime.fromisoformat(instant) - datetime.now(UTC)).total_seconds()
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if abs(seconds) >= size:
            count = int(abs(seconds) // size)
            return f"in {count} {unit}" if seconds > 0 else f"{count} {unit} ago"
    return "now"
