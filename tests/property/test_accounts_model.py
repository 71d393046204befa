"""Accounts hold what a slow book-keeper would hold, down a family of missions."""

from dataclasses import dataclass, field

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from control_tower.commands import QuotaIncrease
from control_tower.quota.accounts import (
    NOTHING,
    Account,
    Admitted,
    MustWait,
    OverLimit,
    QuotaWarning,
)
from control_tower.quota.quotas import ResourceQuota, ResourceUsage

COUNTED = ("llm_calls", "tool_calls", "children", "events")
MEASURED = ("input_tokens", "output_tokens")
RESOURCES = COUNTED + MEASURED

limits = st.one_of(st.none(), st.integers(0, 20))
quotas = st.builds(
    ResourceQuota,
    max_cost_usd=st.none(),
    **{f"max_{resource}": limits for resource in RESOURCES},
)
amounts = st.fixed_dictionaries({}, optional={name: st.integers(0, 5) for name in RESOURCES})
increases = st.fixed_dictionaries({f"max_{resource}": st.integers(0, 5) for resource in RESOURCES})
picks = st.integers(0, 2**16)


@dataclass
class Ledger:
    """One account, and beside it every call and child in a list."""

    account: Account
    parent: "Ledger | None" = None
    in_flight: list[dict[str, int]] = field(default_factory=list)
    spent: list[dict[str, int]] = field(default_factory=list)
    children: list["Ledger"] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    error: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MEASURED, 0))

    def limit(self, resource: str) -> int | None:
        """Return the limit of a resource."""
        limit: int | None = getattr(self.account.quota, f"max_{resource}")
        return limit

    def used(self, resource: str) -> int:
        """Return what settled calls used."""
        return sum(call.get(resource, 0) for call in self.spent)

    def held(self, resource: str) -> int:
        """Return what calls in flight and children hold."""
        calls = sum(call.get(resource, 0) for call in self.in_flight)
        shares = sum(
            child.limit(resource) or 0
            for child in self.children
            if self.limit(resource) is not None
        )
        return calls + shares

    def family(self) -> list["Ledger"]:
        """Return this one and all below it."""
        return [self, *(each for child in self.children for each in child.family())]


