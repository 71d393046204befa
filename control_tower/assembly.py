"""The kernel's parts put together; the one place in this package that wires."""

from dataclasses import dataclass

from control_tower.acceptance import Acceptance
from control_tower.answering import Answering
from control_tower.ending import Ending
from control_tower.execution.children import Family
from control_tower.execution.context import Services
from control_tower.execution.effects import Attempts
from control_tower.execution.runs import Runs
from control_tower.execution.syscalls import Syscalls
from control_tower.giving_way import GivingWay
from control_tower.kernel import Kernel
from control_tower.lifecycle import Lifecycle
from control_tower.limits import TowerLimits
from control_tower.memory import Memory
from control_tower.ports import Catalog, Clock, Ids, Models, Publisher, Store, Tools
from control_tower.questions import Questions
from control_tower.quota.budget import Budget
from control_tower.quota.user_accounts import UserAccounts
from control_tower.residence import Residence
from control_tower.running_time import RunningTime
from control_tower.schedule.admission import Admission
from control_tower.schedule.ready_queue import ReadyQueue
from control_tower.schedule.session_gate import SessionGate
from control_tower.sight import Sight
from control_tower.submission import Submissions
from control_tower.timers import Alarm, Timers
from control_tower.watchdog import Watchdog


@dataclass(slots=True, frozen=True)
class Assembly:
    """What the facade uses."""

    store: Store
    timers: Timers
    admission: Admission
    lifecycle: Lifecycle
    ending: Ending
    budget: Budget
    memory: Memory
    kernel: Kernel
    residence: Residence
    sight: Sight
    acceptance: Acceptance
    answering: Answering


def assemble(
    *,
    store: Store,
    catalog: Catalog,
    tools: Tools,
    models: Models,
    publisher: Publisher,
    clock: Clock,
    ids: Ids,
    node: str,
    limits: TowerLimits,
) -> Assembly:
    """Wire the kernel. Parts that know each other meet through late-bound callables."""

    def ring(alarm: Alarm) -> None:
        residence.ring(alarm)

    timers = Timers(clock, ring)
    queue = ReadyQueue(slots=limits.max_running, slots_per_user=limits.max_running_per_user)
    admission = Admission(SessionGate(), queue, lambda pcb: giving_way.tell(pcb))
    questions = Questions(ids, limits, timers, tools)
    users = UserAccounts(store, limits)
    running_time = RunningTime(timers)
    lifecycle = Lifecycle(node, admission, running_time)
    ending = Ending(ids, timers, users, running_time)
    budget = Budget(
        models, questions, ending, users, lambda process, call: runs.draw_again(process, call)
    )
    memory = Memory(store, budget, lambda process: kernel.touch(process))
    runs = Runs(
        catalog=catalog,
        services=Services(tools, models, clock),
        publisher=publisher,
        clock=clock,
        memory=memory,
        admission=admission,
        lifecycle=lifecycle,
        ending=ending,
        budget=budget,
        runner=Attempts(tools, models, store),
        post=lambda process, change: kernel.post(process, change),
    )
    kernel = Kernel(
        store=store,
        clock=clock,
        timers=timers,
        memory=memory,
        admission=admission,
        users=users,
        lifecycle=lifecycle,
        runs=runs,
        park_after_s=limits.park_after_s,
        rested=lambda process: residence.rested(process),
        buried=lambda process: residence.buried(process),
    )
    giving_way = GivingWay(memory, ending, kernel.post)
    submissions = Submissions(catalog, clock, ids, admission, lifecycle, users)
    syscalls = runs.syscalls = Syscalls(tools, questions, timers, runs)
    family = runs.children = Family(
        catalog, store, budget, ending, submissions, timers, memory, kernel
    )
    residence = Residence(
        store=store,
        catalog=catalog,
        clock=clock,
        timers=timers,
        memory=memory,
        kernel=kernel,
        users=users,
        lifecycle=lifecycle,
        ending=ending,
        running_time=running_time,
        questions=questions,
        syscalls=syscalls,
        family=family,
        giving_way=giving_way,
        budget=budget,
        watchdog=Watchdog(),
    )
    sight = Sight(store, memory)
    acceptance = Acceptance(store, timers, memory, admission, submissions, kernel, residence)
    answering = Answering(store, sight, memory, submissions, ending, questions, budget, kernel)
    return Assembly(
        store=store,
        timers=timers,
        admission=admission,
        lifecycle=lifecycle,
        ending=ending,
        budget=budget,
        memory=memory,
        kernel=kernel,
        residence=residence,
        sight=sight,
        acceptance=acceptance,
        answering=answering,
    )
