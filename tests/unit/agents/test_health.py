"""Tools' health: thresholds, windows, and agreement with a list of all calls."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.health import (
    DAY_S,
    HOUR_S,
    JUDGED,
    KEPT,
    CallStatus,
    HealthBook,
    HealthStatus,
    ToolHealth,
    issues,
    judge,
    recommendations,
)


@pytest.mark.parametrize(
    ("calls", "rate", "mean_ms", "status"),
    [
        (4, 1.0, 1, HealthStatus.UNKNOWN),
        (5, 1.0, 2000, HealthStatus.HEALTHY),
        (100, 0.95, 2000, HealthStatus.HEALTHY),
        (100, 0.949, 1, HealthStatus.DEGRADED),
        (100, 1.0, 2001, HealthStatus.DEGRADED),
        (100, 0.80, 5000, HealthStatus.DEGRADED),
        (100, 0.799, 1, HealthStatus.UNHEALTHY),
        (100, 1.0, 5001, HealthStatus.UNHEALTHY),
    ],
)
def test_thresholds_are_the_contracts(
    calls: int, rate: float, mean_ms: float, status: HealthStatus
) -> None:
    """Both the rate and the mean must be good enough."""
    assert judge(calls, rate, mean_ms) is status


def test_the_hour_forgets_before_the_day() -> None:
    """After an hour of silence the day's figures stand in."""
    health = ToolHealth("pay")
    for _ in range(10):
        health.record(CallStatus.ERROR, 1.0, 0.0, "boom")
    assert health.report(1.0).status is HealthStatus.UNHEALTHY
    later = health.report(HOUR_S + 61.0)
    assert later.hour.total == 0
    assert later.day.total == 10
    assert later.status is HealthStatus.UNHEALTHY
    assert health.report(DAY_S + 61.0).status is HealthStatus.UNKNOWN
    assert health.report(DAY_S + 61.0).recent_errors == ()


def test_rejected_and_unknown_calls_say_nothing_about_the_tool() -> None:
    """They are counted, but neither in the rate nor in the mean."""
    health = ToolHealth("pay")
    for status in CallStatus:
        for _ in range(5):
            health.record(status, 1000.0 if status in JUDGED else 9e9, 0.0)
    report = health.report(0.0)
    assert report.hour.total == 25
    assert report.hour.success_rate == pytest.approx(1 / 3)
    assert report.hour.mean_latency_ms == pytest.approx(1000)


def test_recent_errors_are_the_newest_and_bounded() -> None:
    """Newest first, ten of them, cut to a length."""
    health = ToolHealth("pay")
    for number in range(KEPT + 5):
        health.record(CallStatus.ERROR, 1.0, float(number), f"{number} {'x' * 10_000}")
    errors = health.report(60.0).recent_errors
    assert len(errors) == KEPT
    assert (errors[0].error or "").startswith("14 ")
    assert len(errors[0].error or "") <= 500


def test_slow_calls_are_kept_newest_first() -> None:
    """Longer than five seconds is slow, whatever the outcome."""
    book = HealthBook()
    book.record("a", CallStatus.SUCCESS, 5000.0, 1.0)
    book.record("a", CallStatus.SUCCESS, 5001.0, 2.0)
    book.record("b", CallStatus.TIMEOUT, 9000.0, 3.0)
    assert [(one.tool, one.at) for one in book.slow_executions()] == [("b", 3.0), ("a", 2.0)]


def test_a_tool_that_was_never_called_is_unknown() -> None:
    """Asking does not count as a call."""
    book = HealthBook()
    assert book.report("never", 0.0).status is HealthStatus.UNKNOWN
    assert issues(book.report("never", 0.0)) == []
    assert recommendations(book.report("never", 0.0), "closed") == []


def test_issues_and_recommendations_are_sentences() -> None:
    """A tool that fails, times out and is slow has all three said; a healthy one none."""
    bad, good = ToolHealth("bad"), ToolHealth("good")
    for _ in range(5):
        bad.record(CallStatus.TIMEOUT, 6000.0, 0.0)
        bad.record(CallStatus.SUCCESS, 6000.0, 0.0)
        good.record(CallStatus.SUCCESS, 1.0, 0.0)
    assert issues(bad.report(0.0)) == [
        "Only 50% of its calls succeed.",
        "5 of its calls timed out.",
        "It takes 6.0 s on average.",
    ]
    assert any("timeout_s" in said for said in recommendations(bad.report(0.0), "closed"))
    assert any("reset its breaker" in said for said in recommendations(bad.report(0.0), "open"))
    assert issues(good.report(0.0)) == recommendations(good.report(0.0), "closed") == []


@given(
    st.lists(
        st.tuples(st.floats(0, 2 * DAY_S), st.sampled_from(list(CallStatus)), st.floats(0, 10_000)),
        max_size=60,
    ),
    st.floats(0, DAY_S),
)
def test_windows_agree_with_the_list_of_calls(
    calls: list[tuple[float, CallStatus, float]], wait_s: float
) -> None:
    """Counting by the minute is exact for calls that are not in the oldest minute."""
    health = ToolHealth("pay")
    calls.sort(key=lambda call: call[0])
    for at, status, latency_ms in calls:
        health.record(status, latency_ms, at)
    now = (calls[-1][0] if calls else 0.0) + wait_s
    for window, seconds in ((health.report(now).hour, HOUR_S), (health.report(now).day, DAY_S)):
        first = math.floor(now / 60) - seconds // 60
        inside = [call for call in calls if math.floor(call[0] / 60) > first]
        assert window.total == len(inside)
        judged = [call for call in inside if call[1] in JUDGED]
        if judged:
            good = sum(call[1] is CallStatus.SUCCESS for call in judged)
            assert window.success_rate == pytest.approx(good / len(judged))
        else:
            assert window.success_rate is None
