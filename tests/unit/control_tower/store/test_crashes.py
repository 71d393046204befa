"""A process killed in the middle of commits, or whose disk fails, and what the next one finds."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from control_tower.store import SqliteStore
from tests.contract.store.kit import Recorder, StillClock, commit, joined

CHILD = [sys.executable, "-m", "tests.unit.control_tower.store.crashing"]


def acknowledged_until_killed(folder: Path, lines: int) -> list[tuple[int, str, str]]:
    """Let a child commit, kill it after some acknowledgements, return all it gave."""
    with subprocess.Popen([*CHILD, str(folder)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        heard = [child.stdout.readline() for _ in range(lines)]
        child.kill()
        heard += child.stdout.readlines()
    return [(int(line.split()[0]), *line.split()[1:3]) for line in heard]  # type: ignore[misc]


async def opened(folder: Path) -> SqliteStore:
    """Open the folder after the crash."""
    return await SqliteStore.open(
        folder,
        publish=Recorder(),
        clock=StillClock(),
        url="http://127.0.0.1:0",
        on_fatal=lambda _: None,
    )


async def whole_log(store: SqliteStore) -> dict[int, str]:
    """Return the mission of every event, having checked that no offset is missing."""
    found: dict[int, str] = {}
    after = 0
    while after < store.head:
        page = await store.read(["system"], after, store.head)
        found |= {event.offset: event.scope.mission_id or "" for event in page.events}
        after = page.upto
    assert list(found) == list(range(1, store.head + 1))
    return found


@pytest.mark.slow
async def test_nothing_acknowledged_is_lost_by_kills(tmp_path: Path) -> None:
    """After each kill the log is whole, rows agree with it, and every acknowledgement stands."""
    ledger: list[tuple[int, str, str]] = []
    epochs = set()
    for lines in (1, 40, 333):
        ledger += await asyncio.to_thread(acknowledged_until_killed, tmp_path, lines)
        store = await opened(tmp_path)
        epochs.add(store.epoch)
        log = await whole_log(store)
        assert len({offset for offset, _, _ in ledger}) == len(ledger), "an offset was reused"
        for offset, pid, number in ledger:
            assert log[offset] == log[offset + 1] == pid
            assert (offset + 1, number) in {
                (record.offset, record.step) for record in await store.steps(pid)
            }
        for pid in {pid for _, pid, _ in ledger}:
            steps = await store.steps(pid)
            session_id = pid.replace("m_", "s_")
            said = await store.messages(session_id, 100_000, 0)
            events = [offset for offset, of in log.items() if of == pid]
            assert [record.offset for record in steps] == events[1::2]
            assert len(said) == len(steps), "rows of one unit were parted"
        assert (await commit(store, drafts=[joined()])).offset == len(log) + 1
        await store.close()
    assert len(ledger) >= 374
    assert len(epochs) == 1


@pytest.mark.slow
async def test_an_io_error_stops_the_writing_and_loses_nothing_acknowledged(
    tmp_path: Path,
) -> None:
    """A limit on file sizes makes the kernel fail the engine's writes for real."""
    child = await asyncio.to_thread(
        subprocess.run,
        [*CHILD, str(tmp_path), str(600_000)],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = child.stdout.splitlines()
    assert lines.count("fatal DatabaseBroken") == 1
    assert lines[-1] == "closed"
    refused = [line for line in lines if line.startswith("refused")]
    assert len(refused) == 10
    assert "refused unknown" in refused
    acknowledged = [int(line.split()[0]) for line in lines if line[0].isdigit()]
    assert acknowledged
    store = await opened(tmp_path)
    assert store.head >= max(acknowledged)
    log = await whole_log(store)
    assert set(acknowledged) <= set(log)
    await store.close()
