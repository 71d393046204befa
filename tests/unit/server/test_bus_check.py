"""What `tower doctor` says of Redis."""

from server.commands.bus_check import examine_bus
from tests.rig.redis import server_url


def test_a_bus_that_answers_says_what_it_is() -> None:
    """By its version."""
    found = examine_bus(server_url())
    assert (found.verdict, found.said.endswith(" answers")) == ("ok", True)
    assert found.said[0].isdigit()


def test_a_bus_that_is_away_keeps_no_server_from_working() -> None:
    """So it is a note; and its password is nobody's business."""
    found = examine_bus("redis://:hunter22@127.0.0.1:1/0")
    assert found.verdict == "note"
    assert found.said.startswith("does not answer")
    assert "hunter22" not in found.said + found.advice
