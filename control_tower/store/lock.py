"""The lock of a data folder: one server at a time, and the others know whom to ask.

The lock is ``flock`` on a file, so that the kernel lets go of it however the process ends. The
file says who holds it: its pid, its URL and an operator token of this one process, by which the
command line talks to the living server. The file is never unlinked: a second process could then
hold a lock on a name that a third one makes anew.
"""

import fcntl
import os
import secrets
import time
from pathlib import Path

import msgspec

LOCK_NAME = "tower.lock"
_ATTEMPTS = 5
_ATTEMPT_S = 0.02


class Holder(msgspec.Struct, frozen=True):
    """Who holds a data folder. ``token`` is an operator's credential: never log it."""

    pid: int
    url: str
    token: str


class DataFolderLocked(Exception):
    """Another process serves this data folder.

    Attributes:
        data_dir: the folder.
        holder: who holds it; None if it is just starting and has not said yet.
    """

    def __init__(self, data_dir: Path, holder: Holder | None) -> None:
        who = f"process {holder.pid} at {holder.url}" if holder else "a process that is starting"
        super().__init__(f"{data_dir} is in use by {who}")
        self.data_dir = data_dir
        self.holder = holder


def _written(descriptor: int) -> Holder | None:
    text = os.pread(descriptor, 65536, 0)
    try:
        return msgspec.json.decode(text, type=Holder)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


class DataFolderUnusable(Exception):
    """The data folder can't be opened: no rights, something else in its place, a damaged file.

    Attributes:
        data_dir: the folder.
    """

    def __init__(self, data_dir: Path, cause: Exception) -> None:
        why = (cause.strerror if isinstance(cause, OSError) else None) or str(cause)
        super().__init__(f"{data_dir} can't be used: {why}")
        self.data_dir = data_dir


class DataFolderLock:
    """The lock, held from construction to :meth:`release`."""

    def __init__(self, data_dir: Path, url: str) -> None:
        """Take the lock of ``data_dir``, which must exist.

        Raises:
            DataFolderLocked: when another process holds it.
        """
        self.holder = Holder(os.getpid(), url, secrets.token_urlsafe(32))
        self._descriptor = os.open(
            data_dir / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            self._take(data_dir)
            os.fchmod(self._descriptor, 0o600)
            self._write(msgspec.json.encode(self.holder))
        except BaseException:
            os.close(self._descriptor)
            raise

    def _take(self, data_dir: Path) -> None:
        # A command that asks who holds the folder takes the lock for an instant (see holder_of),
        # so one refusal proves nothing; a tenth of a second of them does.
        for attempt in range(_ATTEMPTS):
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if attempt == _ATTEMPTS - 1:
                    raise DataFolderLocked(data_dir, _written(self._descriptor)) from None
                time.sleep(_ATTEMPT_S)
            else:
                return

    def _write(self, text: bytes) -> None:
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text, 0)

    def announce(self, url: str) -> None:
        """Say another URL, once the server knows its port."""
        self.holder = Holder(self.holder.pid, url, self.holder.token)
        self._write(msgspec.json.encode(self.holder))

    def release(self) -> None:
        """Let go; the file stays, empty. Twice is once."""
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1


def holder_of(data_dir: Path) -> Holder | None:
    """Return who serves ``data_dir``, or None when nobody does.

    Raises:
        DataFolderUnusable: when that can't be told.
    """
    try:
        descriptor = os.open(data_dir / LOCK_NAME, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataFolderUnusable(data_dir, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _written(descriptor)
    else:
        return None
    finally:
        os.close(descriptor)
