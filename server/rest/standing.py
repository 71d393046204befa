"""Where a mission stands, for the endpoints that wait for its end or its question."""

from dataclasses import dataclass
from typing import Any

import msgspec

from control_tower.commands import Caller, Submission
from control_tower.errors import InvalidParams
from control_tower.ports import InterruptQuery
from control_tower.records import InterruptKind
from events.payloads import JsonObject
from server.endpoints import Call
from server.rest.shapes import SubmissionBody
from server.services import Services

MAX_KEY = 200


@dataclass(frozen=True, slots=True)
class Standing:
    """A mission's JSON with the questions it asks, oldest first."""

    mission: JsonObject
    questions: list[JsonObject]

    def first(self, kind: InterruptKind) -> JsonObject | None:
        """Return the oldest pending question of a kind."""
        return next((each for each in self.questions if each["kind"] == kind.value), None)

    @property
    def question(self) -> JsonObject:
        """The oldest pending question of any kind, as the fields that an answer shows."""
        asked = self.questions[0] if self.questions else {}
        return {
            "interrupt_id": asked.get("interrupt_id"),
            "interrupt_kind": asked.get("kind"),
            "interrupt_message": asked.get("message"),
        }

    @property
    def text(self) -> str | None:
        """The result as words: a text as it is, any other JSON value spelled out."""
        result = self.mission["result"]
        if result is None or isinstance(result, str):
            return result
        return msgspec.json.encode(result).decode()


async def standing(services: Services, caller: Caller, pid: str, wait_s: float) -> Standing:
    """Return where a mission stands, after at most ``wait_s``."""
    if wait_s > 0:
        mission = await services.tower.settled(pid, wait_s)
    else:
        mission = await services.tower.mission(caller, pid)
    questions = []
    if mission["pending_interrupts"]:
        questions = await services.tower.interrupts(caller, InterruptQuery(mission_id=pid))
    return Standing(mission, questions)


def settled(mission: JsonObject) -> bool:
    """Return whether a mission has ended or waits on a person."""
    status: str = mission["status"]
    return status != "processing"


def idempotency_key(call: Call[Any, Any]) -> str | None:
    """Return the Idempotency-Key header, or None.

    Raises:
        InvalidParams: if it is empty or longer than 200 characters, or there are several.
    """
    keys = call.request.headers.getlist("idempotency-key")
    if len(keys) > 1:
        raise InvalidParams("One Idempotency-Key is enough.", field="Idempotency-Key")
    key = keys[0] if keys else None
    if key is not None and not 1 <= len(key) <= MAX_KEY:
        raise InvalidParams(
            f"An Idempotency-Key has 1 to {MAX_KEY} characters.", field="Idempotency-Key"
        )
    return key


async def submitted(
    call: Call[Any, Any], body: SubmissionBody, text: str
) -> tuple[Caller, Submission]:
    """Return who submits and what, having counted it.

    Raises:
        Forbidden: if the body names a user that the caller may not act for.
        RateLimited: if the user submits too often.
    """
    caller = call.acting_as(body.user_id)
    submission = body.submission(text, idempotency_key(call))
    await call.services.rates.take(caller.user_id, call.services.clock.now())
    return caller, submission
