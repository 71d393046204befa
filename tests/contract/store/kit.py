"""What the store's tests share: openers of every implementation, and builders of records."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from control_tower.audit import ToolCallRecord
from control_tower.erasure import ErasingStore
from control_tower.ports import Store
from control_tower.records import (
    FileRecord,
    InterruptKind,
    InterruptRecord,
    KeyRecord,
    MessageRecord,
    ProcessControlBlock,
    SessionRecord,
    StepRecord,
    StepStatus,
)
from control_tower.retention import AgingStore
from control_tower.states import Outcome, State
from control_tower.store import ALONE, SHARED, InlineStore, SqliteStore
from control_tower.store.postgres_store import PostgresStore
from control_tower.unit import (
    Commit,
    Guard,
    InsertMission,
    InsertSession,
    Unit,
    UnitRefused,
    Write,
)
from events.log import LogReader
from events.payloads import MissionProgress, NodeJoined
from events.types import Committed, Draft, Ephemeral, Scope, draft
from server.access.auth_keys import KeyStore


class StoreAndLog(Store, LogReader, ErasingStore, AgingStore, KeyStore, Protocol):
    """Every port of a store."""

    async def artifacts(self, pid: str) -> list[FileRecord]:
        """Return a mission's artifacts without their content."""

    async def artifact(self, pid: str, name: str) -> FileRecord | None:
        """Return an artifact."""

    async def newest_tool_calls(self, most: int) -> list[ToolCallRecord]:
        """Return the newest ended attempts of tools."""

    async def close(self) -> None:
        """Close it."""


