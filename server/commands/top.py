"""`tower top`: the missions of a server, live."""

import asyncio
import contextlib
import sys
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Final

from rich.console import Group
from rich.live import Live
from rich.text import Text

from events.payloads import JsonObject
from server.client import Client, ClientError, Status
from server.commands.keyboard import pressed_keys
from server.commands.listing import AsJson, show_json
from server.commands.place import Place, placed
from server.commands.process_table import ACTIVE, Seen, headline, process_table
from server.commands.terminal import forever, out

REFRESH_S: Final = 1.0
"""At most so often the server is asked, and the ages grow."""
STALE_S: Final = 10.0
"""Without any event it is asked so often."""
MOST: Final = 100
CHROME_ROWS: Final = 4
KEYS: Final = "↑↓ choose  p pause or resume  c cancel  + − priority  q quit"
PRIORITIES: Final = ("idle", "low", "normal", "high", "realtime")
PASSING: Final = frozenset({"disconnected", "timeout", "unavailable", "rate_limited"})
"""Errors that a server which comes back makes good."""
MATTERS: Final = ["mission.*", "step.*", "interrupt.*", "quota.*"]


@placed
def top(place: Place, json: AsJson = False) -> None:
    """Show the missions that are not over, live, with what they have used of their quota.

    Where nobody looks, and with --json, it prints them once.
    """
    watch_table(place, as_json=json)


def watch_table(place: Place, *, as_json: bool = False) -> None:
    """Show the table until it is left; off a terminal, print it once."""
    seen_live = sys.stdout.isatty() and sys.stdin.isatty() and not out.is_dumb_terminal
    forever(_live(place) if seen_live and not as_json else _once(place, as_json=as_json))


async def _once(place: Place, *, as_json: bool) -> None:
    async with place.client() as tower:
        seen = await look(tower, Seen())
    if as_json:
        show_json(seen.missions)
        return
    out.print(headline(seen))
    if seen.missions:
        out.print(process_table(seen, datetime.now(UTC), MOST * len(ACTIVE)))


async def _live(place: Place) -> None:
    screen = Screen(place.address()[0])
    async with place.client(on_status=screen.told) as tower:
        await screen.run(tower)


async def look(tower: Client, seen: Seen) -> Seen:
    """Ask what there is; what was chosen stays so while it is there."""
    missions: list[JsonObject] = []
    for state in ACTIVE:
        missions += await tower.missions(state=state, limit=MOST)
    seen.missions = missions
    seen.counts = {}
    if tower.hello["role"] in {"operator", "viewer"}:
        seen.counts = (await tower.status())["processes"]
    if seen.chosen not in [mission["mission_id"] for mission in missions]:
        seen.chosen = None
    return seen


class Screen:
    """The live table, and the keys that act on it."""

    _tower: Client

    def __init__(self, where: str) -> None:
        self._where = where
        self._seen = Seen()
        self._stale = asyncio.Event()
        self._redraw = asyncio.Event()
        self._quit = False
        self._sure_of: str | None = None

    async def run(self, tower: Client) -> None:
        """Show it until q is pressed."""
        self._tower = tower
        events = asyncio.create_task(self._notice())
        keys = asyncio.create_task(self._obey())
        refreshing = asyncio.create_task(self._refresh())
        tasks = {events, keys, refreshing}
        try:
            with Live(screen=True, auto_refresh=False, console=out) as live:
                while not self._quit:
                    live.update(self._picture(), refresh=True)
                    self._redraw.clear()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(REFRESH_S):
                            await self._redraw.wait()
                    for task in tasks:
                        if task.done():
                            task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def told(self, status: Status) -> None:
        """Show that the server is away, or back."""
        self._seen.said = "" if status.state == "live" else f"{status.reason}; trying again"
        self._redraw.set()

    def _picture(self) -> Group:
        rows = max(1, out.size.height - CHROME_ROWS)
        head = Text.assemble(
            ("Control Tower", "bold"), f" at {self._where}   ", headline(self._seen)
        )
        head.truncate(out.size.width)
        foot = Text(self._seen.said or KEYS, style="bold" if self._seen.said else "dim")
        foot.truncate(out.size.width)
        return Group(head, process_table(self._seen, datetime.now(UTC), rows), foot)

    async def _notice(self) -> None:
        """Note that something happened, as the server tells it."""
        hello = self._tower.hello
        everything = hello["role"] in {"operator", "viewer"}
        topic = "system" if everything else f"user:{hello['user_id']}"
        async with self._tower.subscribe(topic, types=MATTERS, deltas=False) as events:
            async for _ in events:
                self._stale.set()

    async def _refresh(self) -> None:
        trouble = None
        while True:
            try:
                await look(self._tower, self._seen)
                if self._seen.said == trouble:
                    self._seen.said = ""
            except ClientError as error:
                if error.code not in PASSING:
                    raise
                self._seen.said = trouble = error.message
            self._redraw.set()
            await asyncio.sleep(REFRESH_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STALE_S):
                    await self._stale.wait()
            self._stale.clear()

    async def _obey(self) -> None:
        async for key in pressed_keys():
            sure, self._sure_of = self._sure_of, None
            self._seen.said = ""
            match key:
                case "q":
                    self._quit = True
                case "up" | "k":
                    self._seen.move(-1)
                case "down" | "j":
                    self._seen.move(1)
                case "y" if sure is not None:
                    await self._do(self._tower.cancel(sure, "cancelled in tower top"))
                case "c" | "p" | "+" | "-":
                    await self._act(key)
            self._redraw.set()
        self._quit = True

    async def _act(self, key: str) -> None:
        """Do to the chosen mission what a key stands for."""
        chosen = next(
            (m for m in self._seen.missions if m["mission_id"] == self._seen.chosen), None
        )
        if chosen is None:
            self._seen.said = "Choose a mission first, with the arrows."
            return
        mission_id = chosen["mission_id"]
        if key == "c":
            self._sure_of = mission_id
            self._seen.said = f"Cancel {mission_id}? y"
        elif key == "p":
            paused = chosen["state"] == "paused"
            change = self._tower.resume if paused else self._tower.pause
            await self._do(change(mission_id))
        else:
            at = PRIORITIES.index(chosen["priority"]) + (1 if key == "+" else -1)
            if 0 <= at < len(PRIORITIES):
                await self._do(self._tower.set_priority(mission_id, PRIORITIES[at]))

    async def _do(self, command: Awaitable[JsonObject]) -> None:
        """Make a call; say what the server says against it."""
        try:
            await command
        except ClientError as error:
            self._seen.said = error.message
        self._stale.set()
