"""A mission on the terminal: what is shown, what is asked, what is answered."""

import io
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from rich.console import Console

from server.client import Client, ClientError, Event, Gap
from server.client.methods import Methods
from server.commands.conversation import Conversation


class ScriptedTower(Methods):
    """A client whose events are known beforehand; it keeps what it is called with."""

    def __init__(self, *events: Event | Gap, refuse: str | None = None) -> None:
        self._events = events
        self._refuse = refuse
        self.calls: list[tuple[str, dict[str, Any]]] = []

    async def call(self, method: str, **params: Any) -> Any:
        """Keep the call."""
        given = {name: value for name, value in params.items() if value is not None}
        self.calls.append((method, given))
        if method == self._refuse:
            raise ClientError("conflict", "Somebody else was faster.")
        return {"status": "completed"}

    async def events(self) -> AsyncIterator[Event | Gap]:
        """Yield the script."""
        for event in self._events:
            yield event


def event(kind: str, /, **data: Any) -> Event:
    """An event of mission m."""
    return Event(type=kind, mission_id="m", data=data)


def delta(at: int, text: str) -> Event:
    """A piece of text."""
    return event("llm.delta", step=None, attempt=1, at=at, text=text)


END = event("mission.completed", result="done")


async def follow(tower: ScriptedTower, typed: str | None = None, *, quiet: bool = False) -> str:
    """Follow the script; return what was shown."""
    shown = io.StringIO()
    lines = iter((typed or "").splitlines())

    async def keyboard() -> str | None:
        return next(lines, None)

    conversation = Conversation(
        cast("Client", tower),
        Console(file=shown, width=120),
        None if typed is None else keyboard,
        quiet=quiet,
    )
    await conversation.follow("m", tower.events())
    return shown.getvalue()


async def test_steps_are_shown_as_they_happen() -> None:
    """Begun, done with its time, failed; long values cut; others' events left out."""
    shown = await follow(
        ScriptedTower(
            event("mission.queued", position=2, cause="slots"),
            event("step.started", name="calc", input={"x": [1]}),
            event("step.completed", name="calc", output="y" * 500, duration_ms=12.3),
            event("step.failed", name="calc", error={"message": "no [luck]"}),
            event("mission.blocked", cause="sleep"),
            event("mission.recovered", attempt=2, replayed_steps=7),
            event("artifact.created", name="a.txt", size=3),
            event("mission.progress", name="half"),
            Event(type="step.started", mission_id="other", data={"name": "x", "input": 1}),
            END,
        ),
    )
    assert 'calc {"x":[1]}' in shown
    assert "12 ms" in shown
    assert "no [luck]" in shown
    assert "position 2" in shown
    assert "7 steps replayed" in shown
    assert "a.txt, 3 bytes" in shown
    assert "…" in shown
    assert "y" * 300 not in shown.replace("\n", "")


async def test_text_streams() -> None:
    """In one piece, on lines of its own."""
    shown = await follow(
        ScriptedTower(
            delta(0, "Hel"),
            delta(3, "lo"),
            event("step.started", name="calc", input=1),
            END,
        ),
    )
    assert shown.splitlines()[0] == "Hello"


async def test_text_that_comes_again_is_not_shown_again() -> None:
    """After a lost connection; a new attempt is shown anew, what an old one still says is not."""
    again = Event(
        type="llm.delta",
        mission_id="m",
        data={"step": None, "attempt": 2, "at": 0, "text": "Good day"},
    )
    shown = await follow(
        ScriptedTower(delta(0, "Hel"), delta(0, "Hello"), again, delta(5, " old"), END)
    )
    assert shown.splitlines() == ["Hello", "Good day"]


async def test_a_person_sees_the_whole_call_before_they_approve_it() -> None:
    """Whatever the message leaves out."""
    arguments = {"name": "x" * 500 + "[end]"}
    raised = event(
        "interrupt.raised",
        interrupt_id="i",
        kind="confirmation",
        message="Run pay?",
        tool="pay",
        arguments=arguments,
    )
    shown = await follow(ScriptedTower(raised, END), "yes")
    before = shown.partition("approve?")[0]
    assert 'pay {"name":"' + arguments["name"] + '"}' in before


@pytest.mark.parametrize("quiet", [True, False])
async def test_a_result_that_was_streamed_whole_was_seen(quiet: bool) -> None:
    """So that a terminal need not show it twice; unless nothing is shown."""
    tower = ScriptedTower(delta(0, "Hel"), event("mission.progress", name="x"), delta(3, "lo"), END)
    conversation = Conversation(
        cast("Client", tower), Console(file=io.StringIO()), None, quiet=quiet
    )
    await conversation.follow("m", tower.events())
    assert conversation.showed("Hello") is not quiet
    assert not conversation.showed("lo")
    assert not conversation.showed({"a": 1})


