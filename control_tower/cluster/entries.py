"""The roster's entries: each mission that has not ended, as its events tell. A core.

What memory knows and no event says is not seen here, until the next event of the mission:

- that it waits for a slot after it could go on again: a call's outcome at rest says so, but not a
  breaker that closed, a session that became free, a person's *resume*, or a restart;
- the step of a call that says something else than ``step.*`` (``emit``, ``artifact``, ``spawn``),
  or that waits for a tool's breaker before its first attempt.

A mission costs about 430 bytes, its ids and its places in the indices included: 43 MB for 100 000.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from sys import intern
from typing import TypeAlias

import msgspec

from control_tower.records import ProcessControlBlock
from control_tower.states import State
from events.payloads import TERMINAL_TYPES, JsonObject
from events.types import Committed

ADMISSION_CAUSES = frozenset({"session_busy", "start_at", "agent_missing"})
"""Of ``blocked`` missions: those that no outcome of a call sets going again."""

READY, RUNNING, WAITING, BLOCKED, PAUSED = (
    state.value
    for state in (State.READY, State.RUNNING, State.WAITING, State.BLOCKED, State.PAUSED)
)


class Entry(msgspec.Struct, gc=False):
    """A mission.

    Attributes:
        lineage: its ancestors and itself, root first; empty for one that has no parent.
        by_admission: it is blocked, and no call's outcome changes that.
    """

    session_id: str
    user_id: str
    lineage: tuple[str, ...]
    state: str = READY
    by_admission: bool = False
    current_step: str | None = None
    pending_interrupts: tuple[str, ...] = ()

    def shown(self, pid: str) -> JsonObject:
        """Return it as a subscribe's snapshot has it."""
        return {
            "mission_id": pid,
            "session_id": self.session_id,
            "state": self.state,
            "current_step": self.current_step,
            "pending_interrupts": list(self.pending_interrupts),
        }


class _Data(msgspec.Struct):
    step: str | None = None
    cause: str | None = None
    interrupt_id: str = ""
    will_retry: bool = False


class _Params(msgspec.Struct):
    data: _Data


class _Message(msgspec.Struct):
    params: _Params


_decode = msgspec.json.Decoder(_Message).decode

_STEP_HEAD = b'"data":{"step":"'


def _data(event: Committed) -> _Data:
    return _decode(event.body).params.data


def _step_of(event: Committed) -> str | None:
    """Return the step that an event is about, without reading through what the call returned."""
    start = event.body.find(_STEP_HEAD)
    if start < 0:
        step = _data(event).step
        return None if step is None else intern(step)
    start += len(_STEP_HEAD)
    return intern(event.body[start : event.body.index(b'"', start)].decode())


# -- what an event changes ------------------------------------------------------------------


def _to(state: str) -> Callable[[Entry, Committed], None]:
    def change(entry: Entry, _: Committed) -> None:
        entry.state = state

    return change


def _blocked(entry: Entry, event: Committed) -> None:
    entry.state = BLOCKED
    entry.by_admission = _data(event).cause in ADMISSION_CAUSES


def _queued(entry: Entry, event: Committed) -> None:
    if _data(event).cause in ADMISSION_CAUSES:
        _blocked(entry, event)
    else:
        entry.state = READY


def _begun(entry: Entry, event: Committed) -> None:
    entry.current_step = _step_of(event)


def _outcome(entry: Entry, event: Committed) -> None:
    entry.current_step = _step_of(event)
    _woken(entry)


def _failed(entry: Entry, event: Committed) -> None:
    if not _data(event).will_retry:
        _outcome(entry, event)


def _woken(entry: Entry) -> None:
    """Something came for a mission at rest; if it got a slot at once, another event says so."""
    if entry.state == WAITING or (entry.state == BLOCKED and not entry.by_admission):
        entry.state = READY


def _raised(entry: Entry, event: Committed) -> None:
    data = _data(event)
    entry.current_step = None if data.step is None else intern(data.step)
    if data.interrupt_id not in entry.pending_interrupts:
        entry.pending_interrupts += (data.interrupt_id,)


def _closed(entry: Entry, event: Committed) -> None:
    closed = _data(event).interrupt_id
    entry.pending_interrupts = tuple(i for i in entry.pending_interrupts if i != closed)
    if entry.state == WAITING:
        entry.state = READY


Change: TypeAlias = Callable[[Entry, Committed], None]

