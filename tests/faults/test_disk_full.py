"""A disk that fills up: new work is refused, running missions wait, reads go on."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.faults.conftest import completed_steps
from tests.faults.small_disk import IMPOSSIBLE
from tests.integration.tower_process import ROOT, Refused, TowerProcess, Wire, wire

pytestmark = pytest.mark.slow

MIB = 1 << 20
DISK_BYTES = 160 * MIB
STEPS = 600


@pytest.fixture
def small_disk(tmp_path: Path) -> TowerProcess:
    """A server, not started, whose data folder is a disk of its own."""
    folder = tmp_path / "data"
    folder.mkdir()
    inside = (sys.executable, "-m", "tests.faults.small_disk", str(DISK_BYTES), str(folder))
    probe = subprocess.run([*inside, "true"], cwd=ROOT, capture_output=True, text=True, check=False)
    if probe.returncode == IMPOSSIBLE:
        pytest.skip(f"this machine lends no small disk: {probe.stderr}")
    tower = TowerProcess(folder, TOWER_RATE_LIMITS="off")
    tower.program = (*inside, *tower.program)
    return tower


class Filler:
    """A file that takes room on a server's disk."""

    def __init__(self, tower: TowerProcess) -> None:
        # An absolute path would leave /proc behind.
        self.folder = Path(f"/proc/{tower.pid}/root") / tower.data_dir.relative_to("/")
        self.file = self.folder / "filler"

    def leave(self, free_bytes: int) -> None:
        """Take all but ``free_bytes``."""
        status = os.statvfs(self.folder)
        descriptor = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            left = status.f_bavail * status.f_frsize - free_bytes
            while left > 0:
                left -= os.write(descriptor, bytes(min(left, MIB)))
        except OSError:
            assert free_bytes == 0
        finally:
            os.close(descriptor)

    def fill(self) -> None:
        """Take everything, to the last page."""
        self.leave(0)
        descriptor = os.open(self.file, os.O_WRONLY | os.O_APPEND)
        try:
            while os.write(descriptor, bytes(4096)):
                pass
        except OSError:
            os.close(descriptor)

    def free(self) -> None:
        """Give it back."""
        self.file.unlink()


async def test_a_full_disk_is_waited_out(small_disk: TowerProcess) -> None:
    """Down to the reserve, down to nothing, and back: no restart, nothing lost, nothing twice."""
    tower = small_disk.start()
    try:
        async with wire(tower.ws_url) as ws:
            await ws.call("subscribe", topics=["system"], since="start")
            asks = await ws.call("mission.submit", mission="ask me my name")
            question = (await ws.event("interrupt.raised"))["data"]["interrupt_id"]
            works = await ws.call("mission.submit", mission=f"work {STEPS} steps")
            await ws.event("step.completed")
            filler = Filler(tower)

            filler.leave(40 * MIB)
            await new_work_is_refused(tower, ws)
            for _ in range(5):
                await ws.event("step.completed")  # what runs has the reserve to itself

            filler.fill()
            await quiet(ws)
            assert "store.disk_full" in tower.log.read_text()
            await reads_go_on(tower, ws, works["mission_id"])
            answering = asyncio.create_task(answer(tower, question))
            await asyncio.wait({answering}, timeout=1.5)

            filler.free()
            # Answered late, or refused and answered again: in the end it counts once.
            await asyncio.gather(answering, return_exceptions=True)
            await answer(tower, question)
            again = await ws.call("mission.submit", mission="calculate 1 + 1")
            left = {each["mission_id"] for each in (asks, works, again)}
            while left:
                ended = await ws.ended()
                assert ended["type"] == "mission.completed"
                left.discard(ended["mission_id"])
            steps = completed_steps(ws.durable, works["mission_id"])
            assert len(steps) == len(set(steps)) == STEPS
            offsets = [event["offset"] for event in ws.durable]
            assert offsets == list(range(1, len(offsets) + 1))
        assert tower.stop() == 0
    finally:
        tower.end()


async def new_work_is_refused(tower: TowerProcess, ws: Wire) -> None:
    """Over both wires, with what a client needs to know: it was certainly not taken."""
    with pytest.raises(Refused) as refused:
        await ws.call("mission.submit", mission="calculate 1 + 1")
    assert refused.value.code == "unavailable"
    assert refused.value.details["outcome"] == "rejected"
    async with httpx2.AsyncClient(base_url=tower.url) as http:
        reply = await http.post("/api/v1/requests", json={"user_message": "calculate 1 + 1"})
    assert (reply.status_code, reply.json()["code"]) == (507, "unavailable")
    assert "Retry-After" in reply.headers


async def reads_go_on(tower: TowerProcess, ws: Wire, pid: str) -> None:
    """The mission that waits for room, its log, the health of the process."""
    block = await ws.call("mission.get", mission_id=pid)
    assert block["state"] == "running"
    async with wire(tower.ws_url) as other:
        await other.call("subscribe", topics=["system"], since="start")
        await other.event("replay.done")
        assert other.durable == ws.durable
    async with httpx2.AsyncClient(base_url=tower.url) as http:
        assert (await http.get("/health")).status_code == 200


async def quiet(ws: Wire) -> None:
    """Wait until nothing comes any more."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        before = len(ws.durable)
        try:
            async with asyncio.timeout(2.5):
                await ws.event(lambda event: "offset" in event)
        except TimeoutError:
            if len(ws.durable) == before:
                return
    raise AssertionError("a full disk still takes events")


async def answer(tower: TowerProcess, question: str) -> Any:
    """Answer a question on a connection of its own."""
    async with wire(tower.ws_url) as ws:
        return await ws.call("clarify", clarification_id=question, answer="Ada")
