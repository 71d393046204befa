"""Kills in the middle of erasures and of retention: the log is whole, and the work is finished."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from control_tower.erasure import Eraser
from control_tower.retention import DAY_S, Kept, Retention
from control_tower.store import SqliteStore
from tests.contract.store.kit import Recorder, StillClock, commit, joined
from tests.unit.control_tower.store.tending import EVENTS, MESSAGES

CHILD = [sys.executable, "-m", "tests.unit.control_tower.store.tending"]


def until_killed(folder: Path, pieces: int) -> list[tuple[str, str]]:
    """Let a child work until it kills itself; return what it said."""
    child = subprocess.run(
        [*CHILD, str(folder), str(pieces)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL
    return [(words[0], words[1]) for words in map(str.split, child.stdout.splitlines())]


async def opened(folder: Path) -> SqliteStore:
    """Open the folder after a kill."""
    return await SqliteStore.open(
        folder,
        publish=Recorder(),
        clock=StillClock(),
        url="http://127.0.0.1:0",
        on_fatal=lambda _: None,
    )


async def log(store: SqliteStore, topic: str) -> list[dict[str, Any]]:
    """All events of a topic."""
    found, after = [], 0
    while after < store.head:
        page = await store.read([topic], after, store.head)
        found += [json.loads(event.body)["params"] for event in page.events]
        after = page.upto
    return found


async def check(store: SqliteStore, said: list[tuple[str, str]]) -> None:
    """The log has no gap above its floor, and each session is whole, cut, or gone."""
    everything = await log(store, "system")
    floor = await store.floor(["system"])
    above = [event["offset"] for event in everything if event["offset"] > floor]
    assert above == list(range(floor + 1, store.head + 1))
    text = json.dumps(everything)
    erased = {session_id for word, session_id in said if word == "erased"}
    for session_id in {session_id for word, session_id in said if word == "filled"}:
        session = await store.session(session_id)
        if session is None:
            assert session_id.endswith("goes")
            assert session_id not in text
            assert await store.mission(session_id.replace("s_", "m_")) is None
            continue
        assert session_id not in erased
        theirs = [event["offset"] for event in await log(store, f"session:{session_id}")]
        cut = await store.floor([f"session:{session_id}"])
        assert not theirs or theirs[0] > cut
        assert len(theirs) == EVENTS if not cut else len(theirs) < EVENTS
        assert len(await store.messages(session_id, 1000, 0)) == MESSAGES


async def killed_and_checked(folder: Path, pieces: int) -> int:
    """Kill a child once; return how many erasures it left unfinished."""
    said = await asyncio.to_thread(until_killed, folder, pieces)
    store = await opened(folder)
    eraser = Eraser(store, StillClock())
    unfinished = await store.marked_sessions()
    await eraser.finish()
    await check(store, said)
    assert await store.marked_sessions() == []
    rounds = Retention(store, StillClock(), Kept(30 * DAY_S, 7 * DAY_S))
    await rounds.round()
    assert await rounds.round() == 0
    await check(store, said)
    await eraser.scrubbed()
    await commit(store, drafts=[joined()])
    await eraser.close()
    await store.close()
    return len(unfinished)


@pytest.mark.slow
async def test_kills_in_the_middle_of_upkeep(tmp_path: Path) -> None:
    """The first within an erasure, which is then finished."""
    assert await killed_and_checked(tmp_path, 3) == 1
    for pieces in (8, 14):
        await killed_and_checked(tmp_path, pieces)


@pytest.mark.soak
async def test_many_kills_in_the_middle_of_upkeep(tmp_path: Path) -> None:
    """At each of the first pieces, and some of many."""
    unfinished = 0
    for pieces in range(1, 61):
        unfinished += await killed_and_checked(tmp_path, pieces)
    assert unfinished > 10
