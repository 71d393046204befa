"""How long a mission has run of the time that its quota allows: a clock that rests when it does."""

from dataclasses import dataclass

import msgspec

from control_tower.process import Proposal
from control_tower.quota.accounts import WARN_AT
from control_tower.states import State
from control_tower.timers import Alarm, Due, Timers
from events.payloads import QuotaWarned

TIME = "elapsed_seconds"
"""The resource that a quota's ``timeout_seconds`` limits."""

SOON_S = 0.001
"""Less running time than that is none: alarms ring to the microsecond."""


@dataclass(slots=True, frozen=True)
class RunningTime:
    """The clocks of all missions."""

    timers: Timers

    def start(self, p: Proposal) -> None:
        """A mission comes to run."""
        process, limit = p.process, p.pcb.quota.timeout_seconds
        process.running_since = p.now
        if limit is not None:
            left = max(0.0, limit - p.pcb.usage.elapsed_seconds)
            end = Alarm(p.pcb.pid, Due.RUNTIME, "")
            p.then.append(lambda _: self.timers.set(end, p.now + left))
            if TIME not in p.pcb.warned:
                warn_at = p.now + max(0.0, left - (1 - WARN_AT) * limit)
                warning = Alarm(p.pcb.pid, Due.RUNTIME_WARNING, "")
                p.then.append(lambda _: self.timers.set(warning, warn_at))
        p.then.append(self.timers.cancelling(Alarm(p.pcb.pid, Due.PARK, "")))

    def stop(self, p: Proposal) -> None:
        """A mission that ran, if it did, no longer does."""
        since = p.process.running_since
        if p.pcb.state is not State.RUNNING or since is None:
            return
        elapsed = p.pcb.usage.elapsed_seconds + max(0.0, p.now - since)
        p.edit(usage=msgspec.structs.replace(p.pcb.usage, elapsed_seconds=elapsed))
        for what in (Due.RUNTIME, Due.RUNTIME_WARNING):
            p.then.append(self.timers.cancelling(Alarm(p.pcb.pid, what, "")))

    def may_go_on(self, p: Proposal) -> bool:
        """Whether there is running time left after all, because a person added some."""
        since, limit = p.process.running_since, p.pcb.quota.timeout_seconds
        if since is None or limit is None:
            return True
        left = limit - p.pcb.usage.elapsed_seconds - max(0.0, p.now - since)
        if left < SOON_S:
            return False
        p.then.append(lambda _: self.timers.set(Alarm(p.pcb.pid, Due.RUNTIME, ""), p.now + left))
        return True

    def warn(self, p: Proposal) -> None:
        """80 % of the running time is used; said once."""
        since, limit = p.process.running_since, p.pcb.quota.timeout_seconds
        if p.pcb.state is State.RUNNING and since is not None and limit is not None:
            used = p.pcb.usage.elapsed_seconds + p.now - since
            p.event(QuotaWarned(resource=TIME, used=round(used, 3), limit=limit))
            p.edit(warned=(*p.pcb.warned, TIME))
