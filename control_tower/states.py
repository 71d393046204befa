"""The states of a mission, their one table, and the outcomes of the last of them.

The table is tower.md's. A state is changed by :func:`transition` and nothing else.
"""

from enum import StrEnum
from types import MappingProxyType

from control_tower.errors import IllegalTransition


class State(StrEnum):
    """Where a mission stands."""

    NEW = "new"
    READY = "ready"
    RUNNING = "running"
    WAITING = "waiting"
    BLOCKED = "blocked"
    PAUSED = "paused"
    TERMINATED = "terminated"


class Outcome(StrEnum):
    """How a terminated mission ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    QUOTA_EXCEEDED = "quota_exceeded"


class Status(StrEnum):
    """The simple status that outsiders get."""

    PROCESSING = "processing"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"


TRANSITIONS: MappingProxyType[State, frozenset[State]] = MappingProxyType(
    {
        State.NEW: frozenset({State.READY, State.BLOCKED, State.TERMINATED}),
        State.READY: frozenset({State.RUNNING, State.PAUSED, State.TERMINATED}),
        State.RUNNING: frozenset(
            {State.READY, State.WAITING, State.BLOCKED, State.PAUSED, State.TERMINATED}
        ),
        State.WAITING: frozenset({State.READY, State.BLOCKED, State.PAUSED, State.TERMINATED}),
        State.BLOCKED: frozenset({State.READY, State.WAITING, State.PAUSED, State.TERMINATED}),
        State.PAUSED: frozenset({State.READY, State.WAITING, State.BLOCKED, State.TERMINATED}),
        State.TERMINATED: frozenset(),
    }
)
"""From each state, the states that may follow it."""


def transition(source: State, target: State) -> State:
    """Return ``target``.

    Raises:
        IllegalTransition: if the table has no such arrow; always a bug of the kernel.
    """
    if target not in TRANSITIONS[source]:
        raise IllegalTransition(source, target)
    return target


def status_of(state: State, outcome: Outcome | None) -> Status:
    """Return the simple status of a mission in ``state`` with ``outcome``."""
    if state is State.TERMINATED:
        return Status.COMPLETED if outcome is Outcome.COMPLETED else Status.FAILED
    return Status.WAITING if state is State.WAITING else Status.PROCESSING


def diagram() -> str:
    """Return the table as a Mermaid state diagram; docs/ARCHITECTURE.md holds a copy."""
    lines = ["stateDiagram-v2", "    [*] --> new"]
    for source in State:
        lines += [f"    {source} --> {target}" for target in State if target in TRANSITIONS[source]]
    lines.append("    terminated --> [*]")
    return "\n".join(lines)
