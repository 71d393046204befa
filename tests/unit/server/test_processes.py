"""The parent of several processes, over stand-ins that serve nobody but are real processes."""

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from server import processes
from server.processes import Processes, data_dir_of, pause_s
from server.serving import listen, reserve
from server.settings import SettingsError
from tests.integration.tower_process import ROOT, eventually

STAND_IN = Path(__file__).parent / "stand_in.py"
TOKEN = "the-family's-token"


class Family:
    """A parent of stand-ins; each behaves as its letters say."""

    def __init__(self, folder: Path, *how: str) -> None:
        self.files = [folder / f"child-{number}" for number in range(len(how))]
        self.commands = [
            [sys.executable, str(STAND_IN), str(file), each]
            for file, each in zip(self.files, how, strict=True)
        ]
        self.served = 0
        self.running = asyncio.create_task(self.parent().run())

    def parent(self) -> Processes:
        """Return the parent."""
        return Processes(self.commands, TOKEN, self._serving)

    def _serving(self) -> None:
        self.served += 1

    def lines(self, child: int) -> list[str]:
        """Return what happened to a child."""
        file = self.files[child]
        return file.read_text().splitlines() if file.exists() else []

    def lives(self, child: int) -> list[int]:
        """Return the process ids that a child has had."""
        return [int(line.split()[1]) for line in self.lines(child) if line.startswith("life")]

    async def all_serve(self) -> None:
        """Wait until the parent has said that all serve."""
        await eventually(lambda: self.served > 0, 30)

    async def ended(self) -> int:
        """Tell the parent to end, and return its exit code."""
        os.kill(os.getpid(), signal.SIGTERM)
        return await self.running


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the stand-ins find the server's own modules, and be started again soon."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(processes, "FIRST_PAUSE_S", 0.05)


async def test_a_signal_drains_all(tmp_path: Path) -> None:
    """All have the token of the family, each is told once, and the end is a good one."""
    family = Family(tmp_path, "s", "s")
    await family.all_serve()
    assert await family.ended() == 0
    assert family.served == 1
    for child in range(2):
        assert family.lines(child) == [f"life {family.lives(child)[0]} {TOKEN}", "told"]


async def test_a_second_signal_is_passed_on_too(tmp_path: Path) -> None:
    """Whoever drains for long is told to hurry; Ctrl-C is a signal as the other is."""
    family = Family(tmp_path, "t", "s")
    await family.all_serve()
    os.kill(os.getpid(), signal.SIGINT)
    await eventually(lambda: "told" in family.lines(0), 30)
    assert not family.running.done()
    assert await family.ended() == 0
    assert family.lines(0).count("told") == 2


async def test_who_dies_is_started_again(tmp_path: Path) -> None:
    """By a signal, or by itself with an error once it had served; the others don't notice."""
    family = Family(tmp_path, "s", "es")
    await family.all_serve()
    await eventually(lambda: len(family.lives(1)) == 2, 30)
    os.kill(family.lives(0)[0], signal.SIGKILL)
    await eventually(lambda: len(family.lives(0)) == 2, 30)
    assert len(family.lives(1)) == 2
    assert await family.ended() == 0
    assert family.served == 1


async def test_the_first_that_can_not_start_is_the_only_one(tmp_path: Path) -> None:
    """What is wrong for all is said once, and its exit code is the family's."""
    family = Family(tmp_path, "2", "s")
    assert await family.running == 2
    assert family.lines(1) == []
    assert family.served == 0


async def test_who_can_not_start_ends_the_others(tmp_path: Path) -> None:
    """Half a family would be taken for a whole one."""
    family = Family(tmp_path, "s", "2", "s")
    assert await family.running == 2
    assert len(family.lives(1)) == 1
    assert family.lines(0)[-1] == "told"
    assert family.served == 0


async def test_a_pause_between_two_lives_ends_with_a_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for a process that is not to come back, and its code says that it failed."""
    monkeypatch.setattr(processes, "FIRST_PAUSE_S", 3600.0)
    monkeypatch.setattr(processes, "LONGEST_PAUSE_S", 3600.0)
    family = Family(tmp_path, "e", "s")
    await family.all_serve()
    assert await family.ended() == 3
    assert len(family.lives(0)) == 1


async def test_a_process_that_can_not_be_made_is_a_death_like_others(tmp_path: Path) -> None:
    """At the start it ends the family, with a code that says so."""
    family = Family(tmp_path, "s", "s")
    family.commands[1][0] = str(tmp_path / "no-such-program")
    assert await family.running == os.EX_OSERR
    assert family.lines(0)[-1] == "told"


async def test_children_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    """Nobody is left behind who holds the port: the tether tells them."""
    files = [tmp_path / "a", tmp_path / "b"]
    commands = [[sys.executable, str(STAND_IN), str(file), "s"] for file in files]
    program = (
        "import asyncio\nfrom server.processes import Processes\n"
        f"asyncio.run(Processes({commands!r}, 'token', lambda: print('all', flush=True)).run())"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert await asyncio.to_thread(parent.stdout.readline) == "all\n"
    parent.kill()
    parent.wait()
    parent.stdout.close()
    for file in files:
        child = int(file.read_text().split()[1])
        await eventually(lambda file=file: "told" in file.read_text(), 30)  # type: ignore[misc]
        await eventually(lambda child=child: not alive(child), 30)  # type: ignore[misc]


def alive(pid: int) -> bool:
    """Whether a process runs: neither gone nor dead and not yet waited for."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_pauses_grow_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """From half a second, doubled each time, to ten."""
    monkeypatch.undo()
    assert [pause_s(deaths) for deaths in range(1, 8)] == [0.5, 1, 2, 4, 8, 10, 10]
    assert pause_s(10_000) == 10


def test_each_process_has_a_data_folder_of_its_own(tmp_path: Path) -> None:
    """Below the one that they share."""
    folders = {data_dir_of(tmp_path, number) for number in (1, 2, 3)}
    assert len(folders) == 3
    assert all(folder.parent.parent == tmp_path for folder in folders)


def test_a_reserved_port_is_shared_by_those_who_ask_and_refused_to_others() -> None:
    """Of those who listen each gets connections; nobody listens by accident."""
    with reserve("127.0.0.1", 0) as reserved:
        port = reserved.getsockname()[1]
        with listen("127.0.0.1", port, shared=True) as first:
            first.listen()
            with pytest.raises(SettingsError, match="another server running"):
                listen("127.0.0.1", port)
            with pytest.raises(SettingsError, match="another server running"):
                reserve("127.0.0.1", port)
            with listen("127.0.0.1", port, shared=True) as second:
                second.listen()
                accepted = [spread(port, first, second) for _ in range(40)]
    assert set(accepted) == {0, 1}


def spread(port: int, *listeners: socket.socket) -> int:
    """Connect; return which of the listeners got it."""
    with socket.create_connection(("127.0.0.1", port)):
        ready, _, _ = select.select(listeners, [], [], 10)
        accepted, _ = ready[0].accept()
        accepted.close()
        return listeners.index(ready[0])
