"""The table of states: complete, absorbing at its end, and drawn in the docs."""

from pathlib import Path

import pytest

from control_tower.errors import IllegalTransition
from control_tower.states import (
    TRANSITIONS,
    Outcome,
    State,
    Status,
    diagram,
    status_of,
    transition,
)

DOCS = Path(__file__).parents[3] / "docs" / "ARCHITECTURE.md"


def test_the_table_names_every_state() -> None:
    """Nothing is left to a default, and nothing follows the end."""
    assert set(TRANSITIONS) == set(State)
    assert TRANSITIONS[State.TERMINATED] == frozenset()
    assert all(State.TERMINATED in TRANSITIONS[s] for s in State if s is not State.TERMINATED)


@pytest.mark.parametrize("source", State)
def test_only_the_tables_arrows_are_taken(source: State) -> None:
    """Every pair is either in the table or raises."""
    for target in State:
        if target in TRANSITIONS[source]:
            assert transition(source, target) is target
        else:
            with pytest.raises(IllegalTransition, match=f"{source} to {target}"):
                transition(source, target)


def test_the_diagram_in_the_docs_is_the_table() -> None:
    """docs/ARCHITECTURE.md shows what the code does."""
    assert diagram() in DOCS.read_text()


@pytest.mark.parametrize("outcome", Outcome)
def test_a_status_for_outsiders(outcome: Outcome) -> None:
    """Four words: processing, waiting, completed, failed."""
    expected = Status.COMPLETED if outcome is Outcome.COMPLETED else Status.FAILED
    assert status_of(State.TERMINATED, outcome) is expected
    assert status_of(State.WAITING, None) is Status.WAITING
    for state in (State.NEW, State.READY, State.RUNNING, State.BLOCKED, State.PAUSED):
        assert status_of(state, None) is Status.PROCESSING
