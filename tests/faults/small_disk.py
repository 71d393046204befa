"""Run a program that sees a folder as a small disk of its own.

::

    python -m tests.faults.small_disk BYTES FOLDER PROGRAM [ARGUMENT …]

The disk is a tmpfs in a mount namespace of the program's own, so that nothing is left behind
however it ends, and root is not needed where the kernel lets users have namespaces. Others reach
the disk through ``/proc/PID/root``.
"""

import ctypes
import os
import sys
from pathlib import Path
from typing import NoReturn

IMPOSSIBLE = 77
"""Exit code: this machine allows no namespaces."""

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_MS_REC_PRIVATE = 0x44000


def enter(folder: Path, size_bytes: int) -> None:
    """Put a disk of ``size_bytes`` over ``folder``, for this process and its children alone.

    Raises:
        OSError: if the machine does not allow it.
    """
    uid, gid = os.getuid(), os.getgid()
    if uid == 0:
        _check(_libc().unshare(_CLONE_NEWNS))
    else:
        _check(_libc().unshare(_CLONE_NEWUSER | _CLONE_NEWNS))
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    _check(_libc().mount(b"none", b"/", None, _MS_REC_PRIVATE, None))
    options = f"size={size_bytes},mode=700".encode()
    _check(_libc().mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, options))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def main(size: str, folder: str, *program: str) -> NoReturn:
    """Enter, and become the program."""
    try:
        enter(Path(folder), int(size))
    except OSError as error:
        sys.stderr.write(f"no namespace of its own: {error}\n")
        raise SystemExit(IMPOSSIBLE) from error
    os.execvp(program[0], program)


if __name__ == "__main__":
    main(*sys.argv[1:])
