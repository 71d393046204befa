"""`tower serve --reload`: a server that is started again whenever its app changes, for developers.

A supervisor holds the listening socket and runs the server as a child. On a change the child is
drained as by any SIGTERM, so that missions go on where they were under the new code; whoever
connects meanwhile waits in the socket's backlog. An app that can't be imported is told of by its
server's own words, and the next change is waited for.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType

import structlog

from server.tether import tied

POLL_S = 0.3
MAX_FILES = 5_000
UNWATCHED = frozenset({"node_modules", "__pycache__", "venv", "site-packages"})

log = structlog.get_logger(__name__)

Look = dict[Path, int]
"""When each file was changed last."""


def watched(apps: Iterable[str], config: Path | None) -> list[Path]:
    """Return what to watch: the folders of apps that are files, else the working folder."""
    files = [Path(app) for app in apps if app.endswith(".py")]
    folders = {file.resolve().parent for file in files} or {Path.cwd()}
    return sorted(folders | ({config.resolve()} if config else set()))


def look(places: Iterable[Path]) -> Look:
    """Return when the Python files below ``places`` were changed last; hidden folders are not."""
    found: Look = {}
    for place in places:
        for file in [place] if place.is_file() else _python_files(place):
            try:
                found[file] = file.stat().st_mtime_ns
            except OSError:
                continue  # it went away between the listing and the look
            if len(found) >= MAX_FILES:
                return found
    return found


def _python_files(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [each for each in folders if each[0] != "." and each not in UNWATCHED]
        yield from (Path(parent, file) for file in files if file.endswith(".py"))


class Supervisor:
    """Runs a server again and again, until it ends by itself or a signal says so."""

    def __init__(
        self, arguments: Sequence[str], listener: socket.socket, places: Sequence[Path]
    ) -> None:
        """Prepare.

        Args:
            arguments: of `tower serve`, without ``--reload``.
            listener: listening; the child is given it.
            places: files and folders to watch.
        """
        # -P: a file of the developer's called like one of ours is not to shadow it.
        run = [sys.executable, "-P", "-m", "server", "serve"]
        self._command = [*run, "--supervised", str(listener.fileno()), *arguments]
        self._listener = listener
        self._places = places
        self._stopping = False
        self._signals: list[int] = []

    def run(self) -> int:
        """Serve; return the exit code of the last child."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._told)
        while True:
            seen = look(self._places)
            ours, theirs = tied()
            with ours:
                child = self._born(theirs)
                changed = self._watch(child, seen)
                if changed is not None:
                    log.info("server.reloading", changed=changed)
                    if child.poll() is None:
                        child.send_signal(signal.SIGTERM)
                code = self._until_ended(child)
            if changed is None or self._stopping:
                return code

    def _born(self, tether: socket.socket) -> "subprocess.Popen[bytes]":
        descriptor = tether.fileno()
        with tether:
            # A group of its own: Ctrl-C in a terminal reaches it once, from here.
            return subprocess.Popen(  # noqa: S603 - this very program
                [*self._command, "--tether", str(descriptor)],
                pass_fds=[self._listener.fileno(), descriptor],
                start_new_session=True,
            )

    def _watch(self, child: "subprocess.Popen[bytes]", seen: Look) -> str | None:
        """Return the name of a file that changed; None when this is the last child."""
        while not self._stopping and child.poll() != 0:
            now = look(self._places)
            if now != seen:
                return _difference(seen, now)
            self._pause(child)
        return None

    def _until_ended(self, child: "subprocess.Popen[bytes]") -> int:
        """Pass on what signals come, until the child has ended; return its exit code."""
        while child.poll() is None:
            while self._signals:
                child.send_signal(self._signals.pop(0))
            self._pause(child)
        return child.returncode

    @staticmethod
    def _pause(child: "subprocess.Popen[bytes]") -> None:
        if child.poll() is not None:
            time.sleep(POLL_S)  # it could not start: wait for a change
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(POLL_S)

    def _told(self, number: int, _frame: FrameType | None) -> None:
        self._stopping = True
        self._signals.append(number)


def _difference(before: Look, now: Look) -> str:
    changed = sorted(path for path in before | now if before.get(path) != now.get(path))
    return changed[0].name


def inherited(descriptor: int) -> socket.socket:
    """Return the listener that a supervisor gave us."""
    listener = socket.socket(fileno=descriptor)
    listener.setblocking(False)
    return listener
