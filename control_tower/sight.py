"""What callers may see, and who may change anything: another's things look like none."""

from dataclasses import dataclass

from control_tower.commands import Caller
from control_tower.errors import Forbidden, NotFound
from control_tower.memory import Memory
from control_tower.ports import Store
from control_tower.records import InterruptRecord, ProcessControlBlock
from control_tower.states import State


def require_writer(caller: Caller) -> None:
    """Let a caller change things, unless they may only read.

    Raises:
        Forbidden: for a viewer.
    """
    if caller.role == "viewer":
        raise Forbidden("A viewer may read everything and change nothing.")


@dataclass(slots=True, frozen=True)
class Sight:
    """Looks things up for a caller. Each look raises ``NotFound`` for what they may not see."""

    store: Store
    memory: Memory

    async def mission(self, caller: Caller, pid: str) -> ProcessControlBlock:
        """Return a mission as it stands; one that is not accepted yet is none."""
        process = self.memory.processes.get(pid)
        pcb = process.pcb if process is not None else await self.store.mission(pid)
        hidden = pcb is None or not (caller.reads_all or pcb.user_id == caller.user_id)
        if pcb is None or hidden or pcb.state is State.NEW:
            raise NotFound("No such mission.")
        return pcb

    async def interrupt(self, caller: Caller, interrupt_id: str) -> InterruptRecord:
        """Return a question."""
        record = await self.store.interrupt(interrupt_id)
        if record is None or not (caller.reads_all or record.user_id == caller.user_id):
            raise NotFound("No such interrupt.")
        return record

    async def require_session(self, caller: Caller, session_id: str) -> None:
        """Let a caller say something in a session of their own."""
        session = await self.store.session(session_id)
        missing = session is None or session.deleted_at is not None
        if missing or (session is not None and session.user_id != caller.user_id):
            raise NotFound("No such session.")
