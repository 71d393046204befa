"""One server a data folder, and the others know whom to ask."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from control_tower.store import DataFolderLocked, DataFolderUnusable, SqliteStore, holder_of
from control_tower.store.lock import LOCK_NAME, DataFolderLock
from tests.contract.store.kit import Recorder, StillClock


def test_the_lock_says_who_holds_it(tmp_path: Path) -> None:
    """Process, URL and a token, for the owner's eyes only; nobody once it is released."""
    assert holder_of(tmp_path) is None
    lock = DataFolderLock(tmp_path, "http://127.0.0.1:8000")
    holder = holder_of(tmp_path)
    assert holder == lock.holder
    assert holder is not None
    assert (holder.pid, holder.url) == (os.getpid(), "http://127.0.0.1:8000")
    assert len(holder.token) >= 32
    assert stat.S_IMODE((tmp_path / LOCK_NAME).stat().st_mode) == 0o600
    lock.release()
    lock.release()
    assert holder_of(tmp_path) is None


def test_a_second_holder_is_refused_and_told_of_the_first(tmp_path: Path) -> None:
    """The error names process and URL, and never the token."""
    lock = DataFolderLock(tmp_path, "http://127.0.0.1:8000")
    with pytest.raises(DataFolderLocked) as refused:
        DataFolderLock(tmp_path, "http://127.0.0.1:9000")
    assert refused.value.holder == lock.holder
    assert f"process {os.getpid()} at http://127.0.0.1:8000" in str(refused.value)
    assert lock.holder.token not in str(refused.value)
    lock.release()
    DataFolderLock(tmp_path, "http://127.0.0.1:9000").release()


def test_another_url_can_be_announced(tmp_path: Path) -> None:
    """A server on port 0 knows its port late; process and token stay."""
    lock = DataFolderLock(tmp_path, "http://127.0.0.1:0")
    token = lock.holder.token
    lock.announce("http://127.0.0.1:41234")
    holder = holder_of(tmp_path)
    assert holder is not None
    assert (holder.url, holder.token) == ("http://127.0.0.1:41234", token)
    lock.release()


def test_each_process_has_a_token_of_its_own(tmp_path: Path) -> None:
    """A token read yesterday opens nothing today."""
    first = DataFolderLock(tmp_path, "u")
    first.release()
    second = DataFolderLock(tmp_path, "u")
    assert first.holder.token != second.holder.token
    second.release()


def test_a_holder_that_is_just_starting_has_no_name(tmp_path: Path) -> None:
    """An empty or torn file is no reason to fail."""
    lock = DataFolderLock(tmp_path, "u")
    (tmp_path / LOCK_NAME).write_bytes(b'{"pid": 1')
    assert holder_of(tmp_path) is None
    with pytest.raises(DataFolderLocked, match="a process that is starting"):
        DataFolderLock(tmp_path, "u")
    lock.release()


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    """However it ends: here by a kill."""
    hold = (
        "import sys, time, pathlib\n"
        "from control_tower.store.lock import DataFolderLock\n"
        "lock = DataFolderLock(pathlib.Path(sys.argv[1]), 'http://other')\n"
        "print('held', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(DataFolderLocked) as refused:
            DataFolderLock(tmp_path, "http://mine")
        assert refused.value.holder is not None
        assert (refused.value.holder.pid, refused.value.holder.url) == (
            process.pid,
            "http://other",
        )
        process.kill()
    DataFolderLock(tmp_path, "http://mine").release()


async def test_a_store_keeps_others_out_until_it_is_closed(tmp_path: Path) -> None:
    """Its files are its owner's alone, and its token is the lock's."""

    async def opened() -> SqliteStore:
        return await SqliteStore.open(
            tmp_path / "data",
            publish=Recorder(),
            clock=StillClock(),
            url="http://127.0.0.1:0",
            on_fatal=lambda _: None,
        )

    store = await opened()
    with pytest.raises(DataFolderLocked):
        await opened()
    store.announce("http://127.0.0.1:8001")
    holder = holder_of(tmp_path / "data")
    assert holder is not None
    assert (holder.url, holder.token) == ("http://127.0.0.1:8001", store.operator_token)
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").glob("tower.*")} == {
        0o600
    }
    await store.close()
    await (await opened()).close()


async def test_a_folder_that_can_not_be_opened_is_named(tmp_path: Path) -> None:
    """A file in its place, something else in the database's place: one error, with the cause."""
    file = tmp_path / "file"
    file.write_text("")
    garbage = tmp_path / "garbage"
    garbage.mkdir()
    (garbage / "tower.db").write_bytes(b"no database" * 1000)
    for folder, cause in ((file, "File exists"), (garbage, "file is not a database")):
        with pytest.raises(DataFolderUnusable, match=f"{folder} can't be used: {cause}"):
            await SqliteStore.open(
                folder,
                publish=Recorder(),
                clock=StillClock(),
                url="http://127.0.0.1:8000",
                on_fatal=lambda _: None,
            )
    with pytest.raises(DataFolderUnusable, match="Not a directory"):
        holder_of(file)
    assert not (garbage / "tower.lock").read_bytes(), "the lock was let go"


async def test_a_new_folder_is_for_its_owner_only(tmp_path: Path) -> None:
    """Messages and journals are in it."""
    folder = tmp_path / "new" / "data"
    store = await SqliteStore.open(
        folder,
        publish=Recorder(),
        clock=StillClock(),
        url="http://127.0.0.1:8000",
        on_fatal=lambda _: None,
    )
    await store.close()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
