"""The table of `tower top`: which missions there are, in what state, and what they have used.

Everything here is a function of what the server said and of the time.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from rich.table import Table
from rich.text import Text

from control_tower.states import State
from events.payloads import JsonObject
from server.commands.terminal import printable

ACTIVE: Final = ("running", "waiting", "ready", "blocked", "paused", "new")
"""The states that are shown, those that people look for first."""

STYLES: Final = {
    State.RUNNING: "green",
    State.WAITING: "bold yellow",
    State.PAUSED: "magenta",
    State.BLOCKED: "dim",
}
BAR_CELLS: Final = 8
PAIRS: Final = (
    ("llm_calls", "max_llm_calls"),
    ("tool_calls", "max_tool_calls"),
    ("input_tokens", "max_input_tokens"),
    ("output_tokens", "max_output_tokens"),
    ("cost_usd", "max_cost_usd"),
    ("children", "max_children"),
    ("events", "max_events"),
    ("elapsed_seconds", "timeout_seconds"),
)
"""What is used, and its limit in the quota."""


@dataclass(slots=True)
class Seen:
    """What the server said last.

    Attributes:
        missions: the active ones, in the order of :data:`ACTIVE`.
        counts: missions by state, of all users; empty if we may not know.
        chosen: the mission that keys act on.
        said: the outcome of the last key.
    """

    missions: list[JsonObject] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    chosen: str | None = None
    said: str = ""

    def move(self, steps: int) -> None:
        """Choose the mission so many rows further down."""
        ids = [mission["mission_id"] for mission in self.missions]
        if not ids:
            self.chosen = None
            return
        at = ids.index(self.chosen) if self.chosen in ids else -1 if steps > 0 else len(ids)
        self.chosen = ids[max(0, min(len(ids) - 1, at + steps))]


def process_table(seen: Seen, now: datetime, rows: int) -> Table:
    """Return the table, of at most so many rows."""
    table = Table(box=None, pad_edge=False, expand=True, header_style="bold reverse")
    for name in ("state", "prio", "user", "agent", "step", "used"):
        table.add_column(name, no_wrap=True)
    table.add_column("age", no_wrap=True, justify="right")
    table.add_column("mission", no_wrap=True, overflow="ellipsis", ratio=1)
    for mission in _window(seen, rows):
        chosen = mission["mission_id"] == seen.chosen
        table.add_row(*_cells(mission, now), style="reverse" if chosen else None)
    return table


def headline(seen: Seen) -> Text:
    """Return missions by state in one line."""
    if seen.counts:
        counts = seen.counts
    else:
        states = [mission["state"] for mission in seen.missions]
        counts = {state: states.count(state) for state in ACTIVE}
    text = Text()
    for state in ACTIVE:
        if count := counts.get(state, 0):
            text.append(f"{count} {state}  ", style=STYLES.get(State(state)))
    return text or Text("no missions")


def _window(seen: Seen, rows: int) -> list[JsonObject]:
    """Return the rows that fit, the chosen one among them."""
    ids = [mission["mission_id"] for mission in seen.missions]
    at = ids.index(seen.chosen) if seen.chosen in ids else 0
    first = max(0, at - rows + 1)
    return seen.missions[first : first + rows]


def _cells(mission: JsonObject, now: datetime) -> list[Text]:
    state = State(mission["state"])
    return [
        Text(state.value, style=STYLES.get(state, "")),
        Text(mission["priority"]),
        _clipped(mission["user_id"], 10),
        _clipped(mission["agent"], 10),
        Text(str(mission["current_step"] or "")),
        used_bar(mission["usage"], mission["quota"]),
        Text(span((now - datetime.fromisoformat(mission["created_at"])).total_seconds())),
        Text(printable(" ".join(mission["mission"].split()))),
    ]


def _clipped(text: str, cells: int) -> Text:
    clipped = Text(printable(text))
    clipped.truncate(cells, overflow="ellipsis")
    return clipped


def used_share(usage: JsonObject, quota: JsonObject) -> float:
    """Return how much is used of the limit that is nearest, from 0 to 1."""
    shares = [
        min(1.0, usage.get(used, 0) / quota[limit]) if quota[limit] > 0 else 1.0
        for used, limit in PAIRS
        if quota.get(limit) is not None
    ]
    return max(shares, default=0.0)


def used_bar(usage: JsonObject, quota: JsonObject) -> Text:
    """Return the share as a bar with its percents."""
    share = used_share(usage, quota)
    full = round(share * BAR_CELLS)
    style = "red" if share >= 0.95 else "yellow" if share >= 0.8 else "green"
    bar = Text("█" * full, style=style)
    bar.append("░" * (BAR_CELLS - full), style="dim")
    return bar.append(f" {share:4.0%}")


def span(seconds: float) -> str:
    """Return a time as people read it at a glance: 7s, 3:05, 2:10:00, 4d."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02}"
    if whole < 86_400:
        return f"{whole // 3600}:{whole % 3600 // 60:02}:{whole % 60:02}"
    return f"{whole // 86_400}d"
