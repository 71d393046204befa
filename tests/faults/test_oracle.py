"""The judge of the kill tests: one true story, and every way in which it could be wrong."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.faults.crowd import Watcher
from tests.faults.oracle import Log, judge
from tests.faults.people import Shared
from tests.faults.witness import Event, Ledger, Sink

Story = list[Event]

SCRIPT = [["charge", "k-1", 0, 0], ["ask", "k-2"], ["leave", "k-3", [["refund", "k-5", 0, 0]]]]
MISSION = json.dumps({"key": "k", "script": SCRIPT})


class Nowhere:
    """A place without a server."""

    async def ws_url(self) -> str:
        """Never asked for."""
        raise AssertionError

    async def all_awake(self) -> None:
        """Nobody is ever asleep here."""

    def notice(self, what: str) -> None:
        """Nothing is killed."""


def said(event_type: str, pid: str | None = "m", /, **data: Any) -> Event:
    """Return an event, its offset to be given."""
    at = "2026-01-01T00:00:00.000Z"
    scope = {"mission_id": pid, "session_id": "s", "user_id": "a"}
    return {"type": event_type, "at": at, "data": data} | scope


def step(kind: str, number: str, name: str, pid: str = "m", **data: Any) -> Event:
    """Return an event of a step."""
    return said(f"step.{kind}", pid, step=number, kind="tool", name=name, **data)


def true_story() -> Story:
    """A mission with an effect that was in doubt, a question, and a child that ends with it."""
    charge = {"label": "k-1", "before_ms": 0, "after_ms": 0}
    refund = {"label": "k-5", "before_ms": 0, "after_ms": 0}
    return [
        said("node.joined", None, node="n"),
        said("mission.submitted", mission=MISSION, parent_id=None),
        said("mission.started", attempt=1),
        step("started", "1", "charge", input=charge, attempt=1),
        said("node.joined", None, node="n"),
        said("mission.recovered", attempt=2),
        said(
            "interrupt.raised",
            interrupt_id="i1",
            kind="unknown_outcome",
            step="1",
            tool="charge",
            arguments=charge,
        ),
        said("interrupt.resolved", interrupt_id="i1", kind="unknown_outcome", decision="retry"),
        step("started", "1", "charge", input=charge, attempt=2),
        step("completed", "1", "charge", output="k-1 done"),
        said("interrupt.raised", interrupt_id="i2", kind="clarification", step="2", message="k-2"),
        said("interrupt.resolved", interrupt_id="i2", kind="clarification", answer="words for k-2"),
        step("completed", "2", "clarify", output="words for k-2"),
        said("mission.submitted", "c", mission="{}", parent_id="m"),
        said("mission.started", "c", attempt=1),
        said(
            "interrupt.raised",
            "c",
            interrupt_id="i3",
            kind="confirmation",
            step="1",
            tool="refund",
            arguments=refund,
        ),
        said("mission.completed", result=json.dumps(["k-1 done", "words for k-2", "k-3"])),
        said("node.joined", None, node="n"),
        said("interrupt.cancelled", "c", interrupt_id="i3", kind="confirmation"),
        said("mission.cancelled", "c", reason="its parent ended"),
    ]


class Court:
    """A story with everything that its judge compares it with."""

    def __init__(self, folder: Path) -> None:
        self.story = true_story()
        self.ledger = Ledger(folder / "ledger")
        self.sink = Sink(folder / "sink")
        shared = Shared(Nowhere(), self.ledger, self.sink, Random(0), itertools.count(1))
        self.watcher = Watcher("operator", shared, ["system"], 0)
        self.ledger.missions["k"] = (MISSION, "worker")
        self.ledger.submitted["k"] = {"mission_id": "m", "offset": 2, "duplicate": False}
        self.ledger.answered["i2"] = {"answer": "words for k-2"}
        self.acts("k-1", attempt=2)
        for event, text in self.log():
            self.watcher.received.append(event["offset"])
            self.ledger.saw("operator", event["offset"], text)

    def acts(self, label: str, **facts: object) -> None:
        """An effect happens."""
        with self.sink.path.open("a") as file:
            file.write(json.dumps({"label": label, **facts}) + "\n")

    def log(self) -> Log:
        """Return the story as the server tells it."""
        events = [event | {"offset": place} for place, event in enumerate(self.story, 1)]
        return [(event, json.dumps(event)) for event in events]

    def judge(self) -> list[str]:
        """Return what is wrong."""
        return judge(self.log(), [self.watcher], self.ledger, self.sink).wrong


def test_a_true_story_is_believed(tmp_path: Path) -> None:
    """Nothing is wrong with it."""
    assert Court(tmp_path).judge() == []


def _place(court: Court, kind: str, last: bool = False) -> int:
    places = [place for place, event in enumerate(court.story) if event["type"] == kind]
    return places[-1 if last else 0]


def lose_an_event(court: Court) -> None:
    """One that was seen is gone, and all others have moved."""
    del court.story[3]


def tell_it_otherwise(court: Court) -> None:
    """One that was seen has another body now."""
    court.story[2]["data"]["attempt"] = 7


def miss_one(court: Court) -> None:
    """A client did not get one."""
    court.watcher.received.remove(4)


def lose_a_submit(court: Court) -> None:
    """Acknowledged, and not there."""
    court.ledger.submitted["x"] = {"mission_id": "gone", "offset": 3, "duplicate": False}


def lose_an_answer(court: Court) -> None:
    """Acknowledged, and another one counted."""
    court.ledger.answered["i2"] = {"answer": "something else"}


def lose_a_cancel(court: Court) -> None:
    """Acknowledged, and the mission goes on."""
    court.ledger.cancelled.add("m")
    del court.story[_place(court, "mission.completed")]


def end_twice(court: Court) -> None:
    """Two terminal events."""
    court.story.append(said("mission.failed", error={}))


def speak_after_the_end(court: Court) -> None:
    """An event behind the terminal one."""
    court.story.append(said("mission.progress"))


def act_twice(court: Court) -> None:
    """A second trace."""
    court.acts("k-1", attempt=2)


def act_without_intent(court: Court) -> None:
    """In an attempt that no event announced."""
    court.sink.path.write_text("")
    court.acts("k-1", attempt=3)


def act_unapproved(court: Court) -> None:
    """The refund was asked about, and nobody said yes."""
    court.acts("k-5", attempt=1)


def pretend_an_effect(court: Court) -> None:
    """Completed, and no trace."""
    court.sink.path.write_text("")


def repeat_without_asking(court: Court) -> None:
    """The second attempt begins although nobody said retry."""
    del court.story[_place(court, "interrupt.raised") : _place(court, "interrupt.resolved") + 1]


def run_a_journaled_step(court: Court) -> None:
    """A completed step begins again."""
    place = _place(court, "step.completed") + 1
    court.story.insert(place, step("started", "1", "charge", input={}, attempt=3))


def come_to_something_else(court: Court) -> None:
    """Another result than the script has."""
    court.story[_place(court, "mission.completed")]["data"]["result"] = "[]"


def let_a_child_go_on(court: Court) -> None:
    """It works in a life that its parent did not see."""
    court.story.insert(-2, said("mission.recovered", "c", attempt=2))


def diverge(court: Court) -> None:
    """The program did not fit its journal."""
    court.story.insert(6, said("mission.paused", cause="nondeterminism", error={}))


@pytest.mark.parametrize(
    ("lie", "found"),
    [
        (lose_an_event, "is not what the log has"),
        (tell_it_otherwise, "seen at offset 3"),
        (miss_one, "missed 1 events"),
        (lose_a_submit, "submit x is lost"),
        (lose_an_answer, "answered 'something else'"),
        (lose_a_cancel, "cancel of m is lost"),
        (end_twice, "'mission.completed', 'mission.failed'"),
        (speak_after_the_end, "mission.progress last"),
        (act_twice, "acted 2 times"),
        (act_without_intent, "never begun"),
        (act_unapproved, "never begun"),
        (pretend_an_effect, "and did not"),
        (repeat_without_asking, "began while its last one was open"),
        (run_a_journaled_step, "after its outcome"),
        (come_to_something_else, "came to []"),
        (let_a_child_go_on, "in another life"),
        (diverge, "nondeterminism"),
    ],
)
def test_a_lie_is_found(tmp_path: Path, lie: Callable[[Court], None], found: str) -> None:
    """Whatever kind of fault it is, the judge names it."""
    court = Court(tmp_path)
    lie(court)
    if lie not in {lose_an_event, tell_it_otherwise, miss_one}:
        # Not by the comparison with what was seen, which finds any change.
        court.ledger.seen.clear()
        court.watcher.received[:] = range(1, len(court.story) + 1)
    assert found in "\n".join(court.judge())