CHANGES: dict[str, Change] = {
    "mission.queued": _queued,
    "mission.started": _to(RUNNING),
    "mission.recovered": _to(RUNNING),
    "mission.resumed": _to(RUNNING),
    "mission.waiting": _to(WAITING),
    "mission.blocked": _blocked,
    "mission.paused": _to(PAUSED),
    "mission.preempted": _to(READY),
    "step.started": _begun,
    "step.completed": _outcome,
    "step.failed": _failed,
    "interrupt.raised": _raised,
    "interrupt.resolved": _closed,
    "interrupt.expired": _closed,
    "interrupt.cancelled": _closed,
}
"""What an event changes of its mission's entry; other types change none."""

SUBMITTED = "mission.submitted"

MATTERS = frozenset({SUBMITTED, *TERMINAL_TYPES, *CHANGES})


# -- the table ------------------------------------------------------------------------------


class _Index:
    """Missions by a key. One that is alone under its key costs no set."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[str, str | set[str]] = {}

    def add(self, key: str, pid: str) -> None:
        found = self._found.setdefault(key, pid)
        if isinstance(found, set):
            found.add(pid)
        elif found != pid:
            self._found[key] = {found, pid}

    def discard(self, key: str, pid: str) -> None:
        found = self._found.get(key)
        if isinstance(found, set):
            found.discard(pid)
            if not found:
                del self._found[key]
        elif found == pid:
            del self._found[key]

    def of(self, key: str) -> Iterable[str]:
        found = self._found.get(key, ())
        return (found,) if isinstance(found, str) else found


class Entries:
    """All missions that have not ended, by what a topic names."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._of_user = _Index()
        self._of_session = _Index()
        self._of_ancestor = _Index()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, pid: str) -> bool:
        return pid in self._entries

    def pids(self) -> set[str]:
        """Return all of them."""
        return set(self._entries)

    def apply(self, event: Committed) -> bool:
        """Take an event in; return whether its mission has ended or waits for a person now.

        Doing so twice does no harm, if all that follow are taken in again, too.
        """
        pid = event.scope.mission_id
        if event.type not in MATTERS or pid is None:
            return False
        if event.type in TERMINAL_TYPES:
            self.remove(pid)
            return True
        entry = self._entries.get(pid)
        if event.type == SUBMITTED:
            self._submitted(pid, event)
        elif entry is not None:
            CHANGES[event.type](entry, event)
            return entry.state == WAITING
        return False

    def _submitted(self, pid: str, event: Committed) -> None:
        scope = event.scope
        if scope.session_id is not None and scope.user_id is not None:
            family = scope.lineage if len(scope.lineage) > 1 else ()
            self.put(pid, Entry(scope.session_id, scope.user_id, family))

    def restore(self, pcb: ProcessControlBlock) -> None:
        """Take a mission in as its row has it."""
        entry = Entry(
            session_id=pcb.session_id,
            user_id=pcb.user_id,
            lineage=pcb.lineage if len(pcb.lineage) > 1 else (),
            state=pcb.state.value,
            by_admission=pcb.state_reason in ADMISSION_CAUSES,
            current_step=None if pcb.current_step is None else intern(pcb.current_step),
            pending_interrupts=pcb.pending_interrupts,
        )
        self.put(pcb.pid, entry)

    def put(self, pid: str, entry: Entry) -> None:
        """Take a mission in; in the place of what was there of it."""
        entry.user_id = intern(entry.user_id)
        self._entries[pid] = entry
        self._of_user.add(entry.user_id, pid)
        self._of_session.add(entry.session_id, pid)
        for ancestor in entry.lineage[:-1]:
            self._of_ancestor.add(ancestor, pid)

    def remove(self, pid: str) -> None:
        """Forget a mission; one that is not there is no matter."""
        entry = self._entries.pop(pid, None)
        if entry is None:
            return
        self._of_user.discard(entry.user_id, pid)
        self._of_session.discard(entry.session_id, pid)
        for ancestor in entry.lineage[:-1]:
            self._of_ancestor.discard(ancestor, pid)

    def snapshot(self, topics: Sequence[str]) -> list[JsonObject]:
        """Return what is active in the topics, each mission once."""
        if "system" in topics:
            return [entry.shown(pid) for pid, entry in self._entries.items()]
        found = dict.fromkeys(pid for topic in topics for pid in self._named_by(topic))
        return [self._entries[pid].shown(pid) for pid in found]

    def _named_by(self, topic: str) -> Iterator[str]:
        kind, _, key = topic.partition(":")
        if kind == "user":
            yield from self._of_user.of(key)
        elif kind == "session":
            yield from self._of_session.of(key)
        elif kind == "mission":
            if key in self._entries:
                yield key
            yield from self._of_ancestor.of(key)
