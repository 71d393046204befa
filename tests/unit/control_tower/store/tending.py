"""A process that erases and lets age, and kills itself in the middle of it.

Usage: ``python -m tests.unit.control_tower.store.tending FOLDER PIECES``. It dies by SIGKILL right
behind handing over so many pieces of upkeep, whatever the writer is doing then. Before, it writes a
line to standard output for each session that it has filled (``filled``) or erased (``erased``).
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

import structlog

from control_tower.erasure import Eraser
from control_tower.retention import DAY_S, Kept, Retention
from control_tower.store import SqliteStore
from control_tower.unit import InsertMessage, SaveMission, Tend, Unit
from tests.contract.store.kit import Recorder, StillClock, commit, founding, message, mission
from tests.contract.store.test_retaining import ended, events
from tests.unit.control_tower.store.crashing import say

EVENTS = 700
MESSAGES = 250
NOW = StillClock().now()
OLD = NOW - 40 * DAY_S


async def fill(store: SqliteStore, session_id: str, at: float) -> None:
    """Make a session with a mission that has ended, more than fits one piece."""
    pcb = mission(session_id.replace("s_", "m_"), session_id)
    said = [
        InsertMessage(message(f"msg_{session_id}_{n}", session_id, f"word {n}"))
        for n in range(MESSAGES)
    ]
    end = SaveMission(ended(pcb, at))
    await commit(store, *founding(pcb), *said, end, drafts=events(pcb, EVENTS, at))
    say("filled", session_id)


class Mortal(SqliteStore):
    """A store whose process dies in the middle of its upkeep."""

    pieces = 0

    def submit(self, unit: Unit) -> None:
        """Hand a unit over, and count those that tend."""
        super().submit(unit)
        if any(isinstance(write, Tend) for write in unit.writes):
            self.pieces -= 1
            if self.pieces == 0:
                os.kill(os.getpid(), signal.SIGKILL)


async def main(folder: Path, pieces: int) -> None:
    """Fill sessions; every second one is erased, the others are old."""
    store = await Mortal.open(
        folder, publish=Recorder(), clock=StillClock(), url="http://child", on_fatal=print
    )
    store.pieces = pieces
    eraser = Eraser(store, StillClock())
    await eraser.finish()
    rounds = Retention(store, StillClock(), Kept(30 * DAY_S, 7 * DAY_S))
    for turn in range(1_000):
        lasting, doomed = f"s_{os.getpid()}_{turn}_lasts", f"s_{os.getpid()}_{turn}_goes"
        await fill(store, lasting, OLD)
        await fill(store, doomed, NOW)
        session = await store.session(doomed)
        assert session is not None
        aging = asyncio.create_task(rounds.round())
        await eraser.begin_session(session)
        await eraser.session_erased(doomed)
        say("erased", doomed)
        await aging


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
