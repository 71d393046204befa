"""Two servers over PostgreSQL: one dies, sleeps or loses its database, the other goes on.

``TOWER_FAULTS`` says how many faults the soak has; see ``failing_over.py`` for running it by hand.
"""

import os
import sys
import time
from pathlib import Path
from random import Random

import pytest

from control_tower.store.seat import LEASE_S
from tests.faults.failing_over import FAULTS, run

SOAK_FAULTS = int(os.environ.get("TOWER_FAULTS", "75"))
SECONDS_A_FAULT = 60
"""At most, on a machine that does much else."""

TAKEOVER_S = 15


async def fail_and_judge(
    folder: Path, faults: list[str], seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run, print the figures, fail on anything wrong."""
    verdict = await run(folder, faults, seed)
    with capsys.disabled():
        sys.stdout.write(f"\nseed {seed}\n{verdict.table()}\n")
    assert verdict.wrong == []
    assert verdict.figures["missions"] > len(faults), "hardly anything happened between the faults"


def test_a_lease_leaves_time_for_a_takeover() -> None:
    """The lease, a look whether it is over and a start fit into what is promised."""
    assert LEASE_S + 6 <= TAKEOVER_S


@pytest.mark.slow
@pytest.mark.timeout(60 + len(FAULTS) * SECONDS_A_FAULT)
async def test_nothing_is_lost_when_a_server_or_the_database_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of each: acknowledged work, answers, order, effects, and who slept writes nothing."""
    await fail_and_judge(tmp_path, list(FAULTS), 1, capsys)


@pytest.mark.soak
@pytest.mark.timeout(60 + SOAK_FAULTS * SECONDS_A_FAULT)
async def test_nothing_is_lost_in_many_faults(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same with the full count and a new seed, which is printed."""
    seed = int(time.time())
    faults = Random(seed).choices(FAULTS, k=SOAK_FAULTS)
    await fail_and_judge(tmp_path, faults, seed, capsys)
