"""Budgets: the accounts of missions in memory, and what a call does to them.

An account belongs to a mission with a quota; children without one draw on their parent's. The
rules of an account are :mod:`control_tower.quota.accounts`'; this room knows whose account it is,
asks a person at a limit, and lets calls wait that fit but for others in flight.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec

from control_tower import errors
from control_tower.commands import QuotaIncrease
from control_tower.ending import PARENT_ENDED, Ending
from control_tower.execution.calls import Call, FunctionCall, Kind
from control_tower.ports import ModelRequest, Models
from control_tower.process import Process, Proposal
from control_tower.questions import Questions
from control_tower.quota.accounts import LIMITS, Account, MustWait, OverLimit, QuotaWarning
from control_tower.quota.quotas import ResourceQuota, ResourceUsage, eventless
from control_tower.quota.user_accounts import UserAccounts
from control_tower.records import ProcessControlBlock
from control_tower.states import Outcome, State
from control_tower.unit import Commit
from events.payloads import QuotaExceeded, QuotaExtended, QuotaWarned

STEP_EVENTS = 2
"""Events that a call makes at least: its intent and its result."""

SPEECH = ResourceUsage(events=STEP_EVENTS)


@dataclass(slots=True)
class Budget:
    """Accounts by the mission that owns them."""

    models: Models
    questions: Questions
    ending: Ending
    users: UserAccounts
    retry: Callable[[Process, Call], None]
    accounts: dict[str, Account] = field(default_factory=dict)
    waiting: dict[str, list[tuple[Process, Call]]] = field(default_factory=dict)

    def open(self, pcb: ProcessControlBlock) -> Account:
        """Return a mission's own account.

        A mission without relatives has it opened here; a family's are opened by :meth:`restore`.
        """
        account = self.accounts.get(pcb.pid)
        if account is None:
            account = Account(pcb.quota, _spent(pcb), warned=pcb.warned)
            self.accounts[pcb.pid] = account
        return account

    def find(self, pcb: ProcessControlBlock) -> Account | None:
        """Return the account that a mission draws on.

        None when that is a relative's who has ended: this mission ends with it.
        """
        if pcb.account_pid is None:
            return self.open(pcb)
        return self.accounts.get(pcb.account_pid)

    def restore(self, family: Sequence[ProcessControlBlock]) -> None:
        """Open the accounts of a family after a restart: a live root and all of its descendants.

        ``family`` is ordered, parents before children. What a descendant used counts on the
        account that it draws on, or once it has ended on the one of its parent; what a person
        added to its limits, too, which is stored with it. One with its own account has it carved
        out again.
        """
        owners = _owners(family)
        counted = {pid for pcb in family for pid in pcb.counted}
        for pcb in family:
            if owners[pcb.pid] != pcb.pid or pcb.pid in self.accounts:
                continue
            quota, used = pcb.quota, _spent(pcb)
            for other in family:
                if other.account_pid == pcb.pid:
                    quota = _higher(quota, other.quota)
                if other is not pcb and owners[other.pid] == pcb.pid and other.pid not in counted:
                    used = used.plus(msgspec.structs.replace(_spent(other), elapsed_seconds=0.0))
            if pcb.parent_pid is None:
                account = Account(quota, used, warned=pcb.warned)
            else:
                above = self.accounts[owners[pcb.parent_pid]]
                account = above.adopt(quota, used, warned=pcb.warned)
            self.accounts[pcb.pid] = account
            account.cover()

    def rested(self, pcb: ProcessControlBlock) -> None:
        """A mission has left memory. Without relatives its account can be opened again."""
        if pcb.parent_pid is None and not pcb.children:
            self.accounts.pop(pcb.pid, None)

    def settle_cut(self, p: Proposal, reserved: ResourceUsage) -> None:
        """Note what an attempt is charged of which nobody will learn the outcome.

        Its account is charged when it is opened, which may be now.
        """
        self.find(p.pcb)
        self.users.count(p, eventless(reserved))

    def carve(self, parent: ProcessControlBlock, pid: str, quota: ResourceQuota) -> ResourceQuota:
        """Open a child's own account out of its parent's; return what it got.

        Raises:
            QuotaExceeded: if the parent has nothing left of it.
        """
        account = self.find(parent)
        if account is None:
            raise errors.QuotaExceeded("The mission whose quota this one shares has ended.")
        carved = account.carve(quota)
        if isinstance(carved, OverLimit):
            raise errors.QuotaExceeded(f"Nothing is left of the parent's {carved.resource}.")
        self.accounts[pid] = carved
        return carved.quota

    def close(self, pcb: ProcessControlBlock, in_flight: Iterable[ResourceUsage]) -> None:
        """Forget a root mission's account; a child's is given back to its parent's.

        Nobody will learn the outcome of the calls that are ``in_flight``, so they are charged in
        full to a relative's account, as they are in the mission's own usage.
        """
        self.waiting.pop(pcb.pid, None)
        account = None if pcb.account_pid is None else self.accounts.get(pcb.account_pid)
        if account is not None:
            for reserved in in_flight:
                account.settle(reserved, eventless(reserved))
        if pcb.parent_pid is None:
            self.accounts.pop(pcb.pid, None)

    def _price_of_turn(self, call: Call) -> ResourceUsage:
        if not isinstance(call.request, ModelRequest):
            return SPEECH  # it was rejected and is not made
        estimate = self.models.estimate(call.request)
        return msgspec.structs.replace(estimate, llm_calls=1, events=STEP_EVENTS)

    def child_ended(self, p: Proposal, child: ProcessControlBlock) -> None:
        """Count what an ended child used as its parent's use."""
        used = msgspec.structs.replace(child.usage, elapsed_seconds=0.0)
        p.edit(usage=p.pcb.usage.plus(used), counted=(*p.pcb.counted, child.pid))
        if (child.account_pid or child.pid) == child.pid:
            account, above = self.accounts.pop(child.pid, None), self.find(p.pcb)
            if account is not None and above is not None:
                self.warn(p, above.give_back(account))
        self._made_room(p)

    def orphaned(self, child: ProcessControlBlock) -> None:
        """A child ended after its parent: there is nobody to give its account back to."""
        self.accounts.pop(child.pid, None)

    def draw(self, p: Proposal, call: Call, *, at_once: bool = False) -> ResourceUsage | None:
        """Reserve what a call will use; None when it must wait or a person is asked.

        Given back if the proposal is refused, but for a call that is settled ``at_once``, in the
        proposal in which it is made.
        """
        wanted = self.price(call)
        account = self.find(p.pcb)
        if account is None:
            self.ending.finish(p, Outcome.CANCELLED, reason=PARENT_ENDED)
            return None
        verdict = account.reserve(wanted)
        if isinstance(verdict, OverLimit):
            self._at_limit(p, call, verdict)
            return None
        if isinstance(verdict, MustWait):
            owner = p.pcb.account_pid or p.pcb.pid
            self.waiting.setdefault(owner, []).append((p.process, call))
            return None
        if not at_once:
            p.otherwise.append(lambda _: account.release(wanted))
        return wanted

    def may_speak(self, p: Proposal, call: Call) -> bool:
        """Whether there is room for the events of a call that reserves nothing else.

        If there is none, a person is asked or the mission ends, as at any limit.
        """
        account = self.find(p.pcb)
        if account is None:
            self.ending.finish(p, Outcome.CANCELLED, reason=PARENT_ENDED)
            return False
        verdict = account.reserve(SPEECH)
        if isinstance(verdict, OverLimit):
            self._at_limit(p, call, verdict)
            return False
        if not isinstance(verdict, MustWait):
            account.release(SPEECH)
        return True

    def count_events(self, pcb: ProcessControlBlock, count: int) -> None:
        """Count events as used that are being committed; fewer than none were not."""
        account = self.accounts.get(pcb.account_pid or pcb.pid)
        if account is not None:
            account.used = account.used.plus(ResourceUsage(events=count))

    def waits(self, process: Process, call: Call) -> bool:
        """Whether a call waits for room that others in flight hold."""
        owner = process.pcb.account_pid or process.pid
        return any(waiting is call for _, waiting in self.waiting.get(owner, ()))

    def price(self, call: Call) -> ResourceUsage:
        """Return what a call reserves."""
        if isinstance(call.request, FunctionCall):
            return call.request.reserve.plus(SPEECH)
        match call.kind:
            case Kind.TOOL:
                return ResourceUsage(tool_calls=1, events=STEP_EVENTS)
            case Kind.LLM:
                return self._price_of_turn(call)
            case Kind.SPAWN:
                return ResourceUsage(children=1, events=STEP_EVENTS)
            case _:
                return SPEECH

    def _at_limit(self, p: Proposal, call: Call, over: OverLimit) -> None:
        p.event(QuotaExceeded(resource=over.resource, used=over.used, limit=over.limit))
        if p.pcb.quota.on_limit == "fail":
            message = f"The quota of {over.limit:g} {over.resource} is used up."
            error = {"code": "quota_exceeded", "message": message}
            self.ending.finish(p, Outcome.QUOTA_EXCEEDED, error=error)
        else:
            self.questions.exhausted(p, call, over.resource, over.used, over.limit)

    def settle(self, p: Proposal, reserved: ResourceUsage, used: ResourceUsage) -> None:
        """Charge what was used, free what was reserved, and let waiting calls try again."""
        account = self.find(p.pcb)
        self.users.count(p, used)
        if account is not None:
            self.warn(p, account.settle(reserved, used))
        self._made_room(p)

    def _made_room(self, p: Proposal) -> None:
        """Let waiting calls try again, and keep the limits that a child's extension raised."""
        account = self.accounts.get(p.pcb.pid)
        if account is not None and account.quota != p.pcb.quota:
            p.edit(quota=account.quota)
        owner = p.pcb.account_pid or p.pcb.pid
        if owner in self.waiting:
            p.then.append(partial(self._try_again, owner))

    def _try_again(self, owner: str, _: Commit) -> None:
        for process, call in self.waiting.pop(owner, ()):
            self.retry(process, call)

    @staticmethod
    def warn(p: Proposal, warnings: tuple[QuotaWarning, ...]) -> None:
        """Say which limits are 80 % used, once each."""
        for warning in warnings:
            p.event(QuotaWarned(resource=warning.resource, used=warning.used, limit=warning.limit))
        if warnings:
            told = p.pcb.warned + tuple(warning.resource for warning in warnings)
            p.edit(warned=told)

    def extend(self, p: Proposal, increase: QuotaIncrease) -> None:
        """Raise limits, and say so."""
        account = self.find(p.pcb)
        if account is None:
            raise errors.Conflict("The mission whose quota this one shares has ended.")
        before, timed_s = account.quota, p.pcb.quota.timeout_seconds
        if p.pcb.account_pid is None:
            account.extend(increase)
            after = account.quota
        else:  # the limits are its relative's, the time is its own
            account.extend(msgspec.structs.replace(increase, timeout_seconds=0))
            before = msgspec.structs.replace(before, timeout_seconds=timed_s)
            raised_s = None if timed_s is None else timed_s + increase.timeout_seconds
            after = msgspec.structs.replace(account.quota, timeout_seconds=raised_s)
        p.edit(quota=after)
        self._say_extended(p, account, before)
        self._made_room(p)

    @staticmethod
    def _say_extended(p: Proposal, account: Account, before: ResourceQuota) -> None:
        for name in before.__struct_fields__:
            new = getattr(p.pcb.quota, name)
            if getattr(before, name) == new:
                continue
            if name == "timeout_seconds":
                resource, used = "elapsed_seconds", p.pcb.usage.elapsed_seconds
            else:
                resource = name.removeprefix("max_")
                used = getattr(account.used, resource)
            p.event(QuotaExtended(resource=resource, used=used, limit=new))


