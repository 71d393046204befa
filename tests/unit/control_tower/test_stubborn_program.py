"""A program that catches whatever is thrown at it, and the end of the process."""

import subprocess
import sys

PROGRAM = """
import asyncio
from control_tower.execution import run

async def stubborn():
    while True:
        try:
            await asyncio.sleep(1)
        except BaseException:
            pass

async def main():
    steps = stubborn().__await__()
    next(steps)
    run._close(steps)

asyncio.run(main())
"""


def test_a_program_that_refuses_to_close_does_not_keep_the_process_alive() -> None:
    """It is not run again when the interpreter ends, where all that it awaits would raise."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, timeout=45, check=False
    )
    assert ended.returncode == 0
