"""A child of `--processes` that serves nobody; run as ``stand_in.py FILE HOW --tether FD``.

It writes what happens to it into FILE, a line each time: its pid when it starts, ``told`` at each
signal. HOW is a letter a life, the last one for all that follow:

* ``s``: it serves until it is told to end; ``t``: until it is told twice
* ``e``: it ends at once with 3, having served; ``2``: with 2, having not
"""

import os
import signal
import sys
import threading
from pathlib import Path

from server.tether import Tether


def main() -> int:
    """Live once; return the exit code."""
    file, how = Path(sys.argv[1]), sys.argv[2]
    told = threading.Semaphore(0)

    def note(line: str) -> None:
        with file.open("a") as opened:
            opened.write(f"{line}\n")

    def tell(*_: object) -> None:
        note("told")
        told.release()

    signal.signal(signal.SIGTERM, tell)
    lives = file.read_text().count("life") if file.exists() else 0
    tether = Tether(int(sys.argv[4]))
    mode = how[min(lives, len(how) - 1)]
    note(f"life {os.getpid()} {tether.token}")
    if mode == "2":
        return 2
    tether.started()
    if mode == "e":
        return 3
    for _ in range(2 if mode == "t" else 1):
        while not told.acquire(timeout=0.1):
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
