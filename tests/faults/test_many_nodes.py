"""Three nodes that all serve: they die, sleep, lose the bus and the database, and nothing is lost.

See ``many_nodes.py`` for running it by hand, with as many faults as you like.
"""

import sys
import time
from pathlib import Path

import pytest

from tests.faults.many_nodes import Plan, run
from tests.faults.takeovers import Loss, takeovers_s
from tests.faults.witness import Event

SOAK = Plan(kills=50, sleeps=5, database_restarts=5, bus_restarts=10, bus_pauses=5)


async def fail_and_judge(
    folder: Path, plan: Plan, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run, print the figures, fail on anything wrong."""
    verdict = await run(folder, plan, seed)
    with capsys.disabled():
        sys.stdout.write(f"\nseed {seed}\n{verdict.table()}\n")
    assert verdict.wrong == []
    assert verdict.figures["faults: kill"] == plan.kills
    assert verdict.figures["takeovers measured"] > 0, "nobody was at home where something died"
    assert verdict.figures["missions"] > 5 * plan.kills, "hardly anything happened meanwhile"


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_nothing_is_lost_when_nodes_the_bus_or_the_database_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Work, answers, order and effects; users go on within 15 s; who slept writes nothing."""
    await fail_and_judge(tmp_path, Plan(), 1, capsys)


@pytest.mark.soak
@pytest.mark.timeout(7200)
async def test_nothing_is_lost_in_many_faults_of_many_nodes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same with the full counts and a new seed, which is printed."""
    await fail_and_judge(tmp_path, SOAK, int(time.time()), capsys)


def event(user_id: str, second: float) -> Event:
    """Return an event of a user, made at a second of an hour."""
    return {"user_id": user_id, "at": f"2026-01-01T00:00:{second:06.3f}Z"}


def test_a_takeover_lasts_until_the_last_user_goes_on() -> None:
    """What happened before, or to others, is none; a node without users has none either."""
    midnight = 1_767_225_600.0
    events = [event("ann", 1), event("bob", 2), event("zoe", 5), event("ann", 6), event("bob", 9.5)]
    losses = [
        Loss("killed", ("ann", "bob"), midnight + 4),
        Loss("killed", (), midnight + 5),
        Loss("killed", ("nobody",), midnight + 5),
    ]
    assert list(takeovers_s(losses, events)) == [5.5]


def test_a_wait_begins_with_the_last_loss_before_it_ends() -> None:
    """Whose second home is lost, too, before it did anything, is taken over once, but later."""
    midnight = 1_767_225_600.0
    losses = [Loss("killed", ("ann", "bob"), midnight), Loss("killed", ("ann",), midnight + 10)]
    events = [event("bob", 9), event("ann", 21)]
    assert list(takeovers_s(losses, events)) == [9.0, 11.0]
