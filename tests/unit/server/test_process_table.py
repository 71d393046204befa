"""The table of `tower top`: what it shows, what is chosen, what a terminal's keys are."""

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from server.commands.keyboard import keys_of
from server.commands.process_table import (
    Seen,
    headline,
    process_table,
    span,
    used_bar,
    used_share,
)

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


def mission(number: int, **more: Any) -> dict[str, Any]:
    """A control block, as far as the table reads it."""
    return {
        "mission_id": f"m_{number}",
        "state": "running",
        "priority": "normal",
        "user_id": "ada",
        "agent": "demo",
        "current_step": "2.1",
        "created_at": "2026-11-27T11:58:55.000Z",
        "mission": f"mission {number}",
        "usage": {"tool_calls": 85, "llm_calls": 1},
        "quota": {"max_tool_calls": 100, "max_llm_calls": 50, "max_cost_usd": None},
        **more,
    }


def shown(seen: Seen, rows: int = 10, width: int = 80) -> str:
    """What stands on the screen."""
    console = Console(file=io.StringIO(), width=width)
    console.print(process_table(seen, NOW, rows))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_row_tells_all_on_one_line() -> None:
    """In eighty columns, whatever the mission says."""
    text = shown(Seen([mission(1, mission="calculate [bold]\x1b[2J\n" * 9, user_id="u" * 99)]))
    lines = text.splitlines()
    assert len(lines) == 2
    assert max(len(line) for line in lines) <= 80
    for told in ("running", "normal", "demo", "2.1", "85%", "1:05", "calculate [bold]"):
        assert told in lines[1]
    assert "\x1b" not in text


def test_the_chosen_row_is_among_those_that_fit() -> None:
    """The table moves with it, and the ends hold."""
    seen = Seen([mission(number) for number in range(9)])
    assert "mission 8" not in shown(seen, rows=3)
    seen.move(1)
    assert seen.chosen == "m_0"
    seen.move(-1)
    assert seen.chosen == "m_0"
    for _ in range(20):
        seen.move(1)
    assert seen.chosen == "m_8"
    assert "mission 8" in shown(seen, rows=3)
    assert "mission 0" not in shown(seen, rows=3)
    empty = Seen(chosen="m_0")
    empty.move(1)
    assert empty.chosen is None


def test_the_nearest_limit_is_the_share() -> None:
    """No limit is no share; used up is all of it."""
    assert used_share({"tool_calls": 5, "llm_calls": 40}, mission(1)["quota"]) == 0.8
    assert used_share({"tool_calls": 500}, mission(1)["quota"]) == 1
    assert used_share({"tool_calls": 5}, {"max_tool_calls": None}) == 0
    assert used_share({}, {"max_tool_calls": 0}) == 1
    assert used_bar({"tool_calls": 50}, {"max_tool_calls": 100}).plain == "████░░░░  50%"


def test_the_headline_counts_by_state() -> None:
    """Everybody's if we may know, else those in the table."""
    assert headline(Seen()).plain == "no missions"
    assert headline(Seen([mission(1), mission(2)])).plain.strip() == "2 running"
    counted = Seen([mission(1)], counts={"running": 7, "waiting": 2})
    assert headline(counted).plain.split() == ["7", "running", "2", "waiting"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-3, "0s"), (59.9, "59s"), (65, "1:05"), (7800, "2:10:00"), (4 * 86_400, "4d")],
)
def test_times_are_read_at_a_glance(seconds: float, said: str) -> None:
    """In as few characters as can be."""
    assert span(seconds) == said


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        ("\x1b[A\x1b[Bq", ["up", "down", "q"]),
        ("\x1bOA", ["up"]),
        ("\x1b[1;5C\x1b[3~p", ["p"]),
        ("\x1b", []),
        ("yy", ["y", "y"]),
    ],
)
def test_keys_come_in_pieces(typed: str, keys: list[str]) -> None:
    """Several at once, with some that mean nothing here."""
    assert keys_of(typed) == keys
