"""The roster agrees with the memory of the tower whose events it is told, in every world.

It is compared after each unit that is published, crashes, restarts and a bad disk included. What
no event says is named in ``control_tower/cluster/entries.py``; here it is named exactly.
"""

from collections.abc import Sequence
from typing import Any

import pytest

from control_tower.cluster.entries import CHANGES, Entries
from control_tower.records import StepStatus
from control_tower.unit import Commit, SaveStep, Unit
from events.types import Committed, Ephemeral
from tests.simulation.auditor import Auditor
from tests.simulation.days import live_through
from tests.simulation.screen import Screen

IN_CI = 4
SOAKED = 50

SILENTLY_READY = {
    "mission.resumed": "running",  # by a person, while there is no slot
    "mission.started": "running",  # and then its server died and was started again
    "mission.recovered": "running",  # likewise
    "mission.blocked": "blocked",  # its session or a breaker set it free, while there is no slot
}
"""By a mission's last event of state: what the roster shows of one that is ready."""

SILENT_STEPS = frozenset({"mission.progress", "artifact.created"})
"""What ends a call without saying its step."""


class Comparison:
    """A roster beside a world, and where they differ."""

    def __init__(self) -> None:
        self.entries = Entries()
        self.compared = 0
        self.differences: list[str] = []
        self._committed: dict[int, Committed] = {}
        self._upto = 0
        self._said: dict[str, str] = {}
        self._step_unsaid: set[str] = set()
        self._held: set[tuple[str, str]] = set()

    def applied(self, unit: Unit, commit: Commit) -> None:
        """Remember what the log holds, and which steps waited for a breaker."""
        self._committed.update((event.offset, event) for event in commit.events)
        for write in unit.writes:
            if isinstance(write, SaveStep) and write.step.status is StepStatus.APPROVED:
                self._held.add((write.step.pid, write.step.step))

    def catch_up(self, head: int) -> None:
        """Read from the log what a server committed and did not live to tell."""
        while self._upto < head:
            self.take(self._committed[self._upto + 1])

    def take(self, event: Committed) -> None:
        """Take an event in, and note what it leaves unsaid."""
        self.entries.apply(event)
        self._upto = event.offset
        pid = event.scope.mission_id
        if pid is None:
            return
        if event.type in SILENT_STEPS:
            self._step_unsaid.add(pid)
        elif event.type == "mission.submitted":  # the end of its parent's call, if it has one
            self._step_unsaid.update(event.scope.lineage[-2:-1])
        elif event.type.startswith("mission.") and event.type in CHANGES:
            self._said[pid] = event.type
        elif event.type.startswith("step.") or event.type == "interrupt.raised":
            self._step_unsaid.discard(pid)

    def compare(self, told: list[dict[str, Any]]) -> None:
        """Compare all that is active with what the tower has in memory."""
        ours = {each["mission_id"]: each for each in self.entries.snapshot(["system"])}
        theirs = {each["mission_id"]: each for each in told}
        for pid in ours.keys() | theirs.keys():
            self.compared += 1
            mine, real = ours.get(pid), theirs.get(pid)
            if mine is None and self._is_committed(pid):
                continue
            if mine is None or real is None or not self._agree(pid, mine, real):
                self.differences.append(f"{pid}: {mine} is {real}")

    def _is_committed(self, pid: str) -> bool:
        """Whether a command brought a mission into memory before its acceptance was delivered."""
        return any(
            event.type == "mission.submitted" and event.scope.mission_id == pid
            for offset, event in self._committed.items()
            if offset > self._upto
        )

    def _agree(self, pid: str, mine: dict[str, Any], real: dict[str, Any]) -> bool:
        if (
            real["state"] == "ready"
            and SILENTLY_READY.get(self._said.get(pid, "")) == mine["state"]
        ):
            mine = mine | {"state": "ready"}
        if pid in self._step_unsaid or (pid, real["current_step"]) in self._held:
            mine = mine | {"current_step": real["current_step"]}
        return mine == real


@pytest.fixture
def comparison(monkeypatch: pytest.MonkeyPatch) -> Comparison:
    """Return a comparison that every world of this test is told to."""
    found = Comparison()
    publish, begin_life, applied = Screen.publish, Screen.begin_life, Auditor.applied

    def told(screen: Screen, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
        for event in events:
            found.take(event)
        publish(screen, events, after)
        tower = screen._auditor.world.tower
        if tower is not None:
            found.compare(tower.snapshot(["system"]))

    def begins(screen: Screen, head: int) -> None:
        found.catch_up(head)
        begin_life(screen, head)

    def commits(auditor: Auditor, unit: Unit, commit: Commit) -> None:
        found.applied(unit, commit)
        applied(auditor, unit, commit)

    monkeypatch.setattr(Screen, "publish", told)
    monkeypatch.setattr(Screen, "begin_life", begins)
    monkeypatch.setattr(Auditor, "applied", commits)
    return found


@pytest.mark.parametrize(
    "seed",
    [*range(IN_CI), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(IN_CI, SOAKED))],
)
def test_roster_is_what_the_tower_has_in_memory(seed: int, comparison: Comparison) -> None:
    """Mission by mission, after each unit that is published."""
    assert not live_through(seed).breaches
    assert comparison.compared
    assert not comparison.differences, "\n".join(comparison.differences[:5])
