"""`tower run` on a real terminal: answered, left with Ctrl-C, left with Ctrl-D."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.integration.tower_process import ROOT, TowerProcess

PATIENCE_S = 30.0
CTRL_C = b"\x03"
CTRL_D = b"\x04"
PROMPT = "approve? yes/[no] "


@contextmanager
def _heard_by_children(number: signal.Signals) -> Iterator[None]:
    """Let processes that begin here be ended by a signal, even if this one ignores it.

    What a shell runs in the background ignores Ctrl-C, and all that descends from it: these tests,
    perhaps, but nothing that a person starts at a terminal.
    """
    before = signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(number, before)


class Terminal:
    """A command that runs on a pseudo-terminal.

    Attributes:
        shown: everything that it printed so far.
    """

    def __init__(self, folder: Path, *arguments: str, term: str = "dumb") -> None:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("TOWER_")}
        environ |= {"PYTHONPATH": str(ROOT), "TERM": term, "COLUMNS": "200"}
        self.shown = ""
        self._deadline = time.monotonic() + PATIENCE_S
        self._screen, keyboard = pty.openpty()
        self._keyboard: int | None = keyboard
        with _heard_by_children(signal.SIGINT):
            # The first terminal that the leader of a new session opens sends it Ctrl-C's signal.
            self._process = subprocess.Popen(
                [
                    *("/bin/sh", "-c", 'exec "$@" <"$0" >"$0" 2>"$0"', os.ttyname(keyboard)),
                    *(sys.executable, "-m", "server", *arguments),
                ],
                cwd=folder,
                env=environ,
                start_new_session=True,
            )

    def until(self, text: str) -> None:
        """Read until something is shown that was not shown before."""
        seen = len(self.shown)
        while text not in self.shown[seen:]:
            assert self._read(), self.shown

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._screen, keys)

    def exit_code(self) -> int:
        """Read to the end; return how it ended."""
        while self._read():
            pass
        return self._process.wait(PATIENCE_S)

    def close(self) -> None:
        """Make sure that it is gone."""
        self._process.kill()
        self._process.wait()
        self._close_ours()
        os.close(self._screen)

    def _close_ours(self) -> None:
        """Let the command's end of the terminal be the last."""
        if self._keyboard is not None:
            os.close(self._keyboard)
            self._keyboard = None

    def _read(self) -> bool:
        ready, _, _ = select.select([self._screen], [], [], self._deadline - time.monotonic())
        assert ready, f"it hangs: {self.shown}"
        try:
            read = os.read(self._screen, 4096)
        except OSError:  # EIO is how Linux says that the other side is gone
            return False
        self._close_ours()
        self.shown += read.decode()
        return bool(read)


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Terminal]:
    """A run that asks for an approval."""
    with closing(Terminal(tmp_path, "run", "write t.txt: hi; delete t.txt")) as terminal:
        terminal.until(PROMPT)
        yield terminal


def test_ctrl_c_leaves_the_question(asked: Terminal) -> None:
    """At once, with what waits and how to answer or cancel it."""
    asked.type(CTRL_C)
    assert asked.exit_code() == 130
    assert "tower approve i_" in asked.shown
    assert "tower cancel m_" in asked.shown
    assert "Traceback" not in asked.shown


def test_ctrl_d_is_nobody(asked: Terminal) -> None:
    """Exit 3, as the help says; the question stays open."""
    asked.type(CTRL_D)
    assert asked.exit_code() == 3
    assert "tower approve i_" in asked.shown


def test_an_answer_goes_on(asked: Terminal) -> None:
    """What is typed reaches the mission."""
    asked.type(b"yes\n")
    assert asked.exit_code() == 0
    assert "workspace.delete" in asked.shown.partition(PROMPT)[2]


@pytest.mark.parametrize("agent", ["stuck", "stubborn"])
def test_ctrl_c_does_not_wait_for_what_nothing_stops(tmp_path: Path, agent: str) -> None:
    """Neither for a thread nor for a task that swallows its cancellation."""
    (tmp_path / "tower.toml").write_text("drain_s = 1")
    app = str(ROOT / "tests/integration/slow_app.py")
    with closing(Terminal(tmp_path, "run", "x", "--app", app, "--agent", agent)) as terminal:
        terminal.until("·")
        terminal.type(CTRL_C)
        assert terminal.exit_code() == 130
    assert "goes on at the next tower serve" in terminal.shown
    assert "Traceback" not in terminal.shown


def test_ctrl_c_leaves_a_mission_that_runs_on_a_server(tmp_path: Path) -> None:
    """The person reads that it goes on there, and how to stop it."""
    process = TowerProcess(tmp_path / "data").start()
    try:
        with closing(
            Terminal(tmp_path, "run", "wait 60 seconds", "--data-dir", "data")
        ) as terminal:
            terminal.until("blocked: sleep")
            terminal.type(CTRL_C)
            assert terminal.exit_code() == 130
        assert "goes on at the server" in terminal.shown
        assert "tower cancel m_" in terminal.shown
    finally:
        process.end()


def test_top_shows_missions_and_obeys_keys(tmp_path: Path) -> None:
    """Chosen, paused, cancelled once it is confirmed; left with q, the terminal as it was."""
    process = TowerProcess(tmp_path / "data").start()
    try:
        ask = f"{process.url}/api/v1/requests?wait_s=20"
        asked = httpx2.post(ask, json={"user_message": "ask me my name"}).json()
        with closing(Terminal(tmp_path, "top", "--data-dir", "data", term="xterm")) as terminal:
            terminal.until("ask me my name")
            terminal.type(b"p")
            terminal.until("Choose a mission first")
            terminal.type(b"\x1b[B+")
            terminal.until("high")
            terminal.type(b"p")
            terminal.until("1 paused")
            terminal.type(b"c")
            terminal.until("? y")
            terminal.type(b"y")
            terminal.until("no missions")
            terminal.type(b"q")
            assert terminal.exit_code() == 0
        mission = httpx2.get(f"{process.url}/api/v1/missions/{asked['pid']}").json()
        assert (mission["outcome"], mission["priority"]) == ("cancelled", "high")
    finally:
        process.end()
