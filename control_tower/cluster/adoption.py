"""Adoption: users whose node is gone come home to one that lives; their missions go on there.

Where a user is at home is the database's word, and who is here is memory's. After each round they
are compared, so nobody whose homecoming was cut in the middle is forgotten.
"""

import asyncio

import structlog

from control_tower.cluster.ports import Nodes
from control_tower.cluster.residents import Residents
from control_tower.tasks import Background

LOOK_S = 0.2
"""How often it is looked who lives: a memory of the last look at the database."""

EVERY_S = 10.0
"""How often it is asked for users of nodes that are gone, though nobody seems to have gone."""

BATCH = 50
"""Users taken over at a time: others take the next ones meanwhile."""

log = structlog.get_logger(__name__)


class Adoption(Background):
    """Takes over, from its start to its stop as at a drain; only on a node that runs missions."""

    def __init__(self, nodes: Nodes, residents: Residents) -> None:
        super().__init__()
        self._nodes = nodes
        self._residents = residents

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            lived = frozenset(self._nodes.alive())
            try:
                await self._adopt_all()
            except Exception:  # who was left out is found in the next round; nobody else looks
                log.exception("adoption.failed")
            again_at = loop.time() + EVERY_S
            # Polled: who lives changes in another thread's memory, and the look costs nothing.
            while loop.time() < again_at and frozenset(self._nodes.alive()) == lived:  # noqa: ASYNC110
                await asyncio.sleep(LOOK_S)

    async def _adopt_all(self) -> None:
        while adopted := await self._residents.adopt(BATCH):
            log.info("adoption.adopted", users=adopted)
        if found := await self._residents.take_in_left_out():
            log.warning("adoption.found", users=found)