class Book(RuleBasedStateMachine):
    """A family of accounts, driven together with its ledgers."""

    @initialize(quota=quotas)
    def begin(self, quota: ResourceQuota) -> None:
        """Open the root's account."""
        self.root = Ledger(Account(quota))

    def one_of(self, pick: int) -> Ledger:
        """Return one of the family."""
        family = self.root.family()
        return family[pick % len(family)]

    @rule(pick=picks, amount=amounts)
    def reserve(self, pick: int, amount: dict[str, int]) -> None:
        """Ask for room: it is admitted, waits or is refused as the sums say."""
        ledger = self.one_of(pick)
        verdict = ledger.account.reserve(ResourceUsage(**amount))
        over, full = [], False
        for resource in RESOURCES:
            limit, wanted = ledger.limit(resource), amount.get(resource, 0)
            asked = wanted or (resource in MEASURED and amount.get("llm_calls"))
            if limit is not None and asked:
                if ledger.used(resource) + wanted > limit:
                    over.append((resource, ledger.used(resource), limit))
                full |= bool(wanted) and (
                    ledger.used(resource) + ledger.held(resource) + wanted > limit
                )
        if over:
            assert isinstance(verdict, OverLimit)
            assert (verdict.resource, verdict.used, verdict.limit) in over
        elif full:
            assert verdict == MustWait()
        else:
            assert verdict == Admitted()
            ledger.in_flight.append(amount)

    @precondition(lambda self: any(ledger.in_flight for ledger in self.root.family()))
    @rule(pick=picks, which=picks, more=st.integers(-2, 3), used=st.booleans())
    def finish_a_call(self, pick: int, which: int, more: int, used: bool) -> None:
        """Settle a call, whose tokens were not what was estimated, or give it back unused."""
        busy = [ledger for ledger in self.root.family() if ledger.in_flight]
        ledger = busy[pick % len(busy)]
        amount = ledger.in_flight.pop(which % len(ledger.in_flight))
        if not used:
            ledger.account.release(ResourceUsage(**amount))
            return
        actual = dict(amount)
        for resource in MEASURED:
            if resource in amount:
                actual[resource] = max(0, amount[resource] + more)
                ledger.error[resource] += max(0, more)
        warnings = ledger.account.settle(ResourceUsage(**amount), ResourceUsage(**actual))
        ledger.spent.append(actual)
        self.check_warnings(ledger, warnings)

    @rule(pick=picks, increase=increases)
    def extend(self, pick: int, increase: dict[str, int]) -> None:
        """Let a person add to the limits: they rise from there to the root."""
        ledger: Ledger | None = self.one_of(pick)
        assert ledger is not None
        family = self.root.family()
        before = {id(each): each.account.quota for each in family}
        ledger.account.extend(QuotaIncrease(**increase))
        raised = set()
        while ledger is not None:
            raised.add(id(ledger))
            ledger = ledger.parent
        for each in family:
            for name, by in increase.items():
                limit = getattr(before[id(each)], name)
                if limit is not None and id(each) in raised:
                    limit += by
                assert getattr(each.account.quota, name) == limit

    @rule(pick=picks, quota=quotas)
    def carve(self, pick: int, quota: ResourceQuota) -> None:
        """Cut a child's account: never more than asked for, never more than is left."""
        ledger = self.one_of(pick)
        left = {
            resource: max(0, limit - ledger.used(resource) - ledger.held(resource))
            for resource in RESOURCES
            if (limit := ledger.limit(resource)) is not None
        }
        before = ledger.account.reserved
        child = ledger.account.carve(quota)
        if isinstance(child, OverLimit):
            assert left[child.resource] == 0
            assert ledger.account.reserved == before
            return
        for resource in RESOURCES:
            got, asked = getattr(child.quota, f"max_{resource}"), getattr(quota, f"max_{resource}")
            if resource not in left:
                assert got == asked
            else:
                assert got <= left[resource]
                assert asked is None or got == min(asked, left[resource])
        ledger.children.append(Ledger(child, parent=ledger))

    @precondition(lambda self: len(self.root.family()) > 1)
    @rule(pick=picks)
    def end_a_child(self, pick: int) -> None:
        """End a mission below the root that has no children: what it held is charged."""
        leaves = [each for each in self.root.family() if each.parent and not each.children]
        child = leaves[pick % len(leaves)]
        parent = child.parent
        assert parent is not None
        parent.children.remove(child)
        parent.spent += child.spent + child.in_flight
        for resource in MEASURED:
            parent.error[resource] += child.error[resource]
        self.check_warnings(parent, parent.account.give_back(child.account))

    @rule(pick=picks)
    def restart(self, pick: int) -> None:
        """Open all accounts again from what is stored; calls in flight are charged in full."""
        self.root.account = self.reopened(self.root, None)
        for ledger in self.root.family():
            for child in ledger.children:
                child.account = self.reopened(child, ledger.account)

    @staticmethod
    def reopened(ledger: Ledger, parent: Account | None) -> Account:
        """Return an account made of what the store keeps of it."""
        ledger.spent += ledger.in_flight
        ledger.in_flight = []
        used = NOTHING
        for call in ledger.spent:
            used = used.plus(ResourceUsage(**call))
        quota = ledger.account.quota
        if parent is None:
            return Account(quota, used, warned=ledger.warned)
        return parent.adopt(quota, used, warned=ledger.warned)

    def check_warnings(self, ledger: Ledger, warnings: tuple[QuotaWarning, ...]) -> None:
        """A warning comes when 80 % are used, and once."""
        expected = []
        for resource in RESOURCES:
            limit, used = ledger.limit(resource), ledger.used(resource)
            if limit is not None and used and used >= 0.8 * limit and resource not in ledger.warned:
                expected.append((resource, used, limit))
        assert sorted((w.resource, w.used, w.limit) for w in warnings) == sorted(expected)
        ledger.warned += [warning.resource for warning in warnings]
        assert sorted(ledger.account.warned) == sorted(ledger.warned)

    @invariant()
    def limits_hold(self) -> None:
        """What is used and held is what the lists say, and within the limits."""
        if not hasattr(self, "root"):
            return
        for ledger in self.root.family():
            for resource in RESOURCES:
                used, held = ledger.used(resource), ledger.held(resource)
                assert getattr(ledger.account.used, resource) == used
                assert getattr(ledger.account.reserved, resource) == held
                limit = ledger.limit(resource)
                if limit is not None:
                    slack = ledger.error.get(resource, 0)
                    slack += sum(each.error.get(resource, 0) for each in ledger.family()[1:])
                    assert used + held <= limit + slack

    def teardown(self) -> None:
        """When all has ended nothing is held, and the root has used what everyone used."""
        if not hasattr(self, "root"):
            return
        while len(self.root.family()) > 1:
            self.end_a_child(0)
        for amount in self.root.in_flight:
            self.root.account.settle(ResourceUsage(**amount), ResourceUsage(**amount))
        self.root.spent += self.root.in_flight
        assert self.root.account.reserved == NOTHING
        for resource in RESOURCES:
            assert getattr(self.root.account.used, resource) == self.root.used(resource)
        assert msgspec.structs.replace(self.root.account.used, elapsed_seconds=0.0) == (
            self.root.account.used
        )


TestAccounts = Book.TestCase
TestAccounts.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
