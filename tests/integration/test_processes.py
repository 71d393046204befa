"""`tower serve --processes 2`, over a real PostgreSQL and a real Redis: one tower on one port."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from control_tower.store import holder_of
from server.commands.tower import app
from server.processes import data_dir_of
from tests.integration.tower_process import TowerProcess, eventually, wire
from tests.rig.postgres import fresh_database
from tests.rig.redis import server_url

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quiet_logs")]


@pytest.fixture
def family(tmp_path: Path, postgres: str) -> Iterator[TowerProcess]:
    """Two processes on a port, which ask for keys."""
    with fresh_database(postgres) as database:
        tower = TowerProcess(
            tmp_path / "data",
            "--processes",
            "2",
            TOWER_AUTH="keys",
            TOWER_DATABASE_URL=database,
            TOWER_REDIS_URL=server_url(),
        )
        try:
            yield tower.start()
        finally:
            tower.end()


def holders(tower: TowerProcess) -> list[int | None]:
    """Return the process ids that hold the data folders of the processes."""
    found = [holder_of(data_dir_of(tower.data_dir, number)) for number in (1, 2)]
    return [None if holder is None else holder.pid for holder in found]


async def test_two_processes_are_one_tower_to_commands_and_signals(family: TowerProcess) -> None:
    """Whichever process a command meets, it takes the family's token; who dies is replaced."""
    held = holder_of(family.data_dir)
    assert held is not None
    assert (held.pid, held.url) == (family.pid, family.url)
    first = holders(family)
    assert len({family.pid, *first}) == 3

    async def tower(*arguments: str) -> Result:
        command = [*arguments, "--data-dir", str(family.data_dir)]
        return await asyncio.to_thread(CliRunner().invoke, app, command)

    for number in range(8):  # each is a connection of its own, so both processes get some
        made = await tower("keys", "create", "--user", f"user-{number}")
        assert made.exit_code == 0, made.stderr
    key = made.stdout.strip()
    async with wire(family.ws_url, Authorization=f"Bearer {key}") as ws:
        await ws.call("mission.submit", mission="calculate 6 * 7")
        assert (await ws.ended())["data"]["result"] == "6 * 7 = 42"
    assert first[0] is not None
    os.kill(first[0], signal.SIGKILL)
    await eventually(lambda: holders(family)[0] not in {None, first[0]}, 60)
    assert holders(family)[1] == first[1]
    family.signal(signal.SIGTERM)
    assert family._process is not None
    assert family._process.stdout is not None
    assert await asyncio.to_thread(family._process.stdout.read) == "", "one banner, not three"
    assert await asyncio.to_thread(family.wait) == 0
    assert holder_of(family.data_dir) is None
    assert holders(family) == [None, None]
