"""One readable line an event."""

from typing import Any

import pytest

from events.payloads import EVENT_TYPES
from server.client import Event
from server.commands.event_line import event_line

MISSION = "m_01M840ZAF5FH9JB3ZNXWRCP56R"


def line(kind: str, **data: Any) -> str:
    """The line of an event."""
    at = "2026-11-23T10:59:33.989Z"
    return event_line(Event(type=kind, at=at, mission_id=MISSION, data=data))


@pytest.mark.parametrize(
    ("kind", "data", "told"),
    [
        ("mission.submitted", {"agent": "demo", "mission": "hi", "quota": {"a": 1}}, "demo  hi"),
        ("message.created", {"message": {"role": "user", "content": "hi", "x": 1}}, "user  hi"),
        ("step.failed", {"name": "calc", "error": {"code": "x", "message": "no"}}, "calc  no"),
        ("interrupt.resolved", {"interrupt_id": "i_1", "approved": False}, "i_1  false"),
        ("node.joined", {"node": "vm:1"}, "vm:1"),
    ],
)
def test_the_telling_fields_are_shown(kind: str, data: dict[str, Any], told: str) -> None:
    """When, whose, what, and nothing else."""
    assert line(kind, **data).split(maxsplit=3) == ["10:59:33", "m…RCP56R", kind, told]


@pytest.mark.parametrize("kind", list(EVENT_TYPES))
def test_no_event_is_long_or_moves_the_cursor(kind: str) -> None:
    """Whatever it carries."""
    long = "a\x1b[2J\n" * 2000
    names = ("name", "input", "output", "message", "result", "error", "cause", "text", "tool")
    said = line(kind, **dict.fromkeys(names, long))
    assert len(said) < 260
    assert "\x1b" not in said
    assert "\n" not in said
