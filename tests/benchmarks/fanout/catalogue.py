"""The peers of the fan-out benchmark: what each is, how it is started, and what it needs.

A peer that this machine can't have is left out, and why is printed. Nothing is installed here but
the package ws, into ``.venv/bench``, and only where npm is there and reaches its registry.
"""

import importlib.util
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from tests.benchmarks.fanout import nats
from tests.benchmarks.fanout.messages import BODY
from tests.benchmarks.processes import Child, python

PEERS: Final = Path(__file__).parent / "peers"
PACKAGES: Final = Path(__file__).parents[3] / ".venv" / "bench"
WS: Final = "ws@8"
NPM_TIMEOUT_S: Final = 60.0
SUBSCRIBE: Final = '{"jsonrpc":"2.0","id":1,"method":"subscribe"}'


class Server(Protocol):
    """A running peer. ``first`` is its port."""

    pid: int
    first: str

    def ask(self, line: str) -> str:
        """Obey a line."""

    def end(self) -> None:
        """Stop."""


class Absent(Exception):
    """This machine does not have the peer; says why."""


@dataclass(slots=True, frozen=True)
class Peer:
    """A way of sending.

    Attributes:
        name: in the table.
        start: starts its server; raises :class:`Absent`. What it needs is made in the folder.
        joins: whether a burst costs it little more than one event, so that it needs more rounds
            for a figure.
        greeting: what a client says first, and what the answer contains.
        exact: whether a delivery is exactly one frame with the event; a broker adds its own.
    """

    name: str
    start: Callable[[Path], Server]
    joins: bool = False
    greeting: tuple[str, str] | None = None
    exact: bool = True


def _module(name: str, needs: str | None = None) -> Callable[[Path], Server]:
    def start(_: Path) -> Server:
        if needs is not None and importlib.util.find_spec(needs) is None:
            raise Absent(f"{needs} is not installed (pip install '.[bench]')")
        return Child(python(f"fanout.peers.{name}"))

    return start


def _compiled(how: str) -> Callable[[Path], Server]:
    def start(folder: Path) -> Server:
        compiler = shutil.which("cc")
        if compiler is None:
            raise Absent("no C compiler; the loop of os.write stands in for it")
        program = folder / "write"
        if not program.exists():
            subprocess.run([compiler, "-O2", "-o", program, PEERS / "write.c"], check=True)
        return Child([str(program), BODY.decode(), how])

    return start


def _node(_: Path) -> Server:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise Absent("node and npm are not installed")
    if not (PACKAGES / "node_modules" / "ws").exists():
        install = [npm, "install", "--silent", "--no-audit", "--prefix", str(PACKAGES), WS]
        try:
            subprocess.run(install, check=True, timeout=NPM_TIMEOUT_S, capture_output=True)
        except (subprocess.SubprocessError, OSError):
            raise Absent(f"npm could not install {WS}") from None
    return Child([node, str(PEERS / "ws.mjs"), str(PACKAGES), BODY.decode()])


def _nats(folder: Path) -> Server:
    command = nats.program()
    if command is None:
        raise Absent("nats-server is not installed (Debian has it)")
    return nats.Nats(command, Path(tempfile.mkdtemp(dir=folder)))


TOWER: Final = Peer("tower", _module("tower"), joins=True, greeting=(SUBSCRIBE, '"result"'))
LIMIT: Final = Peer("send(2) in C", _compiled("each"))


CATALOGUE: Final = (
    TOWER,
    LIMIT,
    Peer("send(2) in C, joined", _compiled("joined"), joins=True),
    Peer("os.write", _module("write_loop")),
    Peer("picows", _module("picows_loop", needs="picows")),
    Peer("websockets.broadcast", _module("websockets_broadcast")),
    Peer("npm ws", _node),
    Peer("Starlette send_text", _module("starlette_loop")),
    Peer("nats-server", _nats, joins=True, greeting=(nats.GREETING, nats.ANSWER), exact=False),
)
