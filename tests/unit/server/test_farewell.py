"""What a person reads who leaves a mission."""

import pytest

from server.commands.farewell import left


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("confirmation", "tower approve i_1 --data-dir d (or --no)"),
        ("clarification", 'tower approve i_1 --answer "…" --data-dir d'),
        ("unknown_outcome", "tower approve i_1 --answer retry|it_happened|fail"),
        ("of_tomorrow", "question i_1"),
    ],
)
def test_an_open_question_names_its_command(kind: str, command: str) -> None:
    """With the options that find the same server again."""
    question = {"interrupt_id": "i_1", "kind": kind}
    said = left("m_1", question, ours=False, again=" --data-dir d")
    assert "m_1 waits for an answer" in said
    assert command in said
    assert "tower cancel m_1 --data-dir d" in said
    assert "serve" not in said


def test_a_server_that_ends_too_must_be_started_first() -> None:
    """Else the command would find nobody."""
    question = {"interrupt_id": "i_1", "kind": "confirmation"}
    assert "start tower serve, then tower approve i_1" in left("m_1", question, ours=True)


def test_a_running_mission_goes_on() -> None:
    """On its server, or at the next start of one."""
    assert "goes on at the server" in left("m_1", None, ours=False)
    assert "goes on at the next tower serve" in left("m_1", None, ours=True)
