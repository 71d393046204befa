"""What a mission may still use: reserve, then call, then settle.

An account belongs to one mission, and to all of its descendants that have no quota of their own.
A call reserves what it may use at most; when its outcome is known, the reservation is settled by
what it did use. So a counted resource (calls, children, events) never passes its limit, and
tokens and cost, which are reserved by estimate, pass it only by the error of estimates of calls
already in flight, never by another call. Time is counted and warned of here but never refused: it
has a deadline of its own.

A child with a quota gets an account carved out of its parent's: the parent holds the child's
share as a reservation until :meth:`Account.give_back` turns what was used into use and frees the
rest. What a person adds to the child's limits is added to its parent's too, so that the whole
subtree stays within the limits of its root.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import TypeAlias

import msgspec

from control_tower.commands import QuotaIncrease
from control_tower.errors import KernelBug
from control_tower.quota.quotas import ResourceQuota, ResourceUsage

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

MEASURED = frozenset({"input_tokens", "output_tokens", "cost_usd"})
"""What is reserved by estimate and only known after the call."""

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

_amounts = attrgetter(*SPENDABLE)
_limits = attrgetter(*(LIMITS[resource] for resource in SPENDABLE))
_DEFAULTS = _limits(ResourceQuota())


class Account:
    """One mission's limits, what it has used, and what its calls in flight hold.

    Attributes:
        quota: the limits as they stand, extensions included.
        used: what settled calls and ended children used.
        reserved: what calls in flight and live children hold.
        warned: the resources of which a warning was given, in this life or an earlier one.
        parent: the account that this one was carved out of, until it is given back.
        share: what the parent holds for it.
    """

    __slots__ = ("parent", "quota", "reserved", "share", "used", "warned")

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
        self.parent: Account | None = None
        self.share = NOTHING

    def reserve(self, amount: ResourceUsage) -> Verdict:
        """Hold ``amount`` for a call that is about to be made, all of it or nothing.

        Time in ``amount`` is ignored. A call of a model is refused, whatever its estimate, while
        a measured resource stands above its limit.
        """
        verdict: Verdict = ADMITTED
        for resource, wanted, limit, used, held in zip(
            SPENDABLE,
            _amounts(amount),
            _limits(self.quota),
            _amounts(self.used),
            _amounts(self.reserved),
            strict=True,
        ):
            if limit is None or not (wanted or (amount.llm_calls and resource in MEASURED)):
                continue
            room = limit - used + (COST_SLACK if resource == "cost_usd" else 0)
            if wanted > room:
                return OverLimit(resource, used, limit)
            if wanted and held + wanted > room:
                verdict = MUST_WAIT
        if verdict is ADMITTED:
            self.reserved = self.reserved.plus(_timeless(amount))
        return verdict

    def settle(self, reserved: ResourceUsage, actual: ResourceUsage) -> tuple[QuotaWarning, ...]:
        """Replace a reservation by what the call used.

        Returns:
            The resources that have now reached 80 % of their limit for the first time.

        Raises:
            KernelBug: if so much is not reserved.
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
        """Raise the limits; what has no limit keeps none. The parents' limits rise alike."""
        raised = {
            name: limit + getattr(increase, name)
            for name in LIMITS.values()
            if (limit := getattr(self.quota, name)) is not None
        }
        self.quota = msgspec.structs.replace(self.quota, **raised)
        if self.parent is not None:
            self.parent.extend(msgspec.structs.replace(increase, timeout_seconds=0))
            self._widen_share(self.parent)

    def carve(self, quota: ResourceQuota) -> "Account | OverLimit":
        """Cut a child's account out of this one.

        The child's own quota says what it got, and is the one to be stored. A limit that this
        account cannot cover is cut to what is left. A limit that ``quota`` leaves at its default,
        or at none, is no claim to everything: it gets half of what is left at most, so that the
        parent and further children can go on. Time is the child's own.

        Returns:
            OverLimit when nothing is left of a resource which ``quota`` claims.
        """
        got: dict[str, float | None] = {}
        for resource, asked, default, limit, used, held in zip(
            SPENDABLE,
            _limits(quota),
            _DEFAULTS,
            _limits(self.quota),
            _amounts(self.used),
            _amounts(self.reserved),
            strict=True,
        ):
            if limit is None:
                continue
            left = max(limit - used - held, 0)
            if asked is None or asked == default:
                half = left / 2 if resource == "cost_usd" else (left + 1) // 2
                got[LIMITS[resource]] = half if asked is None else min(asked, half)
            elif asked and not left:
                return OverLimit(resource, used + held, limit)
            else:
                got[LIMITS[resource]] = min(asked, left)
        return self.adopt(msgspec.structs.replace(quota, **got))

    def adopt(
        self, quota: ResourceQuota, used: ResourceUsage = NOTHING, *, warned: Iterable[str] = ()
    ) -> "Account":
        """Open, after a restart, the account of a live child that had been carved out of this.

        ``quota`` is the child's own, as :meth:`carve` cut it and extensions raised it.
        """
        child = Account(quota, used, warned=warned)
        child.parent = self
        child._widen_share(self)
        self.cover()
        return child

    def cover(self) -> None:
        """Raise the limits to what is used and held.

        After a restart: what a child was allowed beyond them is stored with the child alone.
        """
        raised = {}
        for resource, limit, used, held in zip(
            SPENDABLE,
            _limits(self.quota),
            _amounts(self.used),
            _amounts(self.reserved),
            strict=True,
        ):
            if limit is not None and used + held > limit:
                raised[LIMITS[resource]] = used + held
        if raised:
            self.quota = msgspec.structs.replace(self.quota, **raised)
            if self.parent is not None:
                self._widen_share(self.parent)
                self.parent.cover()

    def give_back(self, child: "Account") -> tuple[QuotaWarning, ...]:
        """Count what an ended child used as used, and take back the rest of its share.

        What it had in flight, of which nobody will learn the outcome, is charged in full.

        Returns:
            As :meth:`settle`.

        Raises:
            KernelBug: if it was not carved out of this account, or was given back before.
        """
        if child.parent is not self:
            raise KernelBug("an account is given back once, to the one it was carved out of")
        child.parent = None
        return self.settle(child.share, _timeless(child.used.plus(child.reserved)))

    def _widen_share(self, parent: "Account") -> None:
        """Let the parent hold as much as this account's limits say."""
        share = ResourceUsage(
            **{
                resource: limit
                for resource, limit, above in zip(
                    SPENDABLE, _limits(self.quota), _limits(parent.quota), strict=True
                )
                if limit is not None and above is not None
            }
        )
        parent.reserved = _minus(parent.reserved, self.share).plus(share)
        self.share = share

    def _warn(self) -> tuple[QuotaWarning, ...]:
        fresh = tuple(
            QuotaWarning(resource, used, limit)
            for resource in LIMITS
            if resource not in self.warned
            and (limit := getattr(self.quota, LIMITS[resource])) is not None
            and (used := getattr(self.used, resource)) > 0
            and used >= WARN_AT * limit
        )
        self.warned += tuple(warning.resource for warning in fresh)
        return fresh


def _timeless(usage: ResourceUsage) -> ResourceUsage:
    """Return the usage without its time, which no account lends or holds."""
    return msgspec.structs.replace(usage, elapsed_seconds=0.0)


def _minus(whole: ResourceUsage, part: ResourceUsage) -> ResourceUsage:
    """Return what is left, with the dust of float arithmetic swept away."""
    left = {}
    for resource in SPENDABLE:
        rest = getattr(whole, resource) - getattr(part, resource)
        if rest < -COST_SLACK:
            raise KernelBug(f"more {resource} released than were reserved")
        left[resource] = rest if rest > COST_SLACK else type(rest)(0)
    return ResourceUsage(**left)