@dataclass(slots=True)
class Recorder:
    """Everything published, in order; ``said`` also holds what tests note between."""

    events: list[Committed] = field(default_factory=list)
    said: list[object] = field(default_factory=list)

    def publish(self, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
        """``events.log.Publish``."""
        self.events.extend(events)
        self.said.extend(event.offset for event in events)
        self.said.extend(event.type for event in after)


class StillClock:
    """A clock that stands."""

    def now(self) -> float:
        """Return Unix seconds."""
        return 1_780_000_000.0


@dataclass(slots=True)
class Opener:
    """Opens, and opens again, a store on the same database."""

    kind: str
    folder: Path
    database_url: str = ""
    published: Recorder = field(default_factory=Recorder)
    fatal: list[BaseException] = field(default_factory=list)

    async def open(self) -> StoreAndLog:
        """Open it; ``published`` goes on."""
        if self.kind == "inline":
            return InlineStore.open(self.folder / "inline.db", publish=self.published)
        if self.kind in ON_A_SERVER:
            return await PostgresStore.open(
                self.database_url,
                self.folder,
                publish=self.published,
                clock=StillClock(),
                url="http://127.0.0.1:8000",
                on_fatal=self.fatal.append,
                mode=SHARED if self.kind == "shared" else ALONE,
            )
        return await SqliteStore.open(
            self.folder,
            publish=self.published,
            clock=StillClock(),
            url="http://127.0.0.1:8000",
            on_fatal=self.fatal.append,
        )


ON_A_SERVER = ("postgresql", "shared")
"""PostgreSQL's: that of a tower that is alone, and of one among others."""

KINDS = ("inline", "sqlite", *ON_A_SERVER)


async def settled(store: Store, unit: Unit) -> Commit | UnitRefused:
    """Submit a unit and return what became of it."""
    done: asyncio.Future[Commit | UnitRefused] = asyncio.get_running_loop().create_future()
    unit.committed = done.set_result
    unit.refused = done.set_result
    store.submit(unit)
    return await done


async def commit(store: Store, *writes: Write, drafts: Sequence[Draft] = ()) -> Commit:
    """Commit writes and drafts as one unit."""
    outcome = await settled(store, Unit(list(drafts), list(writes)))
    assert isinstance(outcome, Commit), outcome
    return outcome


async def all_settled(store: Store, units: Sequence[Unit]) -> list[Commit | UnitRefused]:
    """Submit units in one go and return what became of each."""
    return list(await asyncio.gather(*(settled(store, unit) for unit in units)))


def session(session_id: str = "s_1", user_id: str = "alice", at: float = 100.0) -> SessionRecord:
    """Return a new session."""
    return SessionRecord(session_id=session_id, user_id=user_id, created_at=at, last_activity=at)


def mission(  # noqa: PLR0917 - tests name what differs
    pid: str = "m_1",
    session_id: str = "s_1",
    user_id: str = "alice",
    lineage: tuple[str, ...] | None = None,
    state: State = State.RUNNING,
    outcome: Outcome | None = None,
    attempt: int = 1,
    token: int = 7,
) -> ProcessControlBlock:
    """Return a mission that runs."""
    lineage = lineage or (pid,)
    return ProcessControlBlock(
        pid=pid,
        session_id=session_id,
        user_id=user_id,
        agent="demo",
        mission="Say hello",
        inputs={"a": [1, None, {"b": "c"}]},
        state=state,
        outcome=outcome,
        lineage=lineage,
        parent_pid=lineage[-2] if len(lineage) > 1 else None,
        attempt=attempt,
        token=token,
        created_at=100.0,
    )


def guard(pid: str = "m_1", attempt: int = 1, token: int = 7) -> Guard:
    """Return the guard that fits :func:`mission`."""
    return Guard(pid, attempt, token)


def scope(pcb: ProcessControlBlock) -> Scope:
    """Return the scope of a mission's events."""
    return Scope(pcb.session_id, pcb.user_id, pcb.lineage, pcb.agent, pcb.priority.value)


def progress(where: Scope, name: str = "tick") -> Draft:
    """Return an event of a mission."""
    return draft(MissionProgress(name=name), where, 100.0)


def joined() -> Draft:
    """Return an event of the tower itself."""
    return draft(NodeJoined(node="n_1"), Scope(None, None), 100.0)


def step(pid: str = "m_1", number: str = "1", status: StepStatus = StepStatus.ASKED) -> StepRecord:
    """Return a system call."""
    return StepRecord(
        pid=pid,
        step=number,
        kind="tool",
        name="calculator",
        call_sha256="0" * 64,
        arguments={"expression": "2 + 2"},
        status=status,
        idempotent=True,
        started_at=100.0,
    )


def message(
    message_id: str = "msg_1", session_id: str = "s_1", content: str = "hello", at: float = 100.0
) -> MessageRecord:
    """Return a user's message."""
    return MessageRecord(
        message_id=message_id, session_id=session_id, role="user", content=content, created_at=at
    )


def interrupt(interrupt_id: str = "i_1", pid: str = "m_1", **fields: object) -> InterruptRecord:
    """Return a pending clarification."""
    values: dict[str, object] = {
        "interrupt_id": interrupt_id,
        "kind": InterruptKind.CLARIFICATION,
        "mission_id": pid,
        "session_id": "s_1",
        "user_id": "alice",
        "step": "1",
        "message": "Which one?",
        "options": ("a", "b"),
        "created_at": 100.0,
        **fields,
    }
    return InterruptRecord(**values)  # type: ignore[arg-type]


def key(name: str = "k", user_id: str = "alice", pid: str | None = "m_1") -> KeyRecord:
    """Return an idempotency key with its reply."""
    return KeyRecord(
        user_id=user_id,
        key=name,
        body_sha256="f" * 64,
        reply={"mission_id": pid, "duplicate": False},
        mission_id=pid,
        created_at=100.0,
    )


def file(name: str = "notes.txt", content: bytes = b"hi", session_id: str = "s_1") -> FileRecord:
    """Return a file of a session's workspace."""
    return FileRecord(
        session_id=session_id,
        name=name,
        media_type="text/plain",
        size=len(content),
        content=content,
        updated_at=100.0,
    )


def founding(*pcbs: ProcessControlBlock) -> list[Write]:
    """Return the writes that make the sessions of the missions, and the missions."""
    sessions = {pcb.session_id: pcb.user_id for pcb in pcbs}
    return [
        *(InsertSession(session(name, user)) for name, user in sessions.items()),
        *(InsertMission(pcb) for pcb in pcbs),
    ]
