"""Giving way: a mission submitted to interrupt ends those that held its session when it came.

Whom it displaces is in its row, written by the unit that queues it for the session; only once that
is committed are they told. So a submit that is refused, or was sent before, cancels nobody; and a
recovery tells them again, for the server may have died in between.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from control_tower.ending import Ending
from control_tower.memory import Memory
from control_tower.process import Change, Process, Proposal
from control_tower.records import ProcessControlBlock
from control_tower.states import Outcome, State

DISPLACED = "interrupted by a newer mission"
"""Why a mission is cancelled that gave way."""


@dataclass(slots=True, frozen=True)
class GivingWay:
    """Tells missions that another one interrupts them."""

    memory: Memory
    ending: Ending
    post: Callable[[Process, Change], None]

    def tell(self, newer: ProcessControlBlock) -> None:
        """Have those give way that a mission displaces, as far as they still hold the session."""
        for pid in newer.displaces:
            self.memory.with_process(pid, partial(self._tell, newer.user_id))

    def _tell(self, by: str, process: Process) -> None:
        self.post(process, partial(self._give_way, by))

    def _give_way(self, by: str, p: Proposal) -> None:
        """End a mission, unless it has left the session by itself: it asks, sleeps or has ended."""
        if p.process.in_gate and p.pcb.state is not State.TERMINATED:
            self.ending.finish(p, Outcome.CANCELLED, reason=DISPLACED, by=by)
