"""New missions: from what a caller asked, or a parent spawned, to the unit that accepts them."""

from dataclasses import dataclass

from control_tower.commands import Caller, Submission
from control_tower.errors import Forbidden, InvalidParams, NotFound
from control_tower.execution.journal import Journal
from control_tower.lifecycle import Lifecycle
from control_tower.ports import Catalog, Clock, Ids
from control_tower.process import Process, Proposal, scope_of
from control_tower.public import message_json, quota_json, session_json
from control_tower.quota.quotas import ResourceQuota
from control_tower.quota.user_accounts import UserAccounts
from control_tower.records import (
    MessageRecord,
    Priority,
    ProcessControlBlock,
    SessionRecord,
)
from control_tower.schedule.admission import START_AT, Admission
from control_tower.states import State
from control_tower.unit import InsertMessage, InsertMission, InsertSession, TouchSession
from events.payloads import MessageCreated, MissionSubmitted, SessionCreated
from events.times import instant_of, rfc3339_or_none
from events.types import Scope

TITLE_CHARACTERS = 50
"""A session's title is so much of its first message until it is renamed (rest.md)."""
MOST_NAMED = 20
"""How many agents a refusal names to who asked for one that is not there."""


@dataclass(slots=True, frozen=True)
class Submissions:
    """Makes the processes and proposals of new missions."""

    catalog: Catalog
    clock: Clock
    ids: Ids
    admission: Admission
    lifecycle: Lifecycle
    users: UserAccounts

    async def check_account(self, caller: Caller) -> None:
        """Let a user submit, or say which limit of theirs it would pass.

        Raises:
            QuotaRefused: with when to come again.
        """
        now = self.clock.now()
        await self.users.open(caller.user_id, now)
        self.users.check(caller.user_id, now)

    def block(self, caller: Caller, submission: Submission) -> ProcessControlBlock:
        """Return the control block of a new root mission.

        Raises:
            NotFound: for an unknown profile or agent; then it says which agents there are.
            Forbidden: for a priority above the caller's.
            InvalidParams: for a mission of spaces, or a ``start_at`` that is no time.
        """
        if not submission.mission.strip():
            raise InvalidParams("The mission is empty.", field="mission")
        if submission.priority is Priority.REALTIME and caller.role != "operator":
            raise Forbidden("Only an operator may submit with priority realtime.")
        profile = None
        if submission.profile is not None:
            profile = self.catalog.profile(submission.profile)
            if profile is None:
                raise NotFound("No such profile.")
        agent = submission.agent or (profile.agent if profile else self.catalog.default_agent)
        if self.catalog.program(agent) is None:
            known = ", ".join(sorted(self.catalog.agents)[:MOST_NAMED])
            raise NotFound(f"No such agent. There are: {known}.")
        now = self.clock.now()
        pid = self.ids.new("m_")
        quota = submission.quota or (profile.quota if profile else None) or ResourceQuota()
        deadline_at = None if submission.deadline_s is None else now + submission.deadline_s
        return ProcessControlBlock(
            pid=pid,
            session_id=submission.session_id or self.ids.new("s_"),
            user_id=caller.user_id,
            agent=agent,
            mission=submission.mission,
            inputs=submission.inputs,
            state=State.NEW,
            priority=submission.priority,
            quota=quota,
            lineage=(pid,),
            idempotency_key=submission.idempotency_key,
            on_busy=submission.on_busy,
            profile=submission.profile,
            created_at=now,
            start_at=_instant(submission.start_at),
            deadline_at=deadline_at,
        )

    def process(self, pcb: ProcessControlBlock) -> Process:
        """Return a process for a mission that is not yet in the store."""
        return Process(pcb, scope_of(pcb), Journal())

    def propose(self, process: Process, *, new_session: bool) -> tuple[Proposal, str]:
        """Draw the acceptance up: session, message, mission, and its start if it may.

        Returns the proposal and the id of the user's message.
        """
        p = Proposal.of(process, self.clock.now())
        p.is_new = True
        p.critical = False
        message_id = self._say_message(p, new_session=new_session)
        self._say_submitted(p)
        self.users.charge(p, missions=1)
        start_at = p.pcb.start_at
        if start_at is not None and start_at > p.now:
            p.move(State.BLOCKED, START_AT)
            self.admission.say_queued(p)
        elif self.admission.admit(p, resumed=False):
            self.lifecycle.say_running(p)
        else:
            self.admission.say_queued(p)
        return p, message_id

    def _say_message(self, p: Proposal, *, new_session: bool) -> str:
        pcb = p.pcb
        title = pcb.mission[:TITLE_CHARACTERS]
        if new_session:
            session = SessionRecord(
                session_id=pcb.session_id,
                user_id=pcb.user_id,
                title=title,
                created_at=p.now,
                last_activity=p.now,
            )
            p.writes.append(InsertSession(session))
            scope = Scope(pcb.session_id, pcb.user_id)
            p.event(SessionCreated(session=session_json(session)), scope)
        return self.say_user_message(p, pcb.mission)

    def say_user_message(self, p: Proposal, text: str) -> str:
        """Store what a person said in the mission's session; return the message's id."""
        pcb = p.pcb
        message = MessageRecord(
            message_id=self.ids.new("msg_"),
            session_id=pcb.session_id,
            role="user",
            content=text,
            mission_id=pcb.pid,
            created_at=p.now,
        )
        p.writes.append(InsertMessage(message))
        title = text[:TITLE_CHARACTERS]
        p.writes.append(TouchSession(pcb.session_id, p.now, messages=1, title=title))
        p.event(MessageCreated(message=message_json(message)))
        return message.message_id

    def _say_submitted(self, p: Proposal) -> None:
        p.event(submitted(p.pcb))

    def child(
        self, parent: ProcessControlBlock, agent: str, mission: str, quota: ResourceQuota | None
    ) -> ProcessControlBlock:
        """Return the block of a child, ready at once: it runs beside its parent."""
        pid = self.ids.new("m_")
        return ProcessControlBlock(
            pid=pid,
            session_id=parent.session_id,
            user_id=parent.user_id,
            agent=agent,
            mission=mission,
            inputs={},
            state=State.READY,
            priority=parent.priority,
            quota=quota or parent.quota,
            parent_pid=parent.pid,
            lineage=(*parent.lineage, pid),
            profile=parent.profile,
            created_at=self.clock.now(),
            deadline_at=parent.deadline_at,
            account_pid=None if quota is not None else (parent.account_pid or parent.pid),
        )

    def propose_child(self, p: Proposal, child: ProcessControlBlock) -> int:
        """Add a child to its parent's proposal; return the place of its event."""
        p.writes.append(InsertMission(child))
        p.edit(children=(*p.pcb.children, child.pid))
        return p.event(submitted(child), scope_of(child))


def submitted(pcb: ProcessControlBlock) -> MissionSubmitted:
    """Return the event that accepts a mission."""
    return MissionSubmitted(
        mission=pcb.mission,
        agent=pcb.agent,
        priority=pcb.priority.value,
        quota=quota_json(pcb),
        inputs=pcb.inputs,
        parent_id=pcb.parent_pid,
        start_at=rfc3339_or_none(pcb.start_at),
        deadline_at=rfc3339_or_none(pcb.deadline_at),
    )


def _instant(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return instant_of(text)
    except ValueError:
        raise InvalidParams(
            "start_at must be an RFC 3339 time, as 2026-11-21T20:12:03Z.", field="start_at"
        ) from None
