"""`tower watch`: events as they happen, a line each."""

from typing import Annotated, Final

import typer

from server.client import Client, Event, Gap
from server.client.feed import Since
from server.commands.event_line import event_line
from server.commands.listing import AsJson, show_json
from server.commands.place import Place, placed
from server.commands.terminal import err, forever, out
from server.commands.top import watch_table

EVERYTHING: Final = "system"
MISSION: Final = "mission:"


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

    Goes on by itself when the connection or the server was gone, without a gap. Of missions alone
    it shows the end, and ends with them.
    """
    if table:
        watch_table(place)
        return
    start: Since = "now" if since is None else since

    async def follow() -> None:
        async with place.client(patience_s=patience or 0.0) as tower:
            wanted = topics or [_widest(tower)]
            missions = [each.removeprefix(MISSION) for each in wanted if each.startswith(MISSION)]
            if len(missions) == len(wanted):
                feed = tower.follow(*missions, since=start, types=types, deltas=deltas)
            else:
                feed = tower.subscribe(*wanted, since=start, types=types, deltas=deltas)
            async with feed as events:
                async for event in events:
                    _print(event, as_json=json)

    forever(follow())


def _print(event: Event | Gap, *, as_json: bool) -> None:
    if isinstance(event, Gap):
        _say_gap(event)
    elif as_json:
        show_json(event)
    else:
        out.print(event_line(event), markup=False, highlight=False, soft_wrap=True)


def _widest(tower: Client) -> str:
    """Return the topic with all that we may see."""
    if tower.hello["role"] in {"operator", "viewer"}:
        return EVERYTHING
    return f"user:{tower.hello['user_id']}"


def _say_gap(gap: Gap) -> None:
    if gap.since is not None and gap.since > gap.offset:
        why = f"there is nothing after offset {gap.since} yet, or the log was replaced"
    elif gap.reason == "epoch_changed":
        why = "the log was replaced"
    else:
        why = "events that old are gone"
    left = f"; those left: --since {gap.floor}" if gap.floor is not None else ""
    said = f"gap: {why}; going on from offset {gap.offset}{left}"
    err.print(said, style="yellow", markup=False, highlight=False, soft_wrap=True)
