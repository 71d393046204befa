"""Memory: the processes that are in it, and how a mission at rest comes back into it.

There is never more than one process of a mission: loads of the same mission share one read.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog

from control_tower.execution.journal import Journal
from control_tower.patience import patiently
from control_tower.ports import InterruptQuery, Store
from control_tower.process import Process, scope_of
from control_tower.quota.budget import Budget
from control_tower.records import ProcessControlBlock
from control_tower.states import State

log = structlog.get_logger()

PENDING_AT_MOST = 10_000
"""Pending questions read with a mission; its quota of events allows no more."""


@dataclass(slots=True)
class Memory:
    """Processes by pid, and the tasks that bring more."""

    store: Store
    budget: Budget
    touched: Callable[[Process], None]
    processes: dict[str, Process] = field(default_factory=dict)
    tasks: "set[asyncio.Task[None]]" = field(default_factory=set)
    _loading: dict[str, "asyncio.Future[bool]"] = field(default_factory=dict)
    _left: set[str] = field(default_factory=set)
    _families: dict[str, "asyncio.Future[None]"] = field(default_factory=dict)

    async def load(self, pid: str) -> Process | None:
        """Return the process of a live mission, from memory or the store; None if it ended.

        Loading touches it: it stays in memory for a while. Who awaits anything after that asks
        again, for a process that has left memory is its mission no more.
        """
        while (process := self.processes.get(pid)) is None or process.journal is None:
            shared = self._loading.get(pid)
            if shared is None:
                shared = self._loading[pid] = asyncio.ensure_future(self._load(pid))
            if not await asyncio.shield(shared):
                return None
        self.touched(process)
        return process

    def leave(self, process: Process) -> None:
        """Let a process out of memory."""
        if self.processes.get(process.pid) is process:
            del self.processes[process.pid]
        if process.pid in self._loading:
            self._left.add(process.pid)

    async def _load(self, pid: str) -> bool:
        """Bring a mission into memory; False if it ended."""
        try:
            process = await self._read(pid)
            while pid in self._left:  # a new one came and went, as its rows were read
                self._left.discard(pid)
                process = await self._read(pid)
        finally:
            del self._loading[pid]
        if process is None:
            return False
        self.touched(self.processes.setdefault(pid, process))
        return True

    async def _read(self, pid: str) -> Process | None:
        process = self.processes.get(pid)
        if process is None:
            pcb = await self.store.mission(pid)
            if pcb is None or pcb.state is State.TERMINATED:
                return None
            process = Process(pcb, scope_of(pcb))
        records = await self.store.steps(pid)
        query = InterruptQuery(mission_id=pid, limit=PENDING_AT_MOST)
        pending = await self.store.interrupts(query)
        await self._open_family_accounts(process.pcb)
        process.journal = Journal(records)
        process.interrupts = {record.interrupt_id: record for record in pending}
        return process

    async def _open_family_accounts(self, pcb: ProcessControlBlock) -> None:
        """Open the accounts of a mission with relatives, root first."""
        root_pid = pcb.lineage[0]
        related = pcb.parent_pid is not None or pcb.children
        if not related or root_pid in self.budget.accounts:
            return
        # Read once for all: a second reading could end after the family has, and bring it back.
        shared = self._families.get(root_pid)
        if shared is None:
            shared = self._families[root_pid] = asyncio.ensure_future(self._open_family(root_pid))
            shared.add_done_callback(lambda _: self._families.pop(root_pid, None))
        await asyncio.shield(shared)

    async def _open_family(self, root_pid: str) -> None:
        family: list[ProcessControlBlock] = []
        left = [root_pid]
        while left:
            pid = left.pop(0)
            process = self.processes.get(pid)
            member = process.pcb if process is not None else await self.store.mission(pid)
            if member is None or (pid == root_pid and member.state is State.TERMINATED):
                continue  # a root that ended has no account any more
            family.append(member)
            left += member.children
        if root_pid not in self.budget.accounts:
            self.budget.restore(family)

    def with_process(
        self,
        pid: str,
        act: Callable[[Process], None],
        ended: Callable[[], None] | None = None,
    ) -> None:
        """Call ``act`` with a live mission's process, loading it; ``ended`` if there is none."""
        process = self.processes.get(pid)
        if process is not None and process.journal is not None:
            act(process)
            return

        async def later() -> None:
            loaded = await patiently(partial(self.load, pid))
            if loaded is not None:
                act(loaded)
            elif ended is not None:
                ended()

        self.background(later())

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work in a task that the kernel owns."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("kernel.task_failed", exc_info=error)
