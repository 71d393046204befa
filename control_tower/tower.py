"""The Control Tower: what callers may ask of it.

A command returns once it is committed. Its ``ack``, if given, is called with the result on the
event loop at that moment, before the command's events are published, so that a reply can precede
them. Another user's things look exactly like things that do not exist.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec

from control_tower import interrupts as rules
from control_tower.assembly import Assembly, assemble
from control_tower.commands import (
    Answer,
    Caller,
    ClarificationAnswer,
    DecisionAnswer,
    QuotaIncrease,
    Submission,
)
from control_tower.errors import (
    Busy,
    Conflict,
    Forbidden,
    InvalidParams,
    NotFound,
    Unavailable,
)
from control_tower.kernel import unavailable
from control_tower.lifecycle import DEADLINE, LOOK
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
from control_tower.records import (
    InterruptKind,
    InterruptRecord,
    KeyRecord,
    Priority,
    ProcessControlBlock,
)
from control_tower.states import Outcome, State
from control_tower.timers import Alarm
from control_tower.unit import (
    Commit,
    KeyTaken,
    RememberKey,
    RequireSession,
    SessionMissing,
    UnitRefused,
)
from events.payloads import JsonObject, MissionUpdated

Ack = Callable[[JsonObject], None]
"""Called with a command's result at its commit, before its events are published."""


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
        return await self._accept(caller, submission, body_sha256, ack, _submit_reply)

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
            await self._require_session(caller, submission.session_id)
            earlier = await self._earlier_reply(caller, submission, body_sha256)
            if earlier is not None:
                return earlier
            question = await self._open_question(caller, submission.session_id)
            if question is not None:
                return await self._answer_by_message(
                    caller, question, message, submission, body_sha256, ack
                )
        return await self._accept(caller, submission, body_sha256, ack, _message_reply)

    async def _accept(
        self,
        caller: Caller,
        submission: Submission,
        body_sha256: str,
        ack: Ack | None,
        reply_of: Callable[[ProcessControlBlock, str], JsonObject],
    ) -> JsonObject:
        self._require_writer(caller)
        if self.draining:
            raise Unavailable("The server is going down.", outcome="rejected")
        earlier = await self._earlier_reply(caller, submission, body_sha256)
        if earlier is not None:
            return earlier
        pcb = self._a.submissions.block(caller, submission)
        await self._a.submissions.check_account(caller)
        self._make_room(pcb, caller)
        kernel = self._a.kernel
        process = self._a.memory.processes[pcb.pid] = self._a.submissions.process(pcb)
        p, message_id = self._a.submissions.propose(
            process,
            new_session=submission.session_id is None,
            ahead=submission.on_busy == "interrupt",
        )
        if submission.session_id is not None:
            p.require = RequireSession(submission.session_id, caller.user_id)
        reply = reply_of(p.pcb, message_id)
        self._remember(p, caller, submission.idempotency_key, body_sha256, reply)
        self._set_alarms(p)
        try:
            return await kernel.sent(p, partial(_with_offset, reply), ack)
        except UnitRefused as reason:
            return self._refused_reply(reason, body_sha256)

    async def _earlier_reply(
        self, caller: Caller, submission: Submission, body_sha256: str
    ) -> JsonObject | None:
        if submission.idempotency_key is None:
            return None
        record = await self._a.store.key(caller.user_id, submission.idempotency_key)
        return None if record is None else _duplicate(record, body_sha256)

    def _refused_reply(self, reason: UnitRefused, body_sha256: str) -> JsonObject:
        if isinstance(reason, KeyTaken):
            return _duplicate(reason.record, body_sha256)
        if isinstance(reason, SessionMissing):
            raise NotFound("No such session.") from reason
        raise unavailable(reason) from reason

    def _make_room(self, pcb: ProcessControlBlock, caller: Caller) -> None:
        """Carry ``on_busy`` out as far as it concerns the missions that keep the session busy."""
        holders = self._a.admission.gate.holders(pcb.session_id)
        if not holders:
            return
        if pcb.on_busy == "reject":
            raise Busy("The session is busy with another mission.")
        if pcb.on_busy == "interrupt":
            for pid in holders:
                process = self._a.memory.processes.get(pid)
                if process is not None and process.pcb.user_id == caller.user_id:
                    cancel = partial(
                        _cancel, self._a, "interrupted by a newer mission", caller.user_id
                    )
                    self._a.kernel.post(process, cancel)

    def _remember(
        self, p: Proposal, caller: Caller, key: str | None, body_sha256: str, reply: JsonObject
    ) -> None:
        if key is not None:
            record = KeyRecord(
                user_id=caller.user_id,
                key=key,
                body_sha256=body_sha256,
                reply=reply,
                mission_id=reply.get("mission_id"),
                created_at=p.now,
            )
            p.writes.append(RememberKey(record))

    def _set_alarms(self, p: Proposal) -> None:
        pcb, timers = p.pcb, self._a.timers
        if pcb.deadline_at is not None:
            deadline_at = pcb.deadline_at
            p.then.append(lambda _: timers.set(Alarm(pcb.pid, DEADLINE, ""), deadline_at))
        if pcb.start_at is not None and pcb.state is State.BLOCKED:
            start_at = pcb.start_at
            p.then.append(lambda _: timers.set(Alarm(pcb.pid, LOOK, ""), start_at))

    async def mission(self, caller: Caller, pid: str) -> JsonObject:
        """Return a mission's control block."""
        return mission_json(await self._visible(caller, pid))

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
                _cancel(self._a, reason, caller.user_id, p)

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
        pcb = await self._visible(caller, pid)
        self._require_writer(caller)
        process = await self._a.memory.load(pid)
        if process is None:
            pcb = await self._visible(caller, pid)
            if ended_is_fine:
                return mission_json(pcb)
            raise Conflict("The mission has ended.")

        def apply(p: Proposal) -> Callable[[Commit], JsonObject]:
            change(p)
            return lambda _: mission_json(p.pcb)

        return await self._a.kernel.command(process, apply, ack)

    async def explain(self, caller: Caller, pid: str) -> JsonObject:
        """Say why a mission is where it is: ``state, cause, position, waiting_for, eta_s``."""
        return self._a.residence.explain(await self._visible(caller, pid))

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
        record = await self._visible_interrupt(caller, interrupt_id)
        self._require_writer(caller)
        if kinds is not None and record.kind not in kinds:
            raise Conflict(f"This is a {record.kind.value}; answer it as such.")
        if rules.is_repeat(record, answer):
            return interrupt_json(record)
        process = await self._a.memory.load(record.mission_id)
        if process is None:
            raise Conflict("The mission ended before this was answered.")

        def change(p: Proposal) -> Callable[[Commit], JsonObject]:
            answered = self._apply_answer(p, interrupt_id, answer, caller.user_id)
            return lambda _: interrupt_json(answered)

        try:
            return await self._a.kernel.command(process, change, ack)
        except _AnsweredMeanwhile:
            record = await self._visible_interrupt(caller, interrupt_id)
            if rules.is_repeat(record, answer):
                return interrupt_json(record)
            raise

    def _apply_answer(
        self, p: Proposal, interrupt_id: str, answer: Answer, by: str
    ) -> InterruptRecord:
        question = p.find_interrupt(interrupt_id)
        if question is None:
            raise _AnsweredMeanwhile("Answered meanwhile.")
        if rules.is_repeat(question, answer):
            return question
        if isinstance(answer, DecisionAnswer) and answer.decision == "extend":
            increase = answer.quota or QuotaIncrease()
            if question.resource and not getattr(increase, f"max_{question.resource}"):
                raise InvalidParams(
                    f"To extend, say how much to add to max_{question.resource}.", field="quota"
                )
            self._a.budget.extend(p, increase)
        over_quota = self._a.lifecycle.over_quota
        answered = self._a.questions.answer(p, question, answer, by, over_quota)
        p.process.resumed_by = ("answered", interrupt_id, by)
        return answered

    async def _open_question(self, caller: Caller, session_id: str) -> InterruptRecord | None:
        query = InterruptQuery(
            user_id=caller.user_id,
            session_id=session_id,
            kind=InterruptKind.CLARIFICATION.value,
            limit=1,
        )
        return next(iter(await self._a.store.interrupts(query)), None)

    async def _answer_by_message(  # noqa: PLR0917  # the fields of one request
        self,
        caller: Caller,
        question: InterruptRecord,
        message: str,
        submission: Submission,
        body_sha256: str,
        ack: Ack | None,
    ) -> JsonObject:
        self._require_writer(caller)
        process = await self._a.memory.load(question.mission_id)
        answer = ClarificationAnswer(answer=message)
        if process is None:
            raise Conflict("The mission ended before this was answered.")

        def change(p: Proposal) -> Callable[[Commit], JsonObject]:
            found = p.find_interrupt(question.interrupt_id)
            if found is None or found.answer is not None:
                raise Conflict("The question was answered meanwhile; send the message again.")
            rules.is_repeat(found, answer)
            message_id = self._a.submissions.say_user_message(p, message)
            self._apply_answer(p, question.interrupt_id, answer, caller.user_id)
            reply: JsonObject = {
                "message_id": message_id,
                "session_id": question.session_id,
                "mission_id": question.mission_id,
                "answered": question.interrupt_id,
            }
            self._remember(p, caller, submission.idempotency_key, body_sha256, reply)
            return partial(_with_offset, reply)

        return await self._a.kernel.command(process, change, ack)

    async def interrupts(self, caller: Caller, query: InterruptQuery) -> list[JsonObject]:
        """Return a page of interrupts in the query's order; a user sees their own."""
        if not caller.reads_all:
            query = replace(query, user_id=caller.user_id)
        return [interrupt_json(record) for record in await self._a.store.interrupts(query)]

    async def interrupt(self, caller: Caller, interrupt_id: str) -> JsonObject:
        """Return an interrupt."""
        return interrupt_json(await self._visible_interrupt(caller, interrupt_id))

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

    # -- who may --------------------------------------------------------------------------

    @staticmethod
    def _require_writer(caller: Caller) -> None:
        if caller.role == "viewer":
            raise Forbidden("A viewer may read everything and change nothing.")

    async def _visible(self, caller: Caller, pid: str) -> ProcessControlBlock:
        process = self._a.memory.processes.get(pid)
        pcb = process.pcb if process is not None else await self._a.store.mission(pid)
        hidden = pcb is None or not (caller.reads_all or pcb.user_id == caller.user_id)
        if pcb is None or hidden or pcb.state is State.NEW:
            raise NotFound("No such mission.")
        return pcb

    async def _visible_interrupt(self, caller: Caller, interrupt_id: str) -> InterruptRecord:
        record = await self._a.store.interrupt(interrupt_id)
        if record is None or not (caller.reads_all or record.user_id == caller.user_id):
            raise NotFound("No such interrupt.")
        return record

    async def _require_session(self, caller: Caller, session_id: str) -> None:
        session = await self._a.store.session(session_id)
        missing = session is None or session.deleted_at is not None
        if missing or (session is not None and session.user_id != caller.user_id):
            raise NotFound("No such session.")


class _AnsweredMeanwhile(Conflict):
    """The question left the process's memory between reading and answering."""


def _cancel(a: Assembly, reason: str | None, by: str, p: Proposal) -> None:
    if p.pcb.state is not State.TERMINATED:
        a.lifecycle.finish(p, Outcome.CANCELLED, reason=reason or "cancelled", by=by)


def _submit_reply(pcb: ProcessControlBlock, _message_id: str) -> JsonObject:
    return {
        "mission_id": pcb.pid,
        "session_id": pcb.session_id,
        "state": pcb.state.value,
        "duplicate": False,
    }


def _message_reply(pcb: ProcessControlBlock, message_id: str) -> JsonObject:
    return {
        "message_id": message_id,
        "session_id": pcb.session_id,
        "mission_id": pcb.pid,
    }


def _with_offset(reply: JsonObject, commit: Commit) -> JsonObject:
    return {**reply, "offset": commit.offset}


def _duplicate(record: KeyRecord, body_sha256: str) -> JsonObject:
    if record.body_sha256 != body_sha256:
        raise Conflict("This idempotency key was used for something else.")
    reply: dict[str, Any] = {**record.reply, "duplicate": True}
    return reply