def _spent(pcb: ProcessControlBlock) -> ResourceUsage:
    """Return what a mission used that runs on, calls that were cut charged in full.

    One that ended has them in its usage.
    """
    cut = None if pcb.state is State.TERMINATED else pcb.held
    return pcb.usage if cut is None else pcb.usage.plus(cut)


def _owners(family: Sequence[ProcessControlBlock]) -> dict[str, str]:
    """Return by pid whose account each of a family counts on, its own for a live one with it.

    A child that outlives its parent ends, and gets no account any more.
    """
    owners: dict[str, str] = {}
    live = {pcb.pid for pcb in family if pcb.state is not State.TERMINATED}
    for pcb in family:
        above = pcb.parent_pid
        owns = pcb.account_pid is None and pcb.pid in live and (above is None or above in live)
        owners[pcb.pid] = pcb.pid if above is None or owns else owners[above]
    return owners


def _higher(quota: ResourceQuota, other: ResourceQuota) -> ResourceQuota:
    """Return the higher limits of two; time is each mission's own."""
    raised = {
        name: max(limit, getattr(other, name))
        for name in LIMITS.values()
        if name != "timeout_seconds"
        and (limit := getattr(quota, name)) is not None
        and getattr(other, name) is not None
    }
    return msgspec.structs.replace(quota, **raised)
