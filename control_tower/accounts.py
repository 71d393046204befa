"""What a mission may still use: reserve, then call, then settle.

An account belongs to one mission, and to all of its descendants that have no quota of their own.
A call reserves what it may use at most; when its outcome is known, the reservation is settled by
what it did use. So a counted resource (calls, children, events) never passes its limit, and
tokens and cost, which are reserved by estimate, pass it only by the error of estimates of calls
already in flight, never by another call. Time is counted and warned of here but never refused: it
has a deadline of its own.

A child with a quota gets an account carved out of its parent's: the parent holds the child's
share as a reservation until :meth:`Account.give_back` turns what was used into use and frees the
rest.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from control_tower.commands import QuotaIncrease
from control_tower.errors import KernelBug
from control_tower.quotas import ResourceQuota, ResourceUsage

LIMITS: dict[str, str] = {
    "llm_calls": "max_llm_calls",
    "tool_calls": "max_tool_calls",
    "input_tokens": "max_input_tokens",
    "output_tokens": "max_output_tokens",
    "cost_usd": "max_cost_usd",
    "children": "max_children",
    "events": "max_events",
    "elapsed_seconds": "timeout_seconds",
}
"""Each resource, and the field of a quota that limits it."""

SPENDABLE = tuple(resource for resource in LIMITS if resource != "elapsed_seconds")
"""What is reserved, refused and carved: everything but time."""

WARN_AT = 0.8
"""The part of a limit whose passing is worth a warning (tower.md)."""

COST_SLACK = 1e-9
"""Dollars by which a sum of floats may miss a limit that it meets exactly in decimals."""


@dataclass(slots=True, frozen=True)
class Admitted:
    """The amount is reserved; make the call, then settle or release."""


@dataclass(slots=True, frozen=True)
class MustWait:
    """There is room, but calls in flight hold it: try again after the next settlement."""


@dataclass(slots=True, frozen=True)
class OverLimit:
    """The call would pass the limit of ``resource`` whatever the calls in flight use."""

    resource: str
    used: float
    limit: float


@dataclass(slots=True, frozen=True)
class QuotaWarning:
    """``resource`` has just passed 80 % of its limit."""

    resource: str
    used: float
    limit: float


Verdict: TypeAlias = Admitted | MustWait | OverLimit

ADMITTED = Admitted()
MUST_WAIT = MustWait()
NOTHING = ResourceUsage()


class Account:
    """One mission's limits, what it has used, and what its calls in flight hold.

    ``warned`` are the resources whose warning has been given, in this life or an earlier one.
    """

    __slots__ = ("_carved", "_parent", "quota", "reserved", "used", "warned")

    def __init__(
        self,
        quota: ResourceQuota,
        used: ResourceUsage = NOTHING,
        *,
        warned: Iterable[str] = (),
    ) -> None:
        self.quota = quota
        self.used = used
        self.reserved = NOTHING
        self.warned: tuple[str, ...] = tuple(warned)
        self._parent: Account | None = None
        self._carved = NOTHING

    def limit(self, resource: str) -> float | None:
        """Return the limit of a resource, None for no limit."""
        limit: float | None = getattr(self.quota, LIMITS[resource])
        return limit

    def reserve(self, amount: ResourceUsage) -> Verdict:
        """Hold ``amount`` for a call that is about to be made, all of it or nothing."""
        verdict: Verdict = ADMITTED
        for resource in SPENDABLE:
            wanted = getattr(amount, resource)
            limit = self.limit(resource)
            if not wanted or limit is None:
                continue
            used = getattr(self.used, resource)
            slack = COST_SLACK if resource == "cost_usd" else 0
            if used + wanted > limit + slack:
                return OverLimit(resource, used, limit)
            if used + getattr(self.reserved, resource) + wanted > limit + slack:
                verdict = MUST_WAIT
        if verdict is ADMITTED:
            self.reserved = self.reserved.plus(amount)
        return verdict

    def settle(self, reserved: ResourceUsage, actual: ResourceUsage) -> tuple[QuotaWarning, ...]:
        """Replace a reservation by what the call used.

        Returns:
            The resources that have now passed 80 % of their limit for the first time.
        """
        self.release(reserved)
        self.used = self.used.plus(actual)
        return self._warn()

    def release(self, reserved: ResourceUsage) -> None:
        """Give a reservation back unused.

        Raises:
            KernelBug: if so much is not reserved.
        """
        self.reserved = _minus(self.reserved, reserved)

    def extend(self, increase: QuotaIncrease) -> None:
        """Raise the limits; what has no limit keeps none. A parent's limits rise alike."""
        raised = {
            name: limit + getattr(increase, name)
            for name in LIMITS.values()
            if (limit := getattr(self.quota, name)) is not None
        }
        self.quota = msgspec.structs.replace(self.quota, **raised)
        if self._parent is not None:
            self._parent.extend(msgspec.structs.replace(increase, timeout_seconds=0))
            share = {
                resource: getattr(increase, LIMITS[resource])
                for resource in SPENDABLE
                if self.limit(resource) is not None
            }
            self._carved = self._carved.plus(ResourceUsage(**share))
            self._parent.reserved = self._parent.reserved.plus(ResourceUsage(**share))

    def carve(self, quota: ResourceQuota) -> "Account | OverLimit":
        """Cut a child's account out of this one, as much of ``quota`` as there is left.

        The child's own quota says what it got: a limit that this account cannot cover is cut to
        what it can, and where the child asked for no limit it gets all that is left. Time is the
        child's own.

        Returns:
            OverLimit when nothing is left of a resource of which the child would have some.
        """
        granted: dict[str, float | None] = {}
        for resource in SPENDABLE:
            asked: float | None = getattr(quota, LIMITS[resource])
            granted[LIMITS[resource]] = asked
            limit = self.limit(resource)
            if limit is None or asked == 0:
                continue
            used = getattr(self.used, resource) + getattr(self.reserved, resource)
            if used >= limit:
                return OverLimit(resource, used, limit)
            granted[LIMITS[resource]] = limit - used if asked is None else min(asked, limit - used)
        return self.adopt(msgspec.structs.replace(quota, **granted))

    def adopt(
        self, quota: ResourceQuota, used: ResourceUsage = NOTHING, *, warned: Iterable[str] = ()
    ) -> "Account":
        """Make again, after a restart, the account of a live child that had been carved.

        ``quota`` is the child's own as :meth:`carve` had cut it and extensions raised it.
        """
        child = Account(quota, used, warned=warned)
        share = {
            resource: limit
            for resource in SPENDABLE
            if (limit := child.limit(resource)) is not None and self.limit(resource) is not None
        }
        child._parent = self
        child._carved = ResourceUsage(**share)  # type: ignore[arg-type]
        self.reserved = self.reserved.plus(child._carved)
        return child

    def give_back(self, child: "Account") -> tuple[QuotaWarning, ...]:
        """Count what an ended child used as used, and take back the rest of its share.

        Returns:
            As :meth:`settle`.

        Raises:
            KernelBug: if it is not a child of this account, or gave back before.
        """
        if child._parent is not self:
            raise KernelBug("an account gives back to the one it was carved out of, once")
        child._parent = None
        return self.settle(child._carved, msgspec.structs.replace(child.used, elapsed_seconds=0.0))

    def _warn(self) -> tuple[QuotaWarning, ...]:
        fresh = tuple(
            QuotaWarning(resource, used, limit)
            for resource in LIMITS
            if resource not in self.warned
            and (limit := self.limit(resource)) is not None
            and (used := getattr(self.used, resource)) > 0
            and used >= WARN_AT * limit
        )
        self.warned += tuple(warning.resource for warning in fresh)
        return fresh


def _minus(whole: ResourceUsage, part: ResourceUsage) -> ResourceUsage:
    left = {}
    for resource in LIMITS:
        rest = getattr(whole, resource) - getattr(part, resource)
        if rest < -COST_SLACK:
            raise KernelBug(f"more {resource} released than were reserved")
        left[resource] = rest if rest > COST_SLACK else type(rest)(0)
    return ResourceUsage(**left)
