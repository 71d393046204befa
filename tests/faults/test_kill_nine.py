"""`kill -9`, again and again, under twenty missions in flight: nothing lost, nothing done twice.

``TOWER_KILLS`` says how often; see ``killing.py`` for running it by hand.
"""

import os
import sys
import time
from pathlib import Path

import pytest

from tests.faults.killing import run

KILLS = int(os.environ.get("TOWER_KILLS", "20"))
SOAK_KILLS = int(os.environ.get("TOWER_KILLS", "300"))
SECONDS_A_KILL = 20
"""At most, on a machine that does much else."""


async def kill_and_judge(
    folder: Path, kills: int, seed: int, capsys: pytest.CaptureFixture[str], **settings: str
) -> None:
    """Run, print the figures, fail on anything wrong."""
    verdict = await run(folder, kills, seed, **settings)
    with capsys.disabled():
        sys.stdout.write(f"\nseed {seed}\n{verdict.table()}\n")
    assert verdict.wrong == []
    assert verdict.figures["kills"] == kills
    assert verdict.figures["missions"] > kills, "hardly anything happened between the kills"


@pytest.mark.slow
@pytest.mark.timeout(60 + KILLS * SECONDS_A_KILL)
async def test_nothing_is_lost_and_nothing_is_done_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every promise of the README that a kill could break, judged from outside the server."""
    await kill_and_judge(tmp_path, KILLS, 1, capsys)


@pytest.mark.soak
@pytest.mark.timeout(60 + SOAK_KILLS * SECONDS_A_KILL)
async def test_nothing_is_lost_in_many_kills(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same with the full count and a new seed, which is printed."""
    await kill_and_judge(tmp_path, SOAK_KILLS, int(time.time()), capsys)
