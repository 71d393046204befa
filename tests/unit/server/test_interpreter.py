"""The interpreter's settings of a serving process."""

import subprocess
import sys

from server.interpreter import SWITCH_INTERVAL_S

PROGRAM = """
import gc, sys
from server import interpreter
interpreter.settle()
print(gc.get_freeze_count() > 1000, gc.isenabled(), sys.getswitchinterval())
"""


def test_what_stands_is_taken_out_of_later_collections() -> None:
    """And threads hand the lock over soon; in a process of its own, since both are for good."""
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    ).stdout.split()
    assert said == ["True", "True", str(SWITCH_INTERVAL_S)]
