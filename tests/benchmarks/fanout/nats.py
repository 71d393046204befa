"""nats-server with its WebSocket: a broker of its own, fed over TCP with the same bursts."""

import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Final

from tests.benchmarks.fanout.messages import Offsets
from tests.benchmarks.processes import END_TIMEOUT_S

SUBJECT: Final = b"bench"
GREETING: Final = 'CONNECT {"verbose":false}\r\nSUB bench 1\r\nPING\r\n'
ANSWER: Final = "PONG"


def program() -> str | None:
    """Return where nats-server is, if it is installed; Debian puts it where only root looks."""
    return shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin")


class Nats:
    """A running nats-server, with what a :class:`tests.benchmarks.processes.Child` has."""

    def __init__(self, command: str, folder: Path) -> None:
        port, self.first = str(_free_port()), str(_free_port())
        config = folder / "nats.conf"
        config.write_text(
            f"listen: 127.0.0.1:{port}\n"
            f'websocket {{ listen: "127.0.0.1:{self.first}", no_tls: true }}\n',
            encoding="ascii",
        )
        self._process = subprocess.Popen(
            [command, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.pid = self._process.pid
        self._offsets = Offsets()
        self._feed = _connect(int(port))
        self._feed.sendall(b'CONNECT {"verbose":false}\r\nPING\r\n')
        while b"PONG" not in self._feed.recv(4096):
            pass

    def ask(self, line: str) -> str:
        """Obey ``run <rounds> <burst> <gap_ms>``; a burst is one write to the broker."""
        rounds, burst, gap_ms = line.split()[1:]
        gap_s = float(gap_ms) / 1000
        due = time.monotonic()
        for _ in range(int(rounds)):
            self._feed.sendall(
                b"".join(
                    b"PUB %b %d\r\n%b\r\n" % (SUBJECT, len(body), body)
                    for body in self._offsets.burst(int(burst))
                )
            )
            due += gap_s
            time.sleep(max(gap_s / 4, due - time.monotonic()))
        return "done"

    def end(self) -> None:
        """Stop it."""
        self._feed.close()
        self._process.terminate()
        self._process.wait(END_TIMEOUT_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _connect(port: int) -> socket.socket:
    deadline = time.monotonic() + END_TIMEOUT_S
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
