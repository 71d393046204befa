"""A data folder that is taken, spoiled or damaged is refused, plainly, and left as it is."""

import asyncio
import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from tests.faults.conftest import MakeTower
from tests.integration.tower_process import ROOT, wire

pytestmark = pytest.mark.slow

FATAL_EXIT_CODE = 74


def refusal(data_dir: Path, *before: str, drop_root: bool = False) -> tuple[int, str]:
    """Try to serve a folder; return the exit code and what was said."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("TOWER_")}
    ended = subprocess.run(
        [*before, sys.executable, "-m", "server", "serve"],
        cwd=ROOT,
        env=environ | {"TOWER_DATA_DIR": str(data_dir), "TOWER_PORT": "0"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        preexec_fn=_obey_permissions if drop_root else None,
    )
    return ended.returncode, ended.stderr


def _obey_permissions() -> None:
    """Let permissions mean something to root too: drop what overrides them, over the exec."""
    prctl, pr_capbset_drop = ctypes.CDLL(None).prctl, 24
    for cap_dac_override_or_read_search in (1, 2):
        prctl(pr_capbset_drop, cap_dac_override_or_read_search, 0, 0, 0)


def said_plainly(text: str, *words: str) -> bool:
    """Whether a message names what is needed, without a traceback."""
    plain = " ".join(text.split())
    return "Traceback" not in text and all(word in plain for word in ("Error:", *words))


def test_a_second_server_on_the_folder_is_refused(make_tower: MakeTower) -> None:
    """It says who holds it and what to do; the first does not notice."""
    tower = make_tower()
    code, said = refusal(tower.data_dir)
    assert code == 1
    assert said_plainly(said, "is in use by process", str(tower.pid), tower.url, "TOWER_DATA_DIR")
    assert httpx2.get(f"{tower.url}/ready").status_code == 200
    tower.kill()
    tower.start()
    assert tower.stop() == 0


def a_file(folder: Path) -> None:
    """There is a file where the folder should be."""
    folder.write_text("")


def a_folder_for_the_database(folder: Path) -> None:
    """There is a folder where the database should be."""
    (folder / "tower.db").mkdir(parents=True)


def no_access(folder: Path) -> None:
    """Nobody may look into the folder."""
    folder.mkdir(mode=0)


def no_writing(folder: Path) -> None:
    """The folder may only be read."""
    folder.mkdir(mode=0o500)


def not_a_database(folder: Path) -> None:
    """The database is something else."""
    folder.mkdir()
    (folder / "tower.db").write_bytes(os.urandom(8192))


@pytest.mark.parametrize(
    "spoil", [a_file, a_folder_for_the_database, no_access, no_writing, not_a_database]
)
def test_a_folder_that_can_not_be_used_is_refused_plainly(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    """The message names the folder; nothing in it is changed."""
    folder = tmp_path / "spoiled"
    spoil(folder)
    kept = (folder / "tower.db").read_bytes() if spoil is not_a_database else None
    code, said = refusal(folder, drop_root=True)
    assert code == 1
    assert said_plainly(said, str(folder))
    if kept is not None:
        assert (folder / "tower.db").read_bytes() == kept


async def test_a_page_that_is_damaged_is_never_written_over(
    make_tower: MakeTower, tmp_path: Path
) -> None:
    """A database damaged in the middle is not served on: it ends, and the copy stays as it is."""
    tower = make_tower()
    async with wire(tower.ws_url) as ws:
        await ws.call("mission.submit", mission="work 200 steps")
        await ws.ended()
    assert tower.stop() == 0
    database = tower.data_dir / "tower.db"
    damaged = tmp_path / "damaged"
    shutil.copytree(tower.data_dir, damaged)
    with (damaged / database.name).open("r+b") as file:
        for page in range(3, database.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(os.urandom(64))
    code, said = await asyncio.to_thread(refusal, damaged)
    assert code in {1, FATAL_EXIT_CODE}, said
