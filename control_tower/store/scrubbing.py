"""Removing the traces of what was erased, which deleting its rows leaves in the file.

- The full-text index notes a text as gone and keeps its words, until its parts are merged.
- The WAL keeps pages as they were, until it is emptied (``empty_log`` of the store).
- Pages of the database itself keep nothing: ``secure_delete`` overwrites them.

``meta.unscrubbed`` counts erasures since the last scrubbing, so that a kill forgets none of them
and one that comes during a scrubbing is followed by another.
"""

from dataclasses import dataclass, field

from sqlalchemy import bindparam, select, update

from control_tower.store import text_index
from control_tower.store.statements import Connection, Query
from control_tower.store.tables import meta
from control_tower.unit import Tend

LEAVES_TRACES = Query(update(meta).values(unscrubbed=meta.c.unscrubbed + 1))
"""Goes with what removes the last row of an erasure."""

_COUNT = Query(select(meta.c.unscrubbed))
_NONE_LEFT = Query(
    update(meta).where(meta.c.unscrubbed == bindparam("counted")).values(unscrubbed=0)
)


@dataclass(slots=True)
class Scrubbing:
    """One scrubbing, piece by piece. ``counted`` is how many erasures it is for."""

    counted: int
    _merge: text_index.Merge = field(default_factory=text_index.Merge)

    @property
    def more(self) -> bool:
        """Whether ``piece`` has anything to do."""
        return self._merge.more

    @property
    def piece(self) -> Tend:
        """The next piece."""
        return Tend((self._merge,))

    @property
    def end(self) -> Tend:
        """What notes that nothing is left, unless more was erased meanwhile."""

        def note(connection: Connection) -> None:
            _NONE_LEFT.run(connection, counted=self.counted)

        return Tend((note,))


def scrubbing(connection: Connection) -> Scrubbing | None:
    """Return a scrubbing if one is due."""
    row = _COUNT.one(connection)
    return Scrubbing(row[0]) if row and row[0] else None
