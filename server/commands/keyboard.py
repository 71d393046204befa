"""The keyboard of a terminal, read without a thread.

A thread that blocks in ``readline`` can't be cancelled: the process would wait for it after Ctrl-C.
"""

import asyncio
import os
import sys

LINE_BYTES = 4096
"""The longest line that a terminal hands over, by Linux' N_TTY_BUF_SIZE."""


async def typed_line() -> str | None:
    """Return the next line that is typed, or None at the end (Ctrl-D, a terminal that is gone).

    Standard input must be a terminal: it hands over one line at a time. Cancelling leaves what
    is typed later to whoever reads next.
    """
    loop = asyncio.get_running_loop()
    keyboard = sys.stdin.fileno()
    ready = asyncio.Event()
    loop.add_reader(keyboard, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(keyboard)
    try:
        typed = os.read(keyboard, LINE_BYTES)
    except OSError:  # EIO: the terminal was closed
        return None
    return typed.decode(errors="replace") if typed else None
