"""The keyboard of a terminal, read without a thread.

A thread that blocks in ``readline`` can't be cancelled: the process would wait for it after Ctrl-C.
"""

import asyncio
import os
import re
import sys
import termios
import tty
from collections.abc import AsyncIterator

LINE_BYTES = 4096
"""The longest line that a terminal hands over, by Linux' N_TTY_BUF_SIZE."""

KEY = re.compile(r"\x1b[\[O]([0-9;]*)([A-Za-z~])|(\x1b)|(.)", re.DOTALL)
"""A key: an escape sequence (ECMA-48 and its keypad form), a lone escape, or a character."""
ARROWS = {"A": "up", "B": "down"}
"""What ends the sequence of an arrow key."""


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
            for key in keys_of(typed):
                yield key
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def keys_of(typed: str) -> list[str]:
    """Return the keys in what a terminal sent; those that have no name here are left out.

    Keys pressed in quick succession come in one piece.
    """
    named = [
        ARROWS.get(found[2], "") if found[2] else found[4] or "" for found in KEY.finditer(typed)
    ]
    return [key for key in named if key]


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
