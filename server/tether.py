"""What ties a server to the parent that started it: one of ``--processes``, or of ``--reload``.

A pair of sockets. The parent sends the operator token that its processes have in common, if they
have one; the child says that it serves; and each learns of the other's end, however it came,
because its socket closes.
"""

import os
import signal
import socket
import threading
from contextlib import suppress

STARTED = b"started\n"
MAX_LINE_BYTES = 4096


def tied(token: str | None = None) -> tuple[socket.socket, socket.socket]:
    """Return the parent's end, and the one to pass on to a child that is about to be made.

    ``token`` is what the child is told; without one it has its own.
    """
    ours, theirs = socket.socketpair()
    ours.sendall(f"{token or ''}\n".encode())
    return ours, theirs


class Tether:
    """The child's end.

    Attributes:
        token: the operator token of all processes of this parent; None where each has its own.
    """

    def __init__(self, descriptor: int) -> None:
        """Take the end that was passed on, and from now on end as by SIGTERM with the parent.

        Without a parent nobody would start this process again, nor know of it.
        """
        self._socket = socket.socket(fileno=descriptor)
        self._socket.set_inheritable(False)
        self.token = self._line() or None
        threading.Thread(target=self._end_with_the_parent, daemon=True).start()

    def started(self) -> None:
        """Tell the parent that this process serves."""
        self._socket.sendall(STARTED)

    def _line(self) -> str:
        with self._socket.makefile("rb", buffering=0) as reader:
            return reader.readline(MAX_LINE_BYTES).decode().rstrip("\n")

    def _end_with_the_parent(self) -> None:
        with suppress(OSError):  # a reset says what an end says
            self._socket.recv(1)
        os.kill(os.getpid(), signal.SIGTERM)
