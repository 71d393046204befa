"""Accounts: reserve, then call, then settle."""

import pytest

from control_tower.commands import QuotaIncrease
from control_tower.errors import KernelBug
from control_tower.quota.accounts import (
    COST_SLACK,
    LIMITS,
    NOTHING,
    SPENDABLE,
    Account,
    Admitted,
    MustWait,
    OverLimit,
    QuotaWarning,
)
from control_tower.quota.quotas import ResourceQuota, ResourceUsage

ONE_TURN = ResourceUsage(llm_calls=1, input_tokens=100, output_tokens=50, events=2)
ONE_CALL = ResourceUsage(tool_calls=1, events=2)


def carved(account: Account, quota: ResourceQuota) -> Account:
    """Carve a child's account that is known to fit."""
    child = account.carve(quota)
    assert isinstance(child, Account)
    return child


def test_every_resource_has_its_limit() -> None:
    """Usage and quota name the same resources; all but time can be reserved."""
    assert tuple(LIMITS) == ResourceUsage.__struct_fields__
    assert {*LIMITS.values(), "on_limit"} == set(ResourceQuota.__struct_fields__)
    assert set(LIMITS) - set(SPENDABLE) == {"elapsed_seconds"}


def test_what_fits_is_held_then_used() -> None:
    """An admitted amount is reserved, and replaced by what was used."""
    account = Account(ResourceQuota())
    assert account.reserve(ONE_TURN) == Admitted()
    assert account.reserved == ONE_TURN
    actual = ResourceUsage(llm_calls=1, input_tokens=90, output_tokens=70, events=2)
    assert account.settle(ONE_TURN, actual) == ()
    assert account.reserved == NOTHING
    assert account.used == actual


def test_the_limit_itself_can_be_used() -> None:
    """The last call of a quota is made, the one after it is not."""
    account = Account(ResourceQuota(max_tool_calls=2))
    for _ in range(2):
        assert account.reserve(ONE_CALL) == Admitted()
        account.settle(ONE_CALL, ONE_CALL)
    assert account.reserve(ONE_CALL) == OverLimit("tool_calls", 2, 2)
    assert account.reserve(ONE_TURN) == Admitted()


def test_calls_in_flight_make_others_wait() -> None:
    """What fits but for calls in flight waits for them; nobody is asked."""
    account = Account(ResourceQuota(max_tool_calls=1))
    assert account.reserve(ONE_CALL) == Admitted()
    assert account.reserve(ONE_CALL) == MustWait()
    account.release(ONE_CALL)
    assert account.reserve(ONE_CALL) == Admitted()
    account.settle(ONE_CALL, ONE_CALL)
    assert account.reserve(ONE_CALL) == OverLimit("tool_calls", 1, 1)


def test_a_refused_amount_holds_nothing() -> None:
    """All of an amount is reserved or none of it."""
    account = Account(ResourceQuota(max_events=1))
    assert account.reserve(ONE_CALL) == OverLimit("events", 0, 1)
    assert account.reserved == NOTHING


def test_none_is_no_limit() -> None:
    """A resource without a limit is never refused and never warned of."""
    account = Account(ResourceQuota(max_tool_calls=None))
    many = ResourceUsage(tool_calls=10**9)
    assert account.reserve(many) == Admitted()
    assert account.settle(many, many) == ()


def test_tokens_pass_the_limit_by_the_estimates_error_only() -> None:
    """A turn that used more than was estimated is charged, and no other one is made."""
    account = Account(ResourceQuota(max_output_tokens=100))
    assert account.reserve(ONE_TURN) == Admitted()
    account.settle(ONE_TURN, ResourceUsage(llm_calls=1, output_tokens=130))
    assert account.reserve(ONE_TURN) == OverLimit("output_tokens", 130, 100)
    unknown = ResourceUsage(llm_calls=1)
    assert account.reserve(unknown) == OverLimit("output_tokens", 130, 100)
    assert account.reserve(ONE_CALL) == Admitted()


def test_cost_adds_up_as_in_decimals() -> None:
    """Ten turns of ten cents are a dollar, though floats do not add up to one."""
    account = Account(ResourceQuota(max_cost_usd=1.0))
    dime = ResourceUsage(llm_calls=1, cost_usd=0.1)
    for _ in range(10):
        assert account.reserve(dime) == Admitted()
        account.settle(dime, dime)
    assert account.reserved == NOTHING
    verdict = account.reserve(dime)
    assert isinstance(verdict, OverLimit)
    assert verdict.used == pytest.approx(1.0, abs=COST_SLACK)


