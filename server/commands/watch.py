"""`tower watch`: events as they happen, a line each."""

from typing import Annotated, Final

import msgspec
import typer

from server.client import Client, Gap
from server.client.feed import Since
from server.commands.event_line import event_line
from server.commands.listing import AsJson
from server.commands.place import Place, placed
from server.commands.terminal import err, forever, out
from server.commands.top import watch_table

EVERYTHING: Final = "system"


@placed
def watch(
    place: Place,
    topics: Annotated[
        list[str] | None,
        typer.Argument(help="system (all, the default), session:ID, mission:ID or user:NAME."),
    ] = None,
    since: Annotated[int | None, typer.Option(min=0, help="From after this offset on.")] = None,
    types: Annotated[
        list[str] | None, typer.Option("--type", help="Only these, as mission.*; may be repeated.")
    ] = None,
    deltas: Annotated[bool, typer.Option("--deltas", help="Streamed text, too.")] = False,
    patience: Annotated[
        float | None,
        typer.Option(min=0, help="End when the server is away for so many seconds."),
    ] = None,
    table: Annotated[
        bool, typer.Option("--table", help="The table of missions instead, as tower top.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Show events as they happen, a line each, until Ctrl-C. --json shows all that is in them.

    Goes on by itself when the connection or the server was gone, without a gap.
    """
    if table:
        watch_table(place)
        return
    start: Since = "now" if since is None else since

    async def follow() -> None:
        async with place.client(patience_s=patience or 0.0) as tower:
            wanted = topics or [await _widest(tower)]
            async with tower.subscribe(*wanted, since=start, types=types, deltas=deltas) as events:
                async for event in events:
                    if isinstance(event, Gap):
                        _say_gap(event)
                    elif json:
                        typer.echo(msgspec.json.encode(event).decode())
                    else:
                        line = event_line(event)
                        out.print(line, markup=False, highlight=False, soft_wrap=True)

    forever(follow())


async def _widest(tower: Client) -> str:
    """Return the topic with all that we may see."""
    if tower.hello["role"] in {"operator", "viewer"}:
        return EVERYTHING
    return f"user:{tower.hello['user_id']}"


def _say_gap(gap: Gap) -> None:
    why = "the log was replaced" if gap.reason == "epoch_changed" else "events that old are gone"
    left = f"; those left: --since {gap.floor}" if gap.floor is not None else ""
    said = f"gap: {why}; going on from offset {gap.offset}{left}"
    err.print(said, style="yellow", markup=False, highlight=False, soft_wrap=True)
