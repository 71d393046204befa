"""Recovery: live missions come from the database into memory, at a start or when users move here.

What was running is ready again; what waited for its session queues up for it in the old order,
and whom it was to interrupt gives way; what rests gets its alarm; a child whose parent has ended
ends. Missions that are recovered are kept out of the ready queue until all of this is done, so
those of other users may run meanwhile.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeAlias

import msgspec

from control_tower.execution.children import Family
from control_tower.giving_way import GivingWay
from control_tower.kernel import Kernel
from control_tower.lifecycle import CHILD, Lifecycle
from control_tower.patience import patiently
from control_tower.ports import Catalog
from control_tower.process import Process, scope_of
from control_tower.records import ProcessControlBlock
from control_tower.schedule.admission import AGENT_MISSING, SESSION_BUSY
from control_tower.states import State
from control_tower.timers import Alarm, Due
from control_tower.unit import SaveMission, Unit

PAGE = 500
"""Missions recovered between two turns of the event loop, about 5 ms of work."""

Pages: TypeAlias = Callable[[str | None, int], Awaitable[list[ProcessControlBlock]]]
"""Returns at most so many missions without an outcome behind a pid, by pid."""


class Rest(Protocol):
    """Missions at rest, as recovery sees them."""

    def rests(self, pid: str) -> bool:
        """Return whether a mission rests here."""

    def rested_as(self, pcb: ProcessControlBlock) -> None:
        """Keep what memory keeps of a mission at rest."""

    def forget(self, pid: str) -> None:
        """Keep nothing of a mission at rest."""


@dataclass(slots=True)
class _Found:
    """What the database had: those that may run, those at rest, and which wait for a session."""

    ready: list[Process] = field(default_factory=list)
    rested: list[str] = field(default_factory=list)
    queued: list[tuple[str, str, bool]] = field(default_factory=list)
    interrupting: list[ProcessControlBlock] = field(default_factory=list)
    lineages: list[tuple[str, ...]] = field(default_factory=list)


@dataclass(slots=True, frozen=True)
class Recovery:
    """Brings missions into memory that no process of ours has."""

    kernel: Kernel
    catalog: Catalog
    lifecycle: Lifecycle
    family: Family
    giving_way: GivingWay
    rest: Rest

    async def recover(self, pages: Pages) -> None:
        """Recover every mission that ``pages`` yields; one that is here already is left alone.

        Waits for a database that is away; fails as a whole when it can't be read for any other
        reason. Filling the slots afterwards is the caller's.
        """
        found = _Found()
        try:
            await self._read(pages, found)
        except Exception:
            self._put_back(found)
            raise
        orphans = {lineage[-1] for lineage in found.lineages if not self._is_here(lineage[-2])}
        for process in found.ready:
            if process.pid not in orphans:
                self.kernel.admission.settle(process, self.kernel.clock.now())
        self._restore_queues(found)
        await self._end(orphans)

    async def _read(self, pages: Pages, found: _Found) -> None:
        after = None
        while page := await patiently(partial(pages, after, PAGE)):
            after = page[-1].pid
            self._restore([pcb for pcb in page if not self._is_here(pcb.pid)], found)
            await asyncio.sleep(0)

    def _put_back(self, found: _Found) -> None:
        """Take out of memory what was found: the next to look would leave it alone there.

        But for those that an alarm has loaded meanwhile, which go on by themselves.
        """
        for process in found.ready:
            if process.journal is None:
                self.kernel.forget(process)
        for pid in found.rested:
            if pid not in self.kernel.memory.processes:
                self.rest.forget(pid)

    def _is_here(self, pid: str) -> bool:
        return pid in self.kernel.memory.processes or self.rest.rests(pid)

    def _restore_queues(self, found: _Found) -> None:
        """Queue missions up for their sessions again: those that go ahead, then by their coming.

        Where nobody holds the session, its first does. All at once, before any is loaded: loads
        take their time, and would let later ones overtake.
        """
        gate = self.kernel.admission.gate
        for pid, session_id, ahead in sorted(found.queued, key=lambda one: not one[2]):
            if gate.holders(session_id):
                gate.wait(session_id, pid, ahead=ahead)
            else:
                gate.share(session_id, pid)
                self.kernel.memory.with_process(pid, self.kernel.gate_passed)
        for pcb in found.interrupting:
            self.giving_way.tell(pcb)

    async def _end(self, orphans: set[str]) -> None:
        """End children whose parent's end was the last thing that was committed of the family."""
        for pid in sorted(orphans):
            process = await patiently(partial(self.kernel.memory.load, pid))
            if process is not None:
                self.family.end_with_parent(process)

    def _restore(self, page: list[ProcessControlBlock], found: _Found) -> None:
        unit = Unit()
        for pcb in page:
            self.kernel.users.note(pcb)
            if len(pcb.lineage) > 1:
                found.lineages.append(pcb.lineage)
            if pcb.deadline_at is not None:
                self.kernel.timers.set(Alarm(pcb.pid, Due.DEADLINE, ""), pcb.deadline_at)
            if pcb.state is State.RUNNING:
                ready = msgspec.structs.replace(pcb, state=State.READY, state_reason="restart")
                unit.writes.append(SaveMission(ready))
                self._restore_ready(ready, found)
            elif pcb.state is State.READY:
                self._restore_ready(pcb, found)
            else:
                self._restore_rested(pcb, found)
        if unit.writes:
            self.kernel.store.submit(unit)

    def _restore_ready(self, pcb: ProcessControlBlock, found: _Found) -> None:
        process = Process(pcb, scope_of(pcb))
        process.recovering = pcb.started_at is not None
        if pcb.parent_pid is None:
            process.in_gate = True
            self.kernel.admission.gate.share(pcb.session_id, pcb.pid)
        self.kernel.memory.processes[pcb.pid] = process
        found.ready.append(process)

    def _restore_rested(self, pcb: ProcessControlBlock, found: _Found) -> None:
        timers, memory = self.kernel.timers, self.kernel.memory
        self.rest.rested_as(pcb)
        found.rested.append(pcb.pid)
        if pcb.state is State.BLOCKED and pcb.state_reason == SESSION_BUSY:
            ahead = pcb.started_at is not None or bool(pcb.displaces)
            found.queued.append((pcb.pid, pcb.session_id, ahead))
            if pcb.displaces:
                found.interrupting.append(pcb)
        elif pcb.state_reason == AGENT_MISSING and self.catalog.program(pcb.agent) is not None:
            memory.with_process(pcb.pid, self._admit)
        elif (pcb.children and pcb.state in (State.WAITING, State.BLOCKED)) or (
            pcb.state is State.BLOCKED and pcb.state_reason == CHILD
        ):
            # A child may have ended without its parent having been told, or room been made.
            timers.set(Alarm(pcb.pid, Due.LOOK, ""), self.kernel.clock.now())
        elif pcb.alarm_at is not None:
            timers.set(Alarm(pcb.pid, Due.LOOK, ""), pcb.alarm_at)

    def _admit(self, process: Process) -> None:
        self.kernel.post(process, self.lifecycle.admitted)
