"""Answering: what people say to a mission's questions reaches it, each answer once.

Which answers count is decided by :mod:`control_tower.interrupts`, and what they do to the call that
asked by :mod:`control_tower.questions`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from control_tower import interrupts as rules
from control_tower.acceptance import duplicate, remember, with_offset
from control_tower.commands import (
    Ack,
    Answer,
    Caller,
    ClarificationAnswer,
    DecisionAnswer,
    QuotaIncrease,
    Submission,
)
from control_tower.ending import Ending
from control_tower.errors import Conflict, InvalidParams
from control_tower.kernel import Kernel
from control_tower.memory import Memory
from control_tower.ports import InterruptQuery, Store
from control_tower.process import Process, Proposal, Resumption
from control_tower.public import interrupt_json
from control_tower.questions import Questions
from control_tower.quota.budget import Budget
from control_tower.records import InterruptKind, InterruptRecord
from control_tower.sight import Sight, require_writer
from control_tower.submission import Submissions
from control_tower.unit import Commit, KeyTaken, UnitRefused
from events.payloads import JsonObject


class _AnsweredMeanwhile(Conflict):
    """The question, or its mission, left memory between reading and answering."""


@dataclass(slots=True, frozen=True)
class Answering:
    """Carries answers to their missions."""

    store: Store
    sight: Sight
    memory: Memory
    submissions: Submissions
    ending: Ending
    questions: Questions
    budget: Budget
    kernel: Kernel

    async def answer(
        self,
        caller: Caller,
        interrupt_id: str,
        answer: Answer,
        kinds: frozenset[InterruptKind] | None,
        ack: Ack | None,
    ) -> JsonObject:
        """Answer a question and let its mission go on; see ``Tower.answer``."""
        record = await self.sight.interrupt(caller, interrupt_id)
        require_writer(caller)
        if kinds is not None and record.kind not in kinds:
            raise Conflict(f"This is a {record.kind.value}; answer it as such.")
        if rules.is_repeat(record, answer):
            return interrupt_json(record)
        process = await self.memory.load(record.mission_id)
        if process is None:
            raise Conflict("The mission ended before this was answered.")

        def change(p: Proposal) -> Callable[[Commit], JsonObject]:
            answered = self._apply(p, interrupt_id, answer, caller.user_id)
            return lambda _: interrupt_json(answered)

        try:
            return await self.kernel.command(process, change, ack)
        except _AnsweredMeanwhile:
            record = await self.sight.interrupt(caller, interrupt_id)
            if rules.is_repeat(record, answer):
                return interrupt_json(record)
            raise

    async def open_question(self, caller: Caller, session_id: str) -> InterruptRecord | None:
        """Return the oldest question for words that a session's missions have put."""
        query = InterruptQuery(
            user_id=caller.user_id,
            session_id=session_id,
            kind=InterruptKind.CLARIFICATION.value,
            limit=1,
        )
        return next(iter(await self.store.interrupts(query)), None)

    async def answer_by_message(  # noqa: PLR0917  # the fields of one request
        self,
        caller: Caller,
        question: InterruptRecord,
        message: str,
        submission: Submission,
        body_sha256: str,
        ack: Ack | None,
    ) -> JsonObject:
        """Answer a question with what was said in its session, which stays there as a message."""
        require_writer(caller)
        try:
            return await self._answer_by_message(
                caller, question, message, submission, body_sha256, ack
            )
        except KeyTaken as taken:
            return duplicate(taken.record, body_sha256)
        except _AnsweredMeanwhile:
            key = submission.idempotency_key  # by this very message, perhaps
            record = None if key is None else await self.store.key(caller.user_id, key)
            if record is None:
                raise
            return duplicate(record, body_sha256)

    async def _answer_by_message(  # noqa: PLR0917  # the fields of one request
        self,
        caller: Caller,
        question: InterruptRecord,
        message: str,
        submission: Submission,
        body_sha256: str,
        ack: Ack | None,
    ) -> JsonObject:
        process = await self.memory.load(question.mission_id)
        answer = ClarificationAnswer(answer=message)
        if process is None:
            raise _AnsweredMeanwhile("The mission ended before this was answered.")

        def change(p: Proposal) -> Callable[[Commit], JsonObject]:
            found = p.find_interrupt(question.interrupt_id)
            if found is None or found.answer is not None:
                raise _AnsweredMeanwhile(
                    "The question was answered meanwhile; send the message again."
                )
            rules.is_repeat(found, answer)
            message_id = self.submissions.say_user_message(p, message)
            self._apply(p, question.interrupt_id, answer, caller.user_id)
            reply: JsonObject = {
                "message_id": message_id,
                "session_id": question.session_id,
                "mission_id": question.mission_id,
                "answered": question.interrupt_id,
            }
            remember(p, caller, submission.idempotency_key, body_sha256, reply)
            return partial(with_offset, reply)

        keyed = submission.idempotency_key is not None
        return await self.kernel.command(process, change, ack, keyed=keyed)

    def _apply(self, p: Proposal, interrupt_id: str, answer: Answer, by: str) -> InterruptRecord:
        question = p.find_interrupt(interrupt_id)
        if question is None:
            raise _AnsweredMeanwhile("Answered meanwhile.")
        if rules.is_repeat(question, answer):
            return question
        if isinstance(answer, DecisionAnswer) and answer.decision == "extend":
            self._extend(p, question, answer.quota or QuotaIncrease())
        over_quota = self.ending.over_quota
        answered = self.questions.answer(p, question, answer, by, over_quota)
        p.otherwise.append(partial(_resumed_by, p.process, p.process.resumed_by))
        p.process.resumed_by = ("answered", interrupt_id, by)
        return answered

    def _extend(self, p: Proposal, question: InterruptRecord, increase: QuotaIncrease) -> None:
        if question.resource and not getattr(increase, f"max_{question.resource}"):
            raise InvalidParams(
                f"To extend, say how much to add to max_{question.resource}.", field="quota"
            )
        self.budget.extend(p, increase)


def _resumed_by(process: Process, cause: Resumption, _: UnitRefused) -> None:
    """The answer was refused: it resumes nothing."""
    process.resumed_by = cause
