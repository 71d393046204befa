"""The keyboard of a terminal, read without a thread.

A thread that blocks in ``readline`` can't be cancelled: the process would wait for it after Ctrl-C.
"""

import asyncio
import os
import sys
import termios
import tty
from collections.abc import AsyncIterator

LINE_BYTES = 4096
"""The longest line that a terminal hands over, by Linux' N_TTY_BUF_SIZE."""

ESCAPED = {"[A": "up", "[B": "down", "OA": "up", "OB": "down"}
"""What the arrow keys send behind an escape (ECMA-48; the second form in keypad mode)."""


async def typed_line() -> str | None:
    """Return the next line that is typed, or None at the end (Ctrl-D, a terminal that is gone).

    Standard input must be a terminal: it hands over one line at a time. Cancelling leaves what
    is typed later to whoever reads next.
    """
    return await _typed()


async def pressed_keys() -> AsyncIterator[str]:
    """Yield keys as they are pressed, until the terminal is gone: characters, ``up`` and ``down``.

    Standard input must be a terminal; it is as before when the iteration ends.
    """
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    tty.setcbreak(keyboard)
    try:
        while (typed := await _typed()) is not None:
            if typed.startswith("\x1b"):
                yield ESCAPED.get(typed[1:], "")
            else:
                for key in typed:
                    yield key
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


async def _typed() -> str | None:
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
