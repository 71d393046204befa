"""Alignment: whether the running system keeps what it promises, checked on its own records.

Each indicator is a statement, what was looked at, and whoever breaks it. What is judged comes from
two sides that should agree: what the executor was seen to do against the journal, the rows of
missions against the log. Pure: the rows are read elsewhere.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from agents.witness import Sighting
from control_tower.audit import CallProof, FailedStep, MissionAudit, Outcomes, ToolCallRecord
from control_tower.states import Outcome
from events.payloads import JsonObject

SETTLING_S = 5.0
"""A call younger than this may run beside the commit of its intent, so it is not judged yet."""

SHOWN = 20
"""Violators that are named; all are counted."""

COUNTED = (
    ("llm_calls", "max_llm_calls"),
    ("tool_calls", "max_tool_calls"),
    ("children", "max_children"),
)
"""Resources that never pass their limit. Tokens and cost may, by the error of one estimate."""


@dataclass(slots=True, frozen=True)
class Records:
    """What is judged, of all users; see :func:`seen_calls` for the order of ``proofs``."""

    sightings: Sequence[Sighting]
    calls: Sequence[ToolCallRecord]
    proofs: Sequence[CallProof]
    outcomes: Outcomes


@dataclass(slots=True)
class Indicator:
    """One promise and how it stands.

    Attributes:
        looked_at: what was judged, in words.
        checked: how many.
        violators: who breaks it.
    """

    name: str
    statement: str
    looked_at: str
    checked: int = 0
    violators: list[JsonObject] = field(default_factory=list)

    @property
    def status(self) -> str:
        """``violated``, ``holds``, or ``unknown`` while there was nothing to judge."""
        if self.violators:
            return "violated"
        return "holds" if self.checked else "unknown"

    def judge(self, violator: JsonObject | None) -> None:
        """Count one thing that was judged, and whoever it convicts."""
        self.checked += 1
        if violator is not None:
            self.violators.append(violator)

    def as_json(self) -> JsonObject:
        """Return it as the outside sees it."""
        return {
            "name": self.name,
            "statement": self.statement,
            "status": self.status,
            "looked_at": self.looked_at,
            "checked": self.checked,
            "violations": len(self.violators),
            "violators": self.violators[:SHOWN],
        }


@dataclass(slots=True, frozen=True)
class SeenCall:
    """A tool's call of which somebody knows: ``asks`` None when only the store does."""

    tool: str
    attempt: int
    asks: bool | None
    proof: CallProof

    def named(self, why: str) -> JsonObject:
        """Return it as a violator."""
        return {"mission_id": self.proof.pid, "step": self.proof.step, "tool": self.tool} | {
            "why": why
        }


def settled(sightings: Iterable[Sighting], now: float) -> list[Sighting]:
    """Return the sightings that are old enough to be judged."""
    return [each for each in sightings if each.at <= now - SETTLING_S]


def seen_calls(
    sightings: Sequence[Sighting], calls: Sequence[ToolCallRecord], proofs: Sequence[CallProof]
) -> Iterator[SeenCall]:
    """Yield each call with its proof; ``proofs`` are those of the sightings, then of the calls.

    A call of a mission that was erased is left out: nothing of it is meant to be left.
    """
    for sighting, proof in zip(sightings, proofs, strict=False):
        if proof.user_id is not None:
            yield SeenCall(sighting.tool, sighting.attempt, sighting.asks, proof)
    for call, proof in zip(calls, proofs[len(sightings) :], strict=True):
        if proof.user_id is not None:
            yield SeenCall(call.tool, 1, None, proof)


def calls_journaled(seen: Iterable[SeenCall]) -> Indicator:
    """Judge: every tool call has its record in the journal."""
    found = Indicator(
        "tool_calls_journaled",
        "Every tool call is in the journal.",
        "the newest calls that the executor made, and the newest attempts in the store",
    )
    for call in seen:
        attempt = call.proof.attempt
        if attempt is None:
            found.judge(call.named("no record in the journal"))
        elif attempt < call.attempt:
            found.judge(call.named(f"attempt {call.attempt} ran, {attempt} is in the journal"))
        else:
            found.judge(None)
    return found


def risky_confirmed(seen: Iterable[SeenCall]) -> Indicator:
    """Judge: every call that needs a person's approval had one."""
    found = Indicator(
        "risky_calls_confirmed",
        "Every call that needs a person's approval was approved by one.",
        "the newest calls that the executor made of tools that ask first",
    )
    for call in seen:
        if call.asks:
            found.judge(None if call.proof.approved else call.named("it ran without an approval"))
    return found


def quotas_enforced(missions: Iterable[MissionAudit]) -> Indicator:
    """Judge: no mission used more calls or children than its quota allows."""
    found = Indicator(
        "quotas_enforced",
        "No mission has made more calls or children than its quota allows.",
        "the newest missions that have a quota of their own",
    )
    for mission in missions:
        if mission.owns_account:
            found.judge(_overdrawn(mission))
    return found


def _overdrawn(mission: MissionAudit) -> JsonObject | None:
    for resource, limiting in COUNTED:
        used, limit = getattr(mission.usage, resource), getattr(mission.quota, limiting)
        if limit is not None and used > limit:
            why = f"{used} of {limit} {resource}"
            return {"mission_id": mission.pid, "resource": resource, "why": why}
    return None


def errors_surfaced(missions: Iterable[MissionAudit], steps: Iterable[FailedStep]) -> Indicator:
    """Judge: whatever failed says why, in the log that people see."""
    found = Indicator(
        "errors_surfaced",
        "Every mission and step that failed says why in its events.",
        "the newest missions that ended otherwise than completed, and the newest failed steps",
    )
    for mission in missions:
        if mission.outcome not in {None, Outcome.COMPLETED} and mission.endings:
            why = {
                "mission_id": mission.pid,
                "why": "its last event gives neither error nor reason",
            }
            found.judge(None if mission.says_why else why)
    for step in steps:
        silent = {"mission_id": step.pid, "step": step.step, "why": "its error says nothing"}
        found.judge(None if step.says_why else silent)
    return found


def ends_told_once(missions: Iterable[MissionAudit]) -> Indicator:
    """Judge: an ended mission has one terminal event, a live one none."""
    found = Indicator(
        "ends_told_once",
        "Every mission that ended has exactly one terminal event, and no other has one.",
        "the newest missions whose events are all among the newest",
    )
    for mission in missions:
        if mission.endings is None:
            continue
        wanted = 0 if mission.outcome is None else 1
        # A live row may be older than its end in the log, which was read after it.
        fits = mission.endings == wanted or (wanted == 0 and mission.endings == 1)
        why = f"{mission.endings} terminal events"
        found.judge(None if fits else {"mission_id": mission.pid, "why": why})
    return found
