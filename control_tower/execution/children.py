"""Children: missions that a mission starts. They run beside it, and end with it."""

from dataclasses import dataclass
from functools import partial
from typing import Protocol

import msgspec

from control_tower.ending import PARENT_ENDED, Ending
from control_tower.errors import AgentError, ChildFailed, ToolInvalid
from control_tower.execution.calls import Call, Kind, Spawn
from control_tower.execution.journal import Journal
from control_tower.execution.outcomes import complete, fail, new_record
from control_tower.memory import Memory
from control_tower.patience import patiently
from control_tower.ports import Catalog, Store
from control_tower.process import Change, Process, Proposal, scope_of
from control_tower.quota.budget import Budget
from control_tower.quota.quotas import ResourceUsage
from control_tower.records import ProcessControlBlock, StepRecord, StepStatus
from control_tower.states import Outcome, State
from control_tower.submission import Submissions
from control_tower.timers import Alarm, Due, Timers
from control_tower.unit import Commit


class Host(Protocol):
    """The kernel as children see it."""

    def post(self, process: Process, change: Change) -> None:
        """Put a change into a mission's inbox."""

    def enter(self, process: Process) -> None:
        """Take a new ready process in."""


@dataclass(slots=True)
class Family:
    """Spawns children, joins them, and ends them with their parent."""

    catalog: Catalog
    store: Store
    budget: Budget
    ending: Ending
    submissions: Submissions
    timers: Timers
    memory: Memory
    host: Host

    def spawn(self, p: Proposal, call: Call, request: Spawn) -> None:
        """Create a child as part of the parent's unit and complete the call."""
        record = new_record(p, call, StepStatus.STARTED)
        if self.catalog.program(request.agent) is None:
            fail(p, record, ToolInvalid(f"There is no agent {request.agent}."))
            return
        reserved = self.budget.draw(p, call, at_once=True)
        if reserved is None:
            return
        child = self.submissions.child(p.pcb, request.agent, request.mission, request.quota)
        try:
            child = self._carve(p.pcb, child, request)
        except AgentError as error:
            self.budget.settle(p, reserved, ResourceUsage())
            fail(p, record, error)
            return
        self.budget.settle(p, reserved, ResourceUsage(children=1))
        event = self.submissions.propose_child(p, child)
        made = msgspec.structs.replace(record, child_pid=child.pid)
        complete(p, made, child.pid, event=event)
        p.then.append(partial(self._enter, child))

    def _carve(
        self, parent: ProcessControlBlock, child: ProcessControlBlock, request: Spawn
    ) -> ProcessControlBlock:
        if request.quota is None:
            return child
        got = self.budget.carve(parent, child.pid, request.quota)
        return msgspec.structs.replace(child, quota=got)

    def _enter(self, child: ProcessControlBlock, _: Commit) -> None:
        if child.deadline_at is not None:
            self.timers.set(Alarm(child.pid, Due.DEADLINE, ""), child.deadline_at)
        self.host.enter(Process(child, scope_of(child), Journal()))

    def look(self, pid: str, child_pid: str) -> None:
        """Tell a parent of its child's end if that is past; a coming one is told by itself."""
        if child_pid in self.memory.processes:
            return

        async def later() -> None:
            child = await patiently(partial(self.store.mission, child_pid))
            if child is not None and child.state is State.TERMINATED:
                tell = partial(self._tell_join, child)
                self.memory.with_process(pid, tell)  # it may have left memory meanwhile

        self.memory.background(later())

    def _tell_join(self, child: ProcessControlBlock, parent: Process) -> None:
        self.host.post(parent, partial(self.joined, child))

    def joined(self, child: ProcessControlBlock, p: Proposal) -> None:
        """A child has ended: its joins get its result."""
        if p.pcb.state is State.TERMINATED:
            return
        for record in tuple(p.open_steps()):
            if record.kind == Kind.JOIN and record.child_pid == child.pid:
                self._join(p, record, child)

    @staticmethod
    def _join(p: Proposal, record: StepRecord, child: ProcessControlBlock) -> None:
        p.process.resumed_by = ("child", None, None)
        if child.outcome is Outcome.COMPLETED:
            complete(p, record, child.result)
            return
        said = (child.error or {}).get("message") or child.state_reason or "no reason given"
        outcome = "" if child.outcome is None else child.outcome.value
        fail(p, record, ChildFailed(f"The child {child.agent} ended {outcome}: {said}"))

    def ended(self, pcb: ProcessControlBlock) -> None:
        """A mission has ended: its children end with it, and its parent learns of it."""
        for child_pid in pcb.children:
            self.memory.with_process(child_pid, self.end_with_parent)
        if pcb.parent_pid is not None:
            tell, forget = partial(self._tell_parent, pcb), partial(self.budget.orphaned, pcb)
            self.memory.with_process(pcb.parent_pid, tell, forget)

    def end_with_parent(self, process: Process) -> None:
        """End a child whose parent has ended."""

        def change(p: Proposal) -> None:
            if p.pcb.state is not State.TERMINATED:
                self.ending.finish(p, Outcome.CANCELLED, reason=PARENT_ENDED)

        self.host.post(process, change)

    def _tell_parent(self, child: ProcessControlBlock, parent: Process) -> None:
        def change(p: Proposal) -> None:
            if p.pcb.state is State.TERMINATED:
                self.budget.orphaned(child)
                return
            self.budget.child_ended(p, child)
            self.joined(child, p)

        self.host.post(parent, change)