def test_time_is_never_refused() -> None:
    """Time has a deadline of its own: it is counted and warned of, not reserved."""
    account = Account(ResourceQuota(timeout_seconds=10))
    long = ResourceUsage(elapsed_seconds=100.0)
    assert account.reserve(long) == Admitted()
    assert account.reserved == NOTHING
    assert account.settle(long, long) == (QuotaWarning("elapsed_seconds", 100.0, 10),)


def test_a_warning_comes_at_eighty_percent_once() -> None:
    """Reaching 80 % is told, later use is not."""
    account = Account(ResourceQuota(max_tool_calls=10))
    warnings = []
    for _ in range(10):
        account.reserve(ONE_CALL)
        warnings.append(account.settle(ONE_CALL, ONE_CALL))
    assert warnings == [()] * 7 + [(QuotaWarning("tool_calls", 8, 10),)] + [()] * 2
    assert account.warned == ("tool_calls",)


def test_a_warning_is_not_repeated_after_a_restart() -> None:
    """What was told in an earlier life, or before an extension, is not told again."""
    account = Account(
        ResourceQuota(max_tool_calls=10), ResourceUsage(tool_calls=8), warned=["tool_calls"]
    )
    account.extend(QuotaIncrease(max_tool_calls=10))
    account.reserve(ResourceUsage(tool_calls=10))
    both = ResourceUsage(tool_calls=10)
    assert account.settle(both, both) == ()


def test_nothing_used_is_nothing_to_warn_of() -> None:
    """A limit of nothing is not 80 % used by nothing."""
    account = Account(ResourceQuota(max_tool_calls=0, max_cost_usd=0))
    account.reserve(ONE_TURN)
    assert account.settle(ONE_TURN, ONE_TURN) == ()


def test_an_extension_lets_the_same_call_go_on() -> None:
    """Amounts are added to the limits that there are."""
    account = Account(ResourceQuota(max_tool_calls=0))
    assert account.reserve(ONE_CALL) == OverLimit("tool_calls", 0, 0)
    account.extend(QuotaIncrease(max_tool_calls=1, max_cost_usd=5, timeout_seconds=60))
    assert account.reserve(ONE_CALL) == Admitted()
    assert account.quota.max_cost_usd is None
    assert account.quota.timeout_seconds == 3660


def test_more_cannot_be_released_than_is_reserved() -> None:
    """A reservation given back twice is a bug of the shell, and changes nothing."""
    account = Account(ResourceQuota())
    account.reserve(ONE_CALL)
    account.release(ONE_CALL)
    with pytest.raises(KernelBug):
        account.release(ONE_CALL)
    with pytest.raises(KernelBug):
        account.settle(ONE_CALL, ONE_CALL)
    assert (account.used, account.reserved) == (NOTHING, NOTHING)


def test_a_child_is_held_by_its_parent() -> None:
    """The parent cannot use what the child may, and gets back what it did not use."""
    parent = Account(ResourceQuota(max_tool_calls=10))
    child = carved(parent, ResourceQuota(max_tool_calls=4))
    assert child.quota.max_tool_calls == 4
    assert parent.reserve(ResourceUsage(tool_calls=7)) == MustWait()
    assert child.reserve(ONE_CALL) == Admitted()
    child.settle(ONE_CALL, ONE_CALL)
    assert parent.give_back(child) == ()
    assert parent.used.tool_calls == 1
    assert parent.reserved == NOTHING
    assert parent.reserve(ResourceUsage(tool_calls=9)) == Admitted()


def test_a_claim_is_cut_to_what_is_left() -> None:
    """A child that is given more than there is gets what there is; of nothing there is none."""
    parent = Account(ResourceQuota(max_tool_calls=10), ResourceUsage(tool_calls=4))
    first = carved(parent, ResourceQuota(max_tool_calls=30))
    assert first.quota.max_tool_calls == 6
    assert parent.carve(ResourceQuota(max_tool_calls=1)) == OverLimit("tool_calls", 10, 10)
    assert carved(parent, ResourceQuota(max_tool_calls=0)).quota.max_tool_calls == 0


