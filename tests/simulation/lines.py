"""Who may be active in a session, and who goes first."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from control_tower.giving_way import DISPLACED
from control_tower.records import ProcessControlBlock
from control_tower.states import State

if TYPE_CHECKING:
    from tests.simulation.auditor import Auditor

ACTIVE = (State.READY, State.RUNNING)


class Lines:
    """Judges the sessions' gates by the states that are committed."""

    def __init__(self, auditor: "Auditor") -> None:
        self._auditor = auditor
        self._waits: dict[str, float] = {}
        self._left: dict[str, float] = {}
        self._out_of_line: set[str] = set()

    def judge_rivals(self, blocks: Sequence[ProcessControlBlock]) -> None:
        """One mission of a session is active at a time, children and parallel ones apart."""
        for pcb in blocks:
            if pcb.state not in ACTIVE or pcb.parent_pid or pcb.on_busy == "parallel":
                continue
            rivals = [
                other.pid
                for other in self._auditor.missions.values()
                if other.session_id == pcb.session_id
                and other.pid != pcb.pid
                and other.state in ACTIVE
                and not other.parent_pid
                and other.on_busy != "parallel"
            ]
            if rivals:
                self._auditor.breach(f"{pcb.pid} is active beside {rivals} in {pcb.session_id}")

    def judge(self, pcb: ProcessControlBlock, before: ProcessControlBlock | None) -> None:
        """Who waits for a session goes in the order of coming, resumed missions first."""
        now, was = self._auditor.world.loop.time(), None if before is None else before.state
        if pcb.state_reason == "agent_missing":
            self._out_of_line.add(pcb.pid)
        if pcb.state is State.PAUSED or was is State.PAUSED:
            self._out_of_line.add(pcb.pid)
        if was in ACTIVE and pcb.state not in ACTIVE:
            self._left[pcb.session_id] = now
        if pcb.state is State.BLOCKED and pcb.state_reason == "session_busy":
            self._waits.setdefault(pcb.pid, now)
            return
        waited = self._waits.pop(pcb.pid, None)
        if waited is None or pcb.state not in ACTIVE or pcb.on_busy == "interrupt":
            return
        if pcb.started_at is not None or self._out(pcb):
            return
        for other, since in self._waits.items():
            rival = self._auditor.missions[other]
            if rival.session_id != pcb.session_id or self._out(rival):
                continue
            earlier = since < min(waited, self._left.get(pcb.session_id, 0.0))
            if earlier and rival.on_busy == "enqueue":
                self._auditor.breach(f"{pcb.pid} enters {pcb.session_id} before {other}")

    def judge_displaced(self, pcb: ProcessControlBlock) -> None:
        """Nobody gives way but to a mission that was taken in."""
        missions = self._auditor.missions.values()
        displaced = pcb.state is State.TERMINATED and pcb.state_reason == DISPLACED
        if displaced and not any(pcb.pid in other.displaces for other in missions):
            self._auditor.breach(f"{pcb.pid} gave way to nobody")

    def _out(self, pcb: ProcessControlBlock) -> bool:
        if pcb.pid in self._out_of_line or pcb.parent_pid is not None:
            return True
        return pcb.start_at is not None or pcb.on_busy == "parallel"
