"""Accounts of users: what one may have queued, and may spend in a UTC day.

Asked before a mission is accepted. Memory holds the current day of the users seen since the
start; it is read from the store once, and written in the units that spend.
"""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from control_tower.errors import QuotaRefused
from control_tower.limits import TowerLimits
from control_tower.ports import Store
from control_tower.process import Proposal
from control_tower.quota.accounts import NOTHING
from control_tower.quota.quotas import ResourceUsage
from control_tower.records import ProcessControlBlock, UserDay
from control_tower.states import State
from control_tower.unit import ChargeUser

QUEUE_RETRY_S = 5.0
"""After how long to try again when a user's queue is full: a guess, as no queue says."""


def day_of(now: float) -> str:
    """Return the UTC day of an instant, as ``2026-11-21``."""
    return datetime.fromtimestamp(now, UTC).date().isoformat()


def until_tomorrow_s(now: float) -> float:
    """Return how long the UTC day of an instant lasts yet, rounded up to a second."""
    moment = datetime.fromtimestamp(now, UTC)
    midnight = (moment + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return float(math.ceil((midnight - moment).total_seconds()))


@dataclass(slots=True)
class UserAccounts:
    """What users have queued and spent."""

    store: Store
    limits: TowerLimits
    _days: dict[str, UserDay] = field(default_factory=dict)
    _queued: dict[str, set[str]] = field(default_factory=dict)

    async def open(self, user_id: str, now: float) -> None:
        """Read a user's day, if there are limits on it and it is not in memory."""
        limits = self.limits
        limited = (limits.missions_per_day, limits.tokens_per_day, limits.cost_per_day_usd)
        if limited == (None, None, None):
            return
        day = day_of(now)
        known = self._days.get(user_id)
        if known is None or known.day != day:
            read = await self.store.user_day(user_id, day)
            known = self._days.get(user_id)
            if known is None or known.day != day:
                self._days[user_id] = read

    def check(self, user_id: str, now: float) -> None:
        """Let a mission in, or say which limit it meets and when to come again.

        Raises:
            QuotaRefused: with ``resource``, ``used`` and ``limit`` as details.
        """
        limits = self.limits
        queued = len(self._queued.get(user_id, ()))
        _require("queued missions", queued, limits.max_queued_per_user, QUEUE_RETRY_S)
        day = self._days.get(user_id)
        if day is None or day.day != day_of(now):
            return
        retry_s = until_tomorrow_s(now)
        tokens = day.usage.input_tokens + day.usage.output_tokens
        _require("missions a day", day.missions, limits.missions_per_day, retry_s)
        _require("tokens a day", tokens, limits.tokens_per_day, retry_s)
        _require("dollars a day", day.usage.cost_usd, limits.cost_per_day_usd, retry_s)

    def charge(self, p: Proposal, usage: ResourceUsage = NOTHING, missions: int = 0) -> None:
        """Add to a user's day, in memory at once and in the store with the proposal."""
        user_id, day = p.pcb.user_id, day_of(p.now)
        p.writes.append(
            ChargeUser(UserDay(user_id=user_id, day=day, missions=missions, usage=usage))
        )
        self._add(user_id, day, usage, missions)
        if missions:
            p.otherwise.append(lambda _: self._add(user_id, day, NOTHING, -missions))

    def count(self, p: Proposal, used: ResourceUsage) -> None:
        """Count what a mission used as its own, and on its user's day."""
        if used != NOTHING:
            p.edit(usage=p.pcb.usage.plus(used))
            self.charge(p, used)

    def _add(self, user_id: str, day: str, usage: ResourceUsage, missions: int) -> None:
        known = self._days.get(user_id)
        if known is not None and known.day == day:
            self._days[user_id] = UserDay(
                user_id=user_id,
                day=day,
                missions=known.missions + missions,
                usage=known.usage.plus(usage),
            )

    def note(self, pcb: ProcessControlBlock) -> None:
        """Count a root mission as queued until it has started or ended."""
        if pcb.parent_pid is not None:
            return
        if pcb.started_at is None and pcb.state is not State.TERMINATED:
            self._queued.setdefault(pcb.user_id, set()).add(pcb.pid)
        else:
            self.forget(pcb)

    def forget(self, pcb: ProcessControlBlock) -> None:
        """A mission is not queued any more."""
        queued = self._queued.get(pcb.user_id)
        if queued is not None:
            queued.discard(pcb.pid)
            if not queued:
                del self._queued[pcb.user_id]


def _require(resource: str, used: float, limit: float | None, retry_s: float) -> None:
    if limit is not None and used >= limit:
        raise QuotaRefused(
            f"Your account has no room: {used:g} of {limit:g} {resource}.",
            retry_after_s=retry_s,
            resource=resource,
            used=used,
            limit=limit,
        )