def test_what_nobody_asked_for_is_shared() -> None:
    """A limit left at its default, or at none, takes half of what is left at most."""
    parent = Account(ResourceQuota(max_cost_usd=8.0))
    first = carved(parent, ResourceQuota(max_tool_calls=5))
    second = carved(parent, ResourceQuota(max_tool_calls=5, max_llm_calls=None))
    assert (first.quota.max_llm_calls, second.quota.max_llm_calls) == (25, 13)
    assert (first.quota.max_cost_usd, second.quota.max_cost_usd) == (4.0, 2.0)
    assert (first.quota.max_tool_calls, second.quota.max_tool_calls) == (5, 5)
    assert parent.reserve(ONE_TURN) == Admitted()


def test_an_unlimited_parent_lends_without_holding() -> None:
    """Where the parent has no limit the child has the one that it asked for."""
    parent = Account(ResourceQuota(max_tool_calls=None))
    child = carved(parent, ResourceQuota(max_tool_calls=7))
    assert child.quota.max_tool_calls == 7
    assert parent.reserved.tool_calls == 0
    child.extend(QuotaIncrease(max_tool_calls=1))
    assert parent.reserved.tool_calls == 0
    parent.give_back(child)
    assert parent.reserved == NOTHING


def test_time_is_not_carved() -> None:
    """A child's time is its own, and is not its parent's when it ends."""
    parent = Account(ResourceQuota(timeout_seconds=10))
    child = carved(parent, ResourceQuota(timeout_seconds=100))
    assert child.quota.timeout_seconds == 100
    child.settle(NOTHING, ResourceUsage(elapsed_seconds=50.0))
    child.extend(QuotaIncrease(timeout_seconds=5))
    assert child.quota.timeout_seconds == 105
    assert parent.quota.timeout_seconds == 10
    assert parent.give_back(child) == ()
    assert parent.used.elapsed_seconds == 0


def test_an_extension_of_a_child_reaches_the_root() -> None:
    """What a person adds is added all the way up, and held there for the child."""
    root = Account(ResourceQuota(max_tool_calls=10))
    child = carved(root, ResourceQuota(max_tool_calls=5))
    grandchild = carved(child, ResourceQuota(max_tool_calls=5))
    grandchild.extend(QuotaIncrease(max_tool_calls=3))
    limits = [each.quota.max_tool_calls for each in (root, child, grandchild)]
    assert limits == [13, 8, 8]
    assert root.reserved.tool_calls == child.reserved.tool_calls == 8
    spent = ResourceUsage(tool_calls=8)
    assert grandchild.reserve(spent) == Admitted()
    grandchild.settle(spent, spent)
    child.give_back(grandchild)
    root.give_back(child)
    assert (root.used.tool_calls, root.reserved) == (8, NOTHING)


def test_what_a_dead_child_had_in_flight_is_charged() -> None:
    """Nobody will learn what those calls used."""
    parent = Account(ResourceQuota())
    child = carved(parent, ResourceQuota(max_tool_calls=2))
    child.reserve(ONE_CALL)
    parent.give_back(child)
    assert parent.used == ONE_CALL


def test_a_childs_use_may_be_worth_a_warning() -> None:
    """What the subtree used counts for the parent's 80 %."""
    parent = Account(ResourceQuota(max_tool_calls=10))
    child = carved(parent, ResourceQuota(max_tool_calls=9))
    nine = ResourceUsage(tool_calls=9)
    child.reserve(nine)
    assert child.settle(nine, nine) == (QuotaWarning("tool_calls", 9, 9),)
    assert parent.give_back(child) == (QuotaWarning("tool_calls", 9, 10),)


def test_an_account_is_given_back_once_to_its_parent() -> None:
    """Twice, or to a stranger, is a bug of the shell."""
    parent, stranger = Account(ResourceQuota()), Account(ResourceQuota())
    child = carved(parent, ResourceQuota(max_tool_calls=2))
    with pytest.raises(KernelBug):
        stranger.give_back(child)
    parent.give_back(child)
    with pytest.raises(KernelBug):
        parent.give_back(child)


def test_a_family_is_opened_again_after_a_restart() -> None:
    """From what is stored of each, the parent holds again what its live child may use."""
    parent = Account(ResourceQuota(max_tool_calls=10))
    child = carved(parent, ResourceQuota(max_tool_calls=4))
    child.extend(QuotaIncrease(max_tool_calls=2))
    child.settle(NOTHING, ONE_CALL)
    again = Account(parent.quota, parent.used, warned=parent.warned)
    adopted = again.adopt(child.quota, child.used, warned=child.warned)
    assert (again.reserved, adopted.used) == (parent.reserved, child.used)
    assert again.give_back(adopted) == parent.give_back(child)
    assert (again.used, again.reserved) == (parent.used, parent.reserved)
