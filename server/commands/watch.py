"""`tower watch`: events as they happen, a line each."""

from typing import Annotated, Final

import msgspec
import typer

from events.payloads import JsonObject
from server.client import Client, Event, Gap, Subscription
from server.client.feed import Since
from server.commands.event_line import event_line
from server.commands.listing import AsJson
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
            async with tower.subscribe(*wanted, since=start, types=types, deltas=deltas) as events:
                await _print(events, _Ends(wanted), as_json=json)

    forever(follow())


class _Ends:
    """Tells when there is nothing more to come: when every topic is a mission that has ended."""

    def __init__(self, topics: list[str]) -> None:
        missions = {each.removeprefix(MISSION) for each in topics if each.startswith(MISSION)}
        self._going_on = missions if len(missions) == len(set(topics)) else None

    def caught_up(self, snapshot: JsonObject) -> bool:
        """Everything older has come; those that are not active have ended."""
        if self._going_on is not None:
            self._going_on &= {each["mission_id"] for each in snapshot["missions"]}
        return self._over

    def after(self, event: Event) -> bool:
        """Return whether this was the last event."""
        if self._going_on is not None and event.ends(event.mission_id or ""):
            self._going_on.discard(event.mission_id or "")
        return self._over

    @property
    def _over(self) -> bool:
        return self._going_on is not None and not self._going_on


async def _print(events: Subscription, ends: _Ends, *, as_json: bool) -> None:
    """Print until nothing more can come."""
    if not events.replaying and ends.caught_up(events.snapshot):
        return
    async for event in events:
        if isinstance(event, Gap):
            _say_gap(event)
            continue
        if as_json:
            typer.echo(msgspec.json.encode(event).decode())
        else:
            line = event_line(event)
            out.print(line, markup=False, highlight=False, soft_wrap=True)
        if ends.after(event):
            return
        if event.type == "replay.done" and ends.caught_up(events.snapshot):
            return


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
