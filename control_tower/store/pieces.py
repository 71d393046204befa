"""How much a piece of upkeep may remove at once.

Rows are counted by whoever looks for them; their bytes are counted here. What goes is overwritten,
and a text leaves the index word by word: a few hundred rows of a mebibyte each would hold every
commit up for seconds.
"""

from collections.abc import Callable, Iterable

from control_tower.store.statements import Row

PIECE_BYTES = 1 << 20


def bounded(rows: Iterable[Row], size: Callable[[Row], int]) -> list[Row]:
    """Return rows from the first on until they have :data:`PIECE_BYTES`; at least one, if any."""
    taken: list[Row] = []
    left = PIECE_BYTES
    for row in rows:
        taken.append(row)
        left -= size(row)
        if left <= 0:
            break
    return taken
