"""The tower for Python code in the same process: submit an envelope, get it back answered.

The names are the seeds'; what they do is :class:`control_tower.tower.Tower`'s.
"""

from dataclasses import dataclass

from control_tower.commands import (
    Answer,
    Caller,
    ClarificationAnswer,
    ConfirmationAnswer,
    DecisionAnswer,
    Submission,
)
from control_tower.errors import Conflict, InvalidParams
from control_tower.execution.canonical import sha256_hex
from control_tower.quota.quotas import ResourceQuota
from control_tower.records import Priority as SchedulingPriority
from control_tower.tower import Tower
from events.payloads import JsonObject
from events.types import Json

LONGEST_WAIT_S = 3600.0
"""How long :meth:`ControlTower.submit_request` waits unless it is told otherwise."""


@dataclass(slots=True)
class Envelope:
    """A request on its way through the tower.

    ``pid``, ``status`` (``completed``, ``failed``, ``waiting`` or ``processing``), ``result`` and
    ``pending_interrupt`` are filled in by the tower.
    """

    user_message: str
    user_id: str
    session_id: str | None = None
    agent: str | None = None
    inputs: JsonObject | None = None
    pid: str | None = None
    status: str | None = None
    result: Json = None
    error: JsonObject | None = None
    pending_interrupt: str | None = None


@dataclass(slots=True)
class ControlTower:
    """A tower as a function call.

    Args:
        tower: a started tower.
        wait_s: how long a call waits for a mission to end or to ask.
    """

    tower: Tower
    wait_s: float = LONGEST_WAIT_S

    async def submit_request(
        self,
        envelope: Envelope,
        priority: SchedulingPriority = SchedulingPriority.NORMAL,
        quota: ResourceQuota | None = None,
    ) -> Envelope:
        """Run a request until it ends or asks a person; return its envelope, filled in.

        Raises:
            Refusal: if it is not accepted.
        """
        submission = Submission(
            mission=envelope.user_message,
            agent=envelope.agent,
            session_id=envelope.session_id,
            inputs=envelope.inputs or {},
            priority=priority,
            quota=quota,
        )
        caller = Caller(envelope.user_id, "user")
        body = sha256_hex(envelope.user_message, envelope.inputs)
        reply = await self.tower.submit(caller, submission, body_sha256=body)
        envelope.pid = str(reply["mission_id"])
        envelope.session_id = str(reply["session_id"])
        return await self._settle(envelope)

    async def resume_request(
        self, envelope: Envelope, answer: bool | str | DecisionAnswer
    ) -> Envelope:
        """Answer the oldest question of a request and run it on, as :meth:`submit_request` does.

        Args:
            envelope: as it came back, with status ``waiting``.
            answer: True or False to a confirmation, words to a clarification, a decision else.

        Raises:
            Refusal: if there is nothing to answer, or it is no answer to that.
        """
        if envelope.pid is None or envelope.pending_interrupt is None:
            raise Conflict("The request asks nothing.")
        given: Answer
        match answer:
            case bool():
                given = ConfirmationAnswer(approved=answer)
            case str():
                given = ClarificationAnswer(answer=answer)
            case DecisionAnswer():
                given = answer
            case _:
                raise InvalidParams("An answer is a bool, a string or a decision.", field="answer")
        caller = Caller(envelope.user_id, "user")
        await self.tower.answer(caller, envelope.pending_interrupt, given)
        return await self._settle(envelope)

    async def cancel_request(self, pid: str, reason: str | None = None) -> JsonObject:
        """Stop a request; return its control block."""
        return await self.tower.cancel(_OPERATOR, pid, reason)

    async def get_request_status(self, pid: str) -> JsonObject:
        """Return a request's control block."""
        return await self.tower.mission(_OPERATOR, pid)

    def get_system_status(self) -> JsonObject:
        """Return processes by state, queue and slots."""
        return self.tower.status()

    async def _settle(self, envelope: Envelope) -> Envelope:
        if envelope.pid is None:
            raise Conflict("The request was not submitted.")
        mission = await self.tower.settled(envelope.pid, self.wait_s)
        envelope.status = mission["status"]
        envelope.result = mission["result"]
        envelope.error = mission["error"]
        envelope.pending_interrupt = mission["pending_interrupt"]
        return envelope


_OPERATOR = Caller("local", "operator")
