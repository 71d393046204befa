"""Alignment indicators: what holds, what convicts, and what is left out."""

from typing import Any

from agents.witness import Sighting, Witness
from control_tower.audit import CallProof, FailedStep, MissionAudit, ToolCallRecord
from control_tower.quota.quotas import ResourceQuota, ResourceUsage
from control_tower.states import Outcome
from server.figures.alignment import (
    SETTLING_S,
    SHOWN,
    Indicator,
    calls_journaled,
    ends_told_once,
    errors_surfaced,
    quotas_enforced,
    risky_confirmed,
    seen_calls,
    settled,
)


def sighting(step: str = "1", **more: Any) -> Sighting:
    """An attempt that was seen."""
    values: dict[str, Any] = {"attempt": 1, "asks": False, "at": 100.0} | more
    return Sighting(tool="pay", pid="m_1", step=step, **values)


def proof(step: str = "1", **more: Any) -> CallProof:
    """What the store has of it: one attempt in the journal, no approval."""
    values: dict[str, Any] = {"user_id": "ada", "attempt": 1} | more
    return CallProof(pid="m_1", step=step, **values)


def noted(step: str = "1") -> ToolCallRecord:
    """An attempt that the store noted."""
    return ToolCallRecord(
        tool="pay", pid="m_1", step=step, status="success", latency_ms=1.0, at=100.0
    )


def mission(**more: Any) -> MissionAudit:
    """A mission that completed and said so."""
    values: dict[str, Any] = {
        "outcome": Outcome.COMPLETED,
        "owns_account": True,
        "usage": ResourceUsage(),
        "quota": ResourceQuota(),
        "endings": 1,
        "says_why": False,
    }
    return MissionAudit(pid="m_1", user_id="ada", **(values | more))


def test_nothing_judged_is_unknown() -> None:
    """An indicator without evidence claims nothing."""
    for found in (calls_journaled([]), risky_confirmed([]), quotas_enforced([])):
        assert found.as_json()["status"] == "unknown"


def test_a_call_without_a_record_convicts() -> None:
    """Seen by the executor, unknown to the journal; or a later attempt than it knows."""
    seen = [sighting("1"), sighting("2"), sighting("3", attempt=2)]
    proofs = [proof("1"), proof("2", attempt=None), proof("3")]
    found = calls_journaled(seen_calls(seen, [], proofs)).as_json()
    assert (found["status"], found["checked"], found["violations"]) == ("violated", 3, 2)
    assert [each["step"] for each in found["violators"]] == ["2", "3"]


def test_the_stores_own_calls_are_held_against_the_journal() -> None:
    """What ran before this process did: noted as a call, yet without a record."""
    found = calls_journaled(seen_calls([], [noted("1"), noted("2")], [proof("1"), proof("2")]))
    assert found.status == "holds"
    lost = calls_journaled(seen_calls([], [noted()], [proof(attempt=None)]))
    assert lost.status == "violated"


def test_erased_missions_are_no_evidence() -> None:
    """Nothing of them is meant to be left."""
    gone = proof(user_id=None, attempt=None)
    assert calls_journaled(seen_calls([sighting()], [noted()], [gone, gone])).status == "unknown"


def test_a_risky_call_needs_its_approval() -> None:
    """Only calls that ask are judged, and only a yes acquits."""
    seen = [sighting("1"), sighting("2", asks=True), sighting("3", asks=True)]
    proofs = [proof("1"), proof("2", approved=True), proof("3")]
    found = risky_confirmed(seen_calls(seen, [], proofs)).as_json()
    assert (found["checked"], found["violations"]) == (2, 1)
    assert found["violators"][0]["step"] == "3"


def test_a_quota_that_was_passed_convicts() -> None:
    """By name and figure; to meet a limit is allowed, to have none too."""
    quota = ResourceQuota(max_tool_calls=2, max_llm_calls=None)
    fits = mission(quota=quota, usage=ResourceUsage(tool_calls=2, llm_calls=900))
    over = mission(quota=quota, usage=ResourceUsage(tool_calls=3))
    drawing = mission(owns_account=False, quota=quota, usage=ResourceUsage(tool_calls=9))
    found = quotas_enforced([fits, over, drawing]).as_json()
    assert (found["checked"], found["violations"]) == (2, 1)
    assert found["violators"][0]["why"] == "3 of 2 tool_calls"


def test_a_silent_failure_convicts() -> None:
    """A mission's end or a step's error that says nothing."""
    missions = [
        mission(),
        mission(outcome=Outcome.FAILED, says_why=True),
        mission(outcome=Outcome.TIMED_OUT),
        mission(outcome=Outcome.FAILED, endings=None),
    ]
    steps = [
        FailedStep(pid="m_1", user_id="ada", step=step, says_why=says_why)
        for step, says_why in (("1", True), ("2", False))
    ]
    found = errors_surfaced(missions, steps).as_json()
    assert (found["checked"], found["violations"]) == (4, 2)


def test_an_end_is_told_once() -> None:
    """Neither twice nor never; a live mission that ended during the audit is no violation."""
    fine = [mission(), mission(outcome=None, endings=0), mission(outcome=None, endings=1)]
    assert ends_told_once([*fine, mission(endings=None)]).status == "holds"
    for wrong in (mission(endings=0), mission(endings=2), mission(outcome=None, endings=2)):
        assert ends_told_once([wrong]).status == "violated"


def test_young_calls_are_not_judged() -> None:
    """Their intent may be on its way to the disk."""
    seen = [sighting(at=100.0), sighting(at=100.0 + SETTLING_S)]
    assert settled(seen, 100.0 + SETTLING_S) == seen[:1]


def test_all_violators_are_counted_and_some_named() -> None:
    """A thousand of them must not fill the page."""
    found = Indicator("n", "s", "l")
    for number in range(SHOWN + 5):
        found.judge({"mission_id": str(number)})
    told = found.as_json()
    assert (told["violations"], len(told["violators"])) == (SHOWN + 5, SHOWN)


def test_a_witness_keeps_the_newest() -> None:
    """Bounded, and steady while it is looked through."""
    witness = Witness(most=2)
    for step in "123":
        witness.saw(sighting(step))
    looking = iter(witness)
    witness.saw(sighting("4"))
    assert [each.step for each in looking] == ["2", "3"]
