"""The session gate does what lists do, whatever comes in whatever order."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from control_tower.errors import KernelBug
from control_tower.schedule.session_gate import SessionGate

SESSIONS = ["s1", "s2"]
PIDS = [f"m{number}" for number in range(6)]

sessions = st.sampled_from(SESSIONS)
pids = st.sampled_from(PIDS)


class Doors(RuleBasedStateMachine):
    """Holders and two queues a session, as lists."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = SessionGate()
        self.held: dict[str, list[str]] = {session: [] for session in SESSIONS}
        self.resumed: dict[str, list[str]] = {session: [] for session in SESSIONS}
        self.queued: dict[str, list[str]] = {session: [] for session in SESSIONS}

    def queue(self, session: str) -> list[str]:
        """Return who waits, in order."""
        return self.resumed[session] + self.queued[session]

    @rule(session=sessions, pid=pids)
    def enter(self, session: str, pid: str) -> None:
        """One enters what is free, or what it alone holds already."""
        free = self.held[session] in ([], [pid])
        assert self.gate.enter(session, pid) == free
        if free:
            self.held[session] = [pid]

    @rule(session=sessions, pid=pids)
    def share(self, session: str, pid: str) -> None:
        """One shares whatever the others do, and waits no longer."""
        self.gate.share(session, pid)
        for queue in (self.resumed[session], self.queued[session]):
            if pid in queue:
                queue.remove(pid)
        if pid not in self.held[session]:
            self.held[session].append(pid)

    @rule(session=sessions, pid=pids, ahead=st.booleans())
    def wait(self, session: str, pid: str, ahead: bool) -> None:
        """One waits for a session that others hold, once."""
        legal = (
            self.held[session] and pid not in self.held[session] and pid not in self.queue(session)
        )
        try:
            place = self.gate.wait(session, pid, ahead=ahead)
        except KernelBug:
            assert not legal
        else:
            assert legal
            (self.resumed if ahead else self.queued)[session].append(pid)
            assert place == self.queue(session).index(pid) + 1

    @rule(session=sessions, pid=pids)
    def leave(self, session: str, pid: str) -> None:
        """The last one to leave hands over to the first who waits."""
        expected = None
        if pid in self.held[session]:
            self.held[session].remove(pid)
            if not self.held[session] and self.queue(session):
                expected = self.queue(session)[0]
                (self.resumed[session] or self.queued[session]).pop(0)
                self.held[session] = [expected]
        assert self.gate.leave(session, pid) == expected

    @rule(session=sessions, pid=pids)
    def withdraw(self, session: str, pid: str) -> None:
        """Who waits may stop waiting; for anyone else nothing changes."""
        self.gate.withdraw(session, pid)
        for queue in (self.resumed[session], self.queued[session]):
            if pid in queue:
                queue.remove(pid)

    @invariant()
    def it_is_as_the_lists_say(self) -> None:
        """Holders, places and memory are the lists'."""
        for session in SESSIONS:
            assert self.gate.holders(session) == tuple(self.held[session])
            queue = self.queue(session)
            assert self.held[session] or not queue
            for pid in PIDS:
                place = queue.index(pid) + 1 if pid in queue else None
                assert self.gate.position(session, pid) == place
        assert len(self.gate) == sum(bool(held) for held in self.held.values())


TestSessionGate = Doors.TestCase
TestSessionGate.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
