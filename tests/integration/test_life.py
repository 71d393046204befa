"""`tower backup`, `restore`, `erase` and `db`, beside a server and without one."""

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import structlog
from typer.testing import CliRunner, Result

from server.commands.tower import app
from tests.integration.conftest import MakeTower
from tests.integration.tower_process import wire

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """A command may configure the logs of its process, which here is the tests'."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


async def tower(folder: Path, *arguments: str, typed: str = "") -> Result:
    """Run a command to its end, with a loop of its own."""
    return await asyncio.to_thread(
        CliRunner().invoke, app, [*arguments, "--data-dir", str(folder)], input=typed
    )


async def test_a_mission_goes_on_from_a_backup(make_tower: MakeTower, tmp_path: Path) -> None:
    """Made while it asked, restored after a kill; answered, it ends. Old offsets are void."""
    folder, file = tmp_path / "data", tmp_path / "b.db"
    process = make_tower()
    async with wire(process.ws_url) as ws:
        ack = await ws.call("mission.submit", mission="write a.txt: x; delete a.txt")
        asked = await ws.event("interrupt.raised")
        made = await tower(folder, "backup", str(file), "--json")
        assert made.exit_code == 0, made.output
        await ws.call("mission.submit", mission="calculate 1 + 1")
        await ws.ended()
        before = await ws.call("hello")
    refused = await tower(folder, "restore", str(file))
    assert refused.exit_code == 1
    assert str(process.pid) in refused.stderr
    process.kill()
    restored = await tower(folder, "restore", str(file), "--json")
    assert restored.exit_code == 0, restored.output
    assert json.loads(restored.stdout)["epoch"] != before["epoch"]
    process = make_tower()
    async with wire(process.ws_url) as ws:
        after = await ws.call("hello")
        assert after["epoch"] == json.loads(restored.stdout)["epoch"]
        topics = [f"mission:{ack['mission_id']}"]
        again = await ws.call("subscribe", topics=topics, since=1, epoch=before["epoch"])
        assert (again["recovered"], again["reason"]) == (False, "epoch_changed")
        await ws.call("confirm", confirmation_id=asked["data"]["interrupt_id"], approved=True)
        ended = await ws.ended()
        assert ended["type"] == "mission.completed"
        assert len(await ws.call("session.list")) == 1


async def test_erasing_beside_a_server_and_without_one(
    make_tower: MakeTower, tmp_path: Path
) -> None:
    """Asked for the name again, unless told not to."""
    folder = tmp_path / "data"
    process = make_tower()
    sessions = []
    async with httpx2.AsyncClient(base_url=process.url, timeout=30) as http:
        for text in ("calculate 1 + 1", "write b.txt: marmot; delete b.txt"):
            ask = "/api/v1/requests?wait_s=15"
            answer = await http.post(ask, json={"user_message": text, "user_id": "bob"})
            sessions.append(answer.json()["session_id"])
    assert (await tower(folder, "erase")).exit_code == 2
    wrong = await tower(folder, "erase", "--session", sessions[0], typed="other\n")
    assert (wrong.exit_code, "nothing was erased" in wrong.stderr) == (1, True)
    done = await tower(folder, "erase", "--session", sessions[0], typed=f"{sessions[0]}\n")
    assert done.exit_code == 0, done.output
    assert (await tower(folder, "erase", "--session", sessions[0], "--yes")).exit_code == 1
    process.kill()
    done = await tower(folder, "erase", "--user", "bob", "--yes")
    assert done.exit_code == 0, done.output
    assert (await tower(folder, "erase", "--user", "bob", "--yes")).exit_code == 1
    left = [path.name for path in folder.iterdir() if b"marmot" in path.read_bytes()]
    assert left == []
    status = await tower(folder, "db", "status", "--json")
    assert status.exit_code == 0
    told = json.loads(status.stdout)
    assert told["schema"] == told["known_schema"]
    assert told["served_at"] is None
    assert "schema" in (await tower(folder, "db", "upgrade")).stdout
    assert (await tower(tmp_path / "none", "db", "status")).exit_code == 1
