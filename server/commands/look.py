"""Commands for a server that runs: what it does, what happens."""

from typing import Annotated, Any

import msgspec
import typer

from events.payloads import JsonObject
from server.client import Client, ClientError
from server.commands.event_line import event_line
from server.commands.listing import AsJson, DataDir, Limit, ask_tower, show
from server.commands.terminal import out, plainly


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

    show(
        ask_tower(data_dir, question),
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

    show(
        ask_tower(data_dir, question),
        ("session_id", "user_id", "message_count", "last_activity", "title"),
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
    """Show events as they happen, a line each, until Ctrl-C. --json shows all that is in them."""

    async def question(tower: Client) -> None:
        params: dict[str, Any] = {"topics": topics or ["system"], "deltas": deltas, "since": since}
        await tower.call("subscribe", **params)
        async for event in tower.events():
            if json:
                typer.echo(msgspec.json.encode(event).decode())
            else:
                out.print(event_line(event), markup=False, highlight=False, soft_wrap=True)
        raise ClientError("disconnected", "The server went away.")

    ask_tower(data_dir, question)
