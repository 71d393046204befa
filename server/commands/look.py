"""Commands for a server that runs: what it does, what it asks, what happens."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from rich.table import Table

from events.payloads import JsonObject
from server.client import Client, ClientError
from server.commands.embedded import running_tower
from server.commands.terminal import loaded, out, plainly

T = TypeVar("T")

DataDir = Annotated[Path | None, typer.Option(help="Folder of the database.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Limit = Annotated[int, typer.Option(min=1, max=200, help="How many at most.")]

SHOWN_CHARACTERS = 60


def _ask(data_dir: Path | None, question: Callable[[Client], Awaitable[T]]) -> T:
    """Connect to the running server and ask it something."""
    settings = loaded({"data_dir": data_dir}).settings

    async def ask() -> T:
        async with running_tower(settings) as tower:
            return await question(tower)

    return asyncio.run(ask())


@plainly
def missions(
    session: Annotated[str | None, typer.Option(help="Of this session.")] = None,
    state: Annotated[str | None, typer.Option(help="In this state, e.g. running.")] = None,
    limit: Limit = 20,
    json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List missions, newest first."""
    params = {"session_id": session, "state": state, "limit": limit}

    async def question(tower: Client) -> list[JsonObject]:
        found: list[JsonObject] = (await tower.call("mission.list", **params))["missions"]
        return found

    _show(
        _ask(data_dir, question),
        ("mission_id", "state", "outcome", "agent", "priority", "created_at", "mission"),
        as_json=json,
    )


@plainly
def sessions(
    archived: Annotated[bool, typer.Option(help="Those in the archive.")] = False,
    limit: Limit = 20,
    json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List sessions, newest activity first."""

    async def question(tower: Client) -> list[JsonObject]:
        found: list[JsonObject] = await tower.call("session.list", archived=archived, limit=limit)
        return found

    _show(
        _ask(data_dir, question),
        ("session_id", "user_id", "message_count", "last_activity", "title"),
        as_json=json,
    )


@plainly
def approve(
    interrupt_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Which question; without: list them.")
    ] = None,
    no: Annotated[bool, typer.Option("--no", help="Refuse instead.")] = False,
    answer: Annotated[
        str | None, typer.Option(help="The answer to a question that wants words.")
    ] = None,
    message: Annotated[str | None, typer.Option(help="Why; the agent reads it.")] = None,
    json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Answer what a mission asks, or list what waits on a person.

    A confirmation is approved, or refused with --no. A clarification takes --answer.
    """

    async def question(tower: Client) -> list[JsonObject]:
        if interrupt_id is None:
            found: list[JsonObject] = (await tower.call("interrupt.list"))["interrupts"]
            return found
        if answer is not None:
            return [await tower.call("clarify", clarification_id=interrupt_id, answer=answer)]
        params: dict[str, Any] = {"approved": not no, "message": message}
        return [await tower.call("confirm", confirmation_id=interrupt_id, **params)]

    _show(
        _ask(data_dir, question),
        ("interrupt_id", "kind", "status", "mission_id", "expires_at", "message"),
        as_json=json,
    )


@plainly
def watch(
    topics: Annotated[
        list[str] | None,
        typer.Argument(help="system, session:ID, mission:ID or user:ID."),
    ] = None,
    since: Annotated[int | None, typer.Option(min=0, help="From after this offset on.")] = None,
    deltas: Annotated[bool, typer.Option(help="Streamed text, too.")] = False,
    json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show events as they happen, until Ctrl-C."""

    async def question(tower: Client) -> None:
        params: dict[str, Any] = {"topics": topics or ["system"], "deltas": deltas, "since": since}
        await tower.call("subscribe", **params)
        async for event in tower.events():
            if json:
                typer.echo(msgspec.json.encode(event).decode())
            else:
                out.print(_event_line(event), markup=False, highlight=False, soft_wrap=True)
        raise ClientError("disconnected", "The server went away.")

    try:
        _ask(data_dir, question)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _event_line(event: JsonObject) -> str:
    offset = event.get("offset", "")
    where = event["mission_id"] or event["session_id"] or ""
    text = msgspec.json.encode(event["data"]).decode()
    return f"{offset:>8} {event['at'][11:23]} {event['type']:<22} {where} {text}"


def _show(rows: list[JsonObject], columns: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.encode(rows).decode())
        return
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name.removesuffix("_at"), no_wrap=name.endswith("_id"), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(name, row[name]) for name in columns))
    out.print(table)


def _cell(name: str, value: object) -> str:
    if value is None:
        return ""
    text = str(value)
    if name.endswith(("_at", "_activity")):
        return _age(text)
    return text if len(text) <= SHOWN_CHARACTERS or name.endswith("_id") else text[:59] + "…"


def _age(instant: str) -> str:
    """Return how far away an instant is, in its largest unit."""
    seconds = (datetime.fromisoformat(instant) - datetime.now(UTC)).total_seconds()
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if abs(seconds) >= size:
            count = int(abs(seconds) // size)
            return f"in {count} {unit}" if seconds > 0 else f"{count} {unit} ago"
    return "now"
