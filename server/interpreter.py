"""The interpreter's own settings, as a server of many small things at once needs them.

Both were measured on the way from a commit to a client (``tests/benchmarks/bench_log.py``).

The garbage collector walks everything that lives. Some hundred thousand objects stand from the
start (modules, schemas, statements) and never go; with them each full collection stopped the
server for 100 to 300 ms, so they are taken out of its sight.

The writer's and the readers' threads give the interpreter's lock back at every row and ask for it
again. By default a busy event loop lets go of it after 5 ms, which made a page of the log take up
to four times as long.
"""

import gc
import sys
from typing import Final

SWITCH_INTERVAL_S: Final = 0.0005


def settle() -> None:
    """Set the interpreter up; once, when all that stands for good has been made."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.collect()
    gc.freeze()
