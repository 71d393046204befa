"""The Control Tower: what callers may ask of it.

A command returns once it is committed. Its ``ack``, if given, is called with the result on the
event loop at that moment, before the command's events are published, so that a reply can precede
them. Another user's things look exactly like things that do not exist.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec

from control_tower.acceptance import message_reply, submit_reply
from control_tower.assembly import Assembly, assemble
from control_tower.commands import Ack, Answer, Caller, QuotaIncrease, Submission
from control_tower.errors import Conflict, Forbidden
from control_tower.limits import TowerLimits
from control_tower.ports import (
    Catalog,
    Clock,
    Ids,
    InterruptQuery,
    MissionQuery,
    Models,
    Publisher,
    Store,
    Tools,
)
from control_tower.process import Proposal
from control_tower.public import interrupt_json, mission_json
from control_tower.records import InterruptKind, Priority
from control_tower.sight import require_writer
from control_tower.states import Outcome, State
from control_tower.unit import Commit
from events.payloads import JsonObject, MissionUpdated


class Tower:
    """The facade. Every method may raise a :class:`~control_tower.errors.Refusal`."""

    def __init__(
        self,
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
    ) -> None:
        self._a: Assembly = assemble(
            store=store,
            catalog=catalog,
            tools=tools,
            models=models,
            publisher=publisher,
            clock=clock,
            ids=ids,
            node=node,
            limits=limits,
        )

    @property
    def parts(self) -> Assembly:
        """What it is a facade of."""
        return self._a

    @property
    def draining(self) -> bool:
        """Whether the tower takes nothing new."""
        return self._a.residence.draining

    async def start(self, *, watch: bool = False, restore: bool = True) -> None:
        """Restore every mission that had not ended, and begin to run them.

        ``watch``: name programs that block the event loop; a thread looks four times a second.
        Without ``restore`` it begins with none, and :meth:`adopt` brings them.
        """
        await self._a.residence.start(watch=watch, restore=restore)

    async def adopt(self, user_ids: Sequence[str]) -> None:
        """Restore what users had running on a tower that is gone, and go on with it.

        Each user once, and before anything is asked for them.
        """
        await self._a.residence.adopt(user_ids)

    async def stop(self, drain_s: float) -> None:
        """Take nothing new, and leave running missions at a call for the next start."""
        await self._a.residence.stop(drain_s)

    # -- missions -------------------------------------------------------------------------

    async def submit(
        self,
        caller: Caller,
        submission: Submission,
        *,
        body_sha256: str,
        ack: Ack | None = None,
    ) -> JsonObject:
        """Accept a mission: ``mission_id, session_id, state, offset, duplicate``."""
        return await self._a.acceptance.accept(caller, submission, body_sha256, ack, submit_reply)

    async def send_message(
        self,
        caller: Caller,
        message: str,
        submission: Submission,
        *,
        body_sha256: str,
        ack: Ack | None = None,
    ) -> JsonObject:
        """Say something in a session: an answer to its oldest open question, or a mission.

        Returns ``message_id, session_id`` and ``mission_id`` or ``answered`` (an interrupt's id).
        """
        if submission.session_id is not None:
            await self._a.sight.require_session(caller, submission.session_id)
            earlier = await self._a.acceptance.earlier_reply(caller, submission, body_sha256)
            if earlier is not None:
                return earlier
            question = await self._a.answering.open_question(caller, submission.session_id)
            if question is not None:
                return await self._a.answering.answer_by_message(
                    caller, question, message, submission, body_sha256, ack
                )
        return await self._a.acceptance.accept(caller, submission, body_sha256, ack, message_reply)

    async def mission(self, caller: Caller, pid: str) -> JsonObject:
        """Return a mission's control block."""
        return mission_json(await self._a.sight.mission(caller, pid))

    async def missions(self, caller: Caller, query: MissionQuery) -> list[JsonObject]:
        """Return a page of missions, newest first; a user sees their own."""
        if not caller.reads_all:
            query = MissionQuery(
                user_id=caller.user_id,
                session_id=query.session_id,
                state=query.state,
                limit=query.limit,
                after=query.after,
            )
        return [mission_json(pcb) for pcb in await self._a.store.missions(query)]

    async def cancel(
        self, caller: Caller, pid: str, reason: str | None = None, *, ack: Ack | None = None
    ) -> JsonObject:
        """Stop a mission and all of its children. One that ended is returned as it is."""

        def change(p: Proposal) -> None:
            if p.pcb.state is not State.TERMINATED:
                why = reason or "cancelled"
                self._a.ending.finish(p, Outcome.CANCELLED, reason=why, by=caller.user_id)

        return await self._change_mission(caller, pid, change, ack, ended_is_fine=True)

    async def pause(
        self, caller: Caller, pid: str, reason: str | None = None, *, ack: Ack | None = None
    ) -> JsonObject:
        """Hold a mission until it is resumed."""

        def change(p: Proposal) -> None:
            if p.pcb.state in (State.PAUSED, State.TERMINATED, State.NEW):
                raise Conflict(f"The mission is {p.pcb.state.value}.")
            self._a.lifecycle.pause(p, caller.user_id, reason)

        return await self._change_mission(caller, pid, change, ack)

    async def resume(
        self, caller: Caller, pid: str, reason: str | None = None, *, ack: Ack | None = None
    ) -> JsonObject:
        """Let a paused mission go on. ``reason`` is shown as its cause."""

        def change(p: Proposal) -> None:
            if p.pcb.state is not State.PAUSED:
                raise Conflict(f"The mission is {p.pcb.state.value}, not paused.")
            self._a.lifecycle.resume(p, caller.user_id, reason)

        return await self._change_mission(caller, pid, change, ack)

    async def set_priority(
        self, caller: Caller, pid: str, priority: Priority, *, ack: Ack | None = None
    ) -> JsonObject:
        """Change a mission's priority; a queued one moves at once."""
        if priority is Priority.REALTIME and caller.role != "operator":
            raise Forbidden("Only an operator may give priority realtime.")

        def change(p: Proposal) -> None:
            if p.pcb.state is State.TERMINATED:
                raise Conflict("The mission has ended.")
            p.edit(priority=priority)
            p.event(MissionUpdated(by=caller.user_id, priority=priority.value))
            p.then.append(lambda _: self._a.residence.reprioritise(p.process))

        return await self._change_mission(caller, pid, change, ack)

    async def extend_quota(
        self, caller: Caller, pid: str, quota: QuotaIncrease, *, ack: Ack | None = None
    ) -> JsonObject:
        """Raise the limits of a mission's quota."""

        def change(p: Proposal) -> None:
            if p.pcb.state is State.TERMINATED:
                raise Conflict("The mission has ended.")
            self._a.budget.extend(p, quota)
            shown = msgspec.to_builtins(p.pcb.quota)
            p.event(MissionUpdated(by=caller.user_id, quota=shown))

        return await self._change_mission(caller, pid, change, ack)

    async def _change_mission(
        self,
        caller: Caller,
        pid: str,
        change: Callable[[Proposal], None],
        ack: Ack | None,
        *,
        ended_is_fine: bool = False,
    ) -> JsonObject:
        pcb = await self._a.sight.mission(caller, pid)
        require_writer(caller)
        process = await self._a.memory.load(pid)
        if process is None:
            pcb = await self._a.sight.mission(caller, pid)
            if ended_is_fine:
                return mission_json(pcb)
            raise Conflict("The mission has ended.")

        def apply(p: Proposal) -> Callable[[Commit], JsonObject]:
            change(p)
            return lambda _: mission_json(p.pcb)

        return await self._a.kernel.command(process, apply, ack)

    async def explain(self, caller: Caller, pid: str) -> JsonObject:
        """Say why a mission is where it is: ``state, cause, position, waiting_for, eta_s``."""
        return self._a.residence.explain(await self._a.sight.mission(caller, pid))

    async def settled(self, pid: str, timeout_s: float) -> JsonObject:
        """Return a mission once it has ended or asks a person, or after ``timeout_s``."""
        return mission_json(await self._a.residence.settled(pid, timeout_s))

    def try_again(self, tool: str) -> None:
        """A tool's breaker has closed: let the calls that wait for it go on at once."""
        self._a.residence.try_again(tool)

    # -- interrupts -----------------------------------------------------------------------

    async def answer(
        self,
        caller: Caller,
        interrupt_id: str,
        answer: Answer,
        *,
        kinds: frozenset[InterruptKind] | None = None,
        ack: Ack | None = None,
    ) -> JsonObject:
        """Answer a question and let its mission go on. ``kinds``: what this door answers."""
        return await self._a.answering.answer(caller, interrupt_id, answer, kinds, ack)

    async def interrupts(self, caller: Caller, query: InterruptQuery) -> list[JsonObject]:
        """Return a page of interrupts in the query's order; a user sees their own."""
        if not caller.reads_all:
            query = replace(query, user_id=caller.user_id)
        return [interrupt_json(record) for record in await self._a.store.interrupts(query)]

    async def interrupt(self, caller: Caller, interrupt_id: str) -> JsonObject:
        """Return an interrupt."""
        return interrupt_json(await self._a.sight.interrupt(caller, interrupt_id))

    # -- looking --------------------------------------------------------------------------

    def snapshot(self, topics: Sequence[str]) -> list[JsonObject]:
        """Return what is active in the topics, exact as of the last committed change."""
        return self._a.residence.snapshot(topics)

    def load(self) -> int:
        """Return how many missions run, or are ready to."""
        queue = self._a.kernel.admission.queue
        return queue.running + queue.queued

    def status(self) -> JsonObject:
        """Return processes by state, queue and slots."""
        return self._a.residence.status()