@pytest.mark.parametrize(
    ("typed", "approved"),
    [
        ("yes\n", True),
        (" Y \n", True),
        ("no\n", False),
        ("N\n", False),
        ("\n", False),
        ("yess\nsure\nYES\n", True),
        ("yess\nn\n", False),
    ],
)
async def test_a_yes_or_a_no_is_asked_for(typed: str, approved: bool) -> None:
    """Enter is no; a slip is asked again, and neither approves nor refuses."""
    tower = ScriptedTower(
        event("interrupt.raised", interrupt_id="i", kind="confirmation", message="Delete?"), END
    )
    shown = await follow(tower, typed)
    assert shown.count("approve?") == len(typed.splitlines())
    assert tower.calls[0] == ("confirm", {"confirmation_id": "i", "approved": approved})


async def test_words_are_asked_for_until_there_are_some() -> None:
    """An empty line is no answer."""
    tower = ScriptedTower(
        event(
            "interrupt.raised",
            interrupt_id="i",
            kind="clarification",
            message="Which?",
            options=["red", "blue"],
        ),
        END,
    )
    shown = await follow(tower, "\n  \nred\n")
    assert "- red" in shown
    assert tower.calls[0] == ("clarify", {"clarification_id": "i", "answer": "red"})


@pytest.mark.parametrize(
    ("kind", "typed", "answer"),
    [
        ("resource_exhausted", "more\nfinish\n", {"decision": "finish"}),
        (
            "resource_exhausted",
            "extend\nextend much\nextend 5\n",
            {"decision": "extend", "quota": {"max_tool_calls": 5}},
        ),
        ("unknown_outcome", "it_happened\n", {"decision": "it_happened"}),
        (
            "unknown_outcome",
            'it_happened {\nit_happened {"id": 7}\n',
            {"decision": "it_happened", "result": {"id": 7}},
        ),
        ("unknown_outcome", "retry now\nretry\n", {"decision": "retry"}),
    ],
)
async def test_decisions_are_exact_words(kind: str, typed: str, answer: dict[str, Any]) -> None:
    """Asked again until it is one of them, with what belongs to it."""
    raised = event(
        "interrupt.raised", interrupt_id="i", kind=kind, message="Now?", resource="tool_calls"
    )
    tower = ScriptedTower(raised, END)
    await follow(tower, typed)
    assert tower.calls[0] == ("interrupt.answer", {"interrupt_id": "i", **answer})


async def test_a_late_answer_is_said_and_nothing_worse() -> None:
    """Somebody else answered in the chat."""
    tower = ScriptedTower(
        event("interrupt.raised", interrupt_id="i", kind="confirmation", message="Delete?"),
        END,
        refuse="confirm",
    )
    assert "Somebody else was faster." in await follow(tower, "yes\n")


async def test_nobody_there_leaves_it_waiting() -> None:
    """The question is shown, no answer is made up."""
    tower = ScriptedTower(
        event("interrupt.raised", interrupt_id="i", kind="confirmation", message="Delete?"), END
    )
    assert "Delete?" in await follow(tower)
    assert [method for method, _ in tower.calls] == ["mission.get"]


async def test_a_closed_keyboard_leaves_it_waiting() -> None:
    """Ctrl-D is nobody, not a no."""
    tower = ScriptedTower(
        event("interrupt.raised", interrupt_id="i", kind="confirmation", message="Delete?"), END
    )
    assert "approve?" in await follow(tower, "")
    assert [method for method, _ in tower.calls] == ["mission.get"]


async def test_a_gap_that_held_the_end_is_the_end() -> None:
    """Nothing more comes, and the result is asked for."""
    gap = Gap(
        reason="history_gap", since=1, floor=5, offset=9, epoch="e", snapshot={"missions": []}
    )
    tower = ScriptedTower(delta(0, "Hel"), gap)
    assert await follow(tower) == "Hel\n"
    assert [method for method, _ in tower.calls] == ["mission.get"]


async def test_quiet_shows_questions_and_no_steps() -> None:
    """A person who is asked must see what."""
    tower = ScriptedTower(
        event("step.started", name="calc", input=1),
        delta(0, "Hello"),
        event("interrupt.raised", interrupt_id="i", kind="confirmation", message="Delete?"),
        END,
    )
    shown = await follow(tower, "yes\n", quiet=True)
    assert "Delete?" in shown
    assert "calc" not in shown
    assert "Hello" not in shown
