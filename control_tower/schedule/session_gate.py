"""Who holds a session, and who waits for it.

A session is busy while a mission of it is ready or running. A mission enters it, waits for it, or
shares it (``on_busy=parallel``); children never ask. The queue has two parts: missions resumed
after a wait go ahead of those that were queued, each part first in, first out.

Between calls a session with a queue is always held, since the one who leaves last hands it over,
and a session that is neither held nor waited for is forgotten.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from control_tower.errors import KernelBug

_Line = OrderedDict[str, None]


@dataclass(slots=True)
class _Session:
    """One busy session: its holders and the two parts of its queue, all in order of coming."""

    holders: dict[str, None] = field(default_factory=dict)
    resumed: _Line = field(default_factory=OrderedDict)
    queued: _Line = field(default_factory=OrderedDict)

    def waiting(self) -> Iterator[str]:
        return chain(self.resumed, self.queued)

    def next(self) -> str | None:
        for line in (self.resumed, self.queued):
            if line:
                pid, _ = line.popitem(last=False)
                return pid
        return None


class SessionGate:
    """The holders and queues of all sessions that have any."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}

    def __len__(self) -> int:
        """Return how many sessions are held."""
        return len(self._sessions)

    def enter(self, session_id: str, pid: str) -> bool:
        """Hold the session if nobody else does; a holder may enter again.

        Returns:
            False when it is busy. The mission is not queued then: :meth:`wait` or :meth:`share`.
        """
        session = self._sessions.get(session_id)
        if session is None:
            self._sessions[session_id] = _Session(holders={pid: None})
            return True
        return len(session.holders) == 1 and pid in session.holders

    def share(self, session_id: str, pid: str) -> None:
        """Hold the session beside whoever holds it."""
        session = self._sessions.setdefault(session_id, _Session())
        session.resumed.pop(pid, None)
        session.queued.pop(pid, None)
        session.holders[pid] = None

    def wait(self, session_id: str, pid: str, *, ahead: bool) -> int:
        """Queue for a busy session; ``ahead`` is for a mission that resumes.

        Returns:
            The place in the queue, from 1.

        Raises:
            KernelBug: if nobody holds the session, or this mission holds it or waits already.
        """
        session = self._sessions.get(session_id)
        if session is None or pid in session.holders:
            raise KernelBug(f"{pid} would wait for a session that it could enter")
        if pid in session.resumed or pid in session.queued:
            raise KernelBug(f"{pid} waits for its session already")
        if ahead:
            session.resumed[pid] = None
            return len(session.resumed)
        session.queued[pid] = None
        return len(session.resumed) + len(session.queued)

    def leave(self, session_id: str, pid: str) -> str | None:
        """Stop holding the session; does nothing for a mission that does not hold it.

        Returns:
            The mission that now holds it, when the last holder left and one waited.
        """
        session = self._sessions.get(session_id)
        if session is None or pid not in session.holders:
            return None
        del session.holders[pid]
        if session.holders:
            return None
        following = session.next()
        if following is None:
            del self._sessions[session_id]
        else:
            session.holders[following] = None
        return following

    def withdraw(self, session_id: str, pid: str) -> None:
        """Leave the queue; does nothing for a mission that is not in it."""
        session = self._sessions.get(session_id)
        if session is not None:
            session.resumed.pop(pid, None)
            session.queued.pop(pid, None)

    def holders(self, session_id: str) -> tuple[str, ...]:
        """Return who holds the session, longest first."""
        session = self._sessions.get(session_id)
        return tuple(session.holders) if session else ()

    def position(self, session_id: str, pid: str) -> int | None:
        """Return the place in the queue from 1, or None for one that does not wait."""
        session = self._sessions.get(session_id)
        if session is None or (pid not in session.resumed and pid not in session.queued):
            return None
        return next(place for place, waiting in enumerate(session.waiting(), 1) if waiting == pid)
