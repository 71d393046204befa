"""Stewardship: of what all nodes have in common, one takes care.

Here: erasures that a kill has interrupted are finished, each where its user is at home by now. For
what is old in the log see :mod:`control_tower.retention`, which asks whose turn it is.
"""

import asyncio
import contextlib

import structlog

from control_tower.cluster.commands import EraseUser, FinishErasing
from control_tower.cluster.ports import Nodes
from control_tower.cluster.router import Router
from control_tower.erasure import ErasingStore
from control_tower.errors import NotFound
from control_tower.tasks import Background

LOOK_S = 1.0
"""How often it is looked who lives, and so whether this is ours."""

EVERY_S = 600.0
"""How often it is looked for erasures that have stopped, though nobody seems to have gone."""

log = structlog.get_logger(__name__)


class Stewardship(Background):
    """Finishes what others have begun, while this node is the steward; every node may start it."""

    def __init__(self, nodes: Nodes, router: Router, store: ErasingStore) -> None:
        super().__init__()
        self._nodes = nodes
        self._router = router
        self._store = store

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        seen: tuple[bool, frozenset[int]] | None = None
        look_at = 0.0
        while True:
            now = (self._router.is_steward(), frozenset(self._nodes.alive()))
            if now[0] and (now != seen or loop.time() >= look_at):
                look_at = loop.time() + EVERY_S
                try:
                    await self.finish_erasing()
                except Exception:  # what is left of it is found the next time; nobody else looks
                    log.exception("stewardship.failed")
            seen = now
            await asyncio.sleep(LOOK_S)

    async def finish_erasing(self) -> None:
        """Bring the erasures that have begun to their ends; those under way are waited for.

        Raises:
            Refusal: when one can't be finished now.
        """
        while session_ids := await self._store.marked_sessions():
            for session_id in session_ids:
                session = await self._store.session(session_id)
                if session is not None:
                    finish = FinishErasing(session_id=session_id)
                    await self._router.carry_out(session.user_id, finish)
        while user_ids := await self._store.marked_users():
            for user_id in user_ids:
                with contextlib.suppress(NotFound):
                    await self._router.carry_out(user_id, EraseUser(user_id=user_id))
