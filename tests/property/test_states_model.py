"""Whatever is asked of a mission's state, it goes where the contract's table lets it go."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from control_tower.errors import IllegalTransition
from control_tower.process import Process, Proposal, scope_of
from control_tower.records import ProcessControlBlock
from control_tower.states import TRANSITIONS, Outcome, State, Status, status_of
from control_tower.unit import Commit

# The table of the contract, written down a second time: the code must not drift from it.
CONTRACT = """
new: ready blocked terminated
ready: running paused terminated
running: ready waiting blocked paused terminated
waiting: ready blocked paused terminated
blocked: ready waiting paused terminated
paused: ready waiting blocked terminated
terminated:
"""
TABLE = {
    State(source): {State(target) for target in targets.split()}
    for source, _, targets in (line.partition(":") for line in CONTRACT.split("\n") if line)
}
states = st.sampled_from(State)
reasons = st.none() | st.sampled_from(["sleep", "child", "paused"])


def test_the_code_has_the_contracts_table() -> None:
    """Arrow for arrow."""
    assert {source: set(targets) for source, targets in TRANSITIONS.items()} == TABLE


class Walk(RuleBasedStateMachine):
    """A mission's proposals, some of them committed and some refused."""

    def __init__(self) -> None:
        super().__init__()
        pcb = ProcessControlBlock(
            pid="m_1",
            session_id="s_1",
            user_id="u",
            agent="a",
            mission="go",
            inputs={},
            state=State.NEW,
            lineage=("m_1",),
            created_at=0.0,
        )
        self.process = Process(pcb, scope_of(pcb))
        self.committed: tuple[State, str | None] = (State.NEW, None)
        self.drawn: tuple[State, str | None] = (State.NEW, None)
        self.p = Proposal.of(self.process, 0.0)

    @rule(to=states, reason=reasons)
    def move(self, to: State, reason: str | None) -> None:
        """An arrow of the table is taken with its reason, another changes nothing."""
        if to in TABLE[self.drawn[0]]:
            self.p.move(to, reason)
            self.drawn = (to, reason)
        else:
            with pytest.raises(IllegalTransition) as raised:
                self.p.move(to, reason)
            assert (raised.value.source, raised.value.target) == (self.drawn[0], to)

    @rule()
    def commit(self) -> None:
        """Only a commit changes the process."""
        self.p.apply(Commit(()))
        self.committed = self.drawn
        self.p = Proposal.of(self.process, 0.0)

    @rule()
    def refuse(self) -> None:
        """What is refused has not been."""
        self.drawn = self.committed
        self.p = Proposal.of(self.process, 0.0)

    @invariant()
    def both_are_where_they_should_be(self) -> None:
        """The process as committed, the proposal as drawn up; an end is for ever."""
        pcb, drawn = self.process.pcb, self.p.pcb
        assert (pcb.state, pcb.state_reason) == self.committed
        assert (drawn.state, drawn.state_reason) == self.drawn
        if pcb.state is State.TERMINATED:
            assert drawn.state is State.TERMINATED

    @invariant()
    def outsiders_get_a_word_for_it(self) -> None:
        """Waiting is shown as such, an end by its outcome, everything else as processing."""
        state = self.p.pcb.state
        for outcome in Outcome:
            shown = status_of(state, outcome if state is State.TERMINATED else None)
            if state is State.TERMINATED:
                done = outcome is Outcome.COMPLETED
                assert shown is (Status.COMPLETED if done else Status.FAILED)
            else:
                waits = state is State.WAITING
                assert shown is (Status.WAITING if waits else Status.PROCESSING)


TestStates = Walk.TestCase
TestStates.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
