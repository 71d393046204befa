"""A process that commits until it is killed, or until its disk fails; run by the crash tests.

Usage: ``python -m tests.unit.control_tower.store.crashing FOLDER [BYTES]``. It writes a line to
standard output for each acknowledged unit: its first offset, its mission and its step. With
``BYTES`` no file of it may grow beyond that, which the engine meets as an I/O error.
"""

import asyncio
import os
import resource
import sys
from pathlib import Path

import structlog

from control_tower.records import StepStatus
from control_tower.store import SqliteStore
from control_tower.unit import Commit, InsertMessage, SaveMission, SaveStep, StoreFailed, Unit
from tests.contract.store.kit import (
    Recorder,
    StillClock,
    commit,
    founding,
    guard,
    message,
    mission,
    progress,
    scope,
    settled,
    step,
)

MISSIONS = 10


def say(*words: object) -> None:
    """Write a line in one write, so that a kill tears none."""
    os.write(1, (" ".join(str(word) for word in words) + "\n").encode())


async def run_mission(store: SqliteStore, number: int) -> None:
    """Commit steps, one after another, for ever."""
    pcb = mission(f"m_{os.getpid()}_{number}", f"s_{os.getpid()}_{number}")
    await commit(store, *founding(pcb))
    where = scope(pcb)
    turn = 0
    while True:
        turn += 1
        record = step(pcb.pid, str(turn), StepStatus.COMPLETED)
        said = message(f"msg_{pcb.pid}_{turn}", pcb.session_id, f"turn {turn}")
        unit = Unit(
            [progress(where, "x" * 300), progress(where)],
            [SaveMission(pcb), SaveStep(record, 1), InsertMessage(said)],
            guard=guard(pcb.pid),
        )
        outcome = await settled(store, unit)
        if isinstance(outcome, StoreFailed):
            say("refused", outcome.outcome)
            return
        assert isinstance(outcome, Commit), outcome
        say(outcome.offset, pcb.pid, turn)


async def main(folder: Path) -> None:
    """Run some missions at once."""

    def fatal(error: BaseException) -> None:
        say("fatal", type(error).__name__)

    store = await SqliteStore.open(
        folder, publish=Recorder(), clock=StillClock(), url="http://child", on_fatal=fatal
    )
    if len(sys.argv) > 2:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
    await asyncio.gather(*(run_mission(store, number) for number in range(MISSIONS)))
    await store.close()
    say("closed")


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(Path(sys.argv[1])))
