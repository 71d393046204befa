"""Every promise of the kernel has a test, and here is which.

``ROWS`` names, for each promise, the tests that would fail if it were broken; this file fails if
one of them is gone.
"""

import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

ROWS: dict[str, tuple[str, ...]] = {
    # States
    "only the table's transitions happen": ("test_only_the_tables_arrows_are_taken",),
    "a terminal state is absorbing, with one terminal event": (
        "test_every_way_to_end_at_once_ends_once",
        "test_nothing_of_a_mission_is_committed_after_its_end",
    ),
    "the state over branches: running, else waiting, else blocked": (
        "test_parallel_branches_cannot_reserve_more_than_the_quota",
    ),
    "outsiders get a simple status": ("test_a_status_for_outsiders",),
    # Roles
    "viewers read, users their own, operators all": (
        "test_who_may_do_what",
        "test_an_operator_may_answer_for_a_user",
    ),
    # Quotas
    "a call that would pass a limit is not made; extended, it goes on": (
        "test_a_mission_at_its_limit_asks_is_extended_and_makes_that_very_call",
        "test_a_limit_on_children_or_events_asks_and_goes_on_with_that_very_call",
    ),
    "finish raises into the agent, cancel and fail end it": (
        "test_at_a_limit_finish_raises_into_the_agent_and_cancel_ends_it",
    ),
    "tokens and cost pass a limit by an estimate's error only": (
        "test_tokens_pass_the_limit_by_the_estimates_error_only",
    ),
    "80 % is warned of once": (
        "test_a_warning_comes_at_eighty_percent_once",
        "test_running_time_is_warned_of_once_at_eighty_percent",
    ),
    "time never asks and counts only while running": (
        "test_deadlines_delayed_starts_and_running_time",
    ),
    "a call that fits used but not reserved waits": (
        "test_parallel_branches_cannot_reserve_more_than_the_quota",
        "test_calls_in_flight_make_others_wait",
    ),
    "an intent without a result is charged in full": (
        "test_what_a_dead_child_had_in_flight_is_charged",
    ),
    "a child draws on its parent's account, or is carved out of it": (
        "test_children_run_beside_their_parent_and_give_it_their_result",
        "test_a_family_is_opened_again_after_a_restart",
    ),
    "users have accounts": (
        "test_a_users_account_has_its_limits_and_says_when_to_come_again",
        "test_what_a_users_missions_spend_is_on_their_account",
    ),
    # Interrupts
    "a confirmation comes before the call, which runs once": (
        "test_a_risky_tool_asks_and_runs_once_approved",
        "test_a_refused_tool_raises_into_the_program",
    ),
    "edited arguments are validated and are what runs": (
        "test_edited_arguments_are_what_runs_and_what_is_journaled",
        "test_a_program_sees_with_what_arguments_its_call_ran",
    ),
    "an answer counts once, for its owner": (
        "test_an_answer_counts_once",
        "test_two_answers_at_once_count_once",
    ),
    "expiry is a refusal, or raises": (
        "test_an_expired_confirmation_is_a_refusal_and_a_clarification_raises",
        "test_a_parked_question_still_expires_after_a_restart",
    ),
    "cancelling a mission cancels its questions": ("test_an_answer_after_the_end_is_a_conflict",),
    "a message answers the oldest clarification and nothing else": (
        "test_a_message_answers_only_the_oldest_clarification",
    ),
    # Scheduling
    "five priorities, preemption at calls": (
        "test_a_realtime_mission_overtakes_at_the_next_call",
        "test_the_lowest_yields_to_a_higher_one",
    ),
    "a fair share a user": ("test_two_users_finish_at_the_same_pace",),
    "ageing: nothing starves, preemption does not undo it": (
        "test_an_idle_mission_still_runs",
        "test_nobody_starves_past_the_bound",
        "test_preemption_does_not_undo_age",
    ),
    "at least a second between preemptions": ("test_a_mission_runs_a_second_first",),
    "a limit a user holds nobody else up": ("test_a_user_at_their_limit_waits_while_others_run",),
    "on_busy in its four ways": (
        "test_a_busy_session_is_enqueued_rejected_interrupted_or_shared",
        "test_the_displaced_end_once_the_newer_one_is_taken_in",
    ),
    "a waiting mission frees its session; resumed it goes ahead": (
        "test_a_session_whose_mission_waits_is_not_busy_and_a_resumed_one_goes_ahead",
    ),
    "children end with their parent": (
        "test_a_failed_child_raises_in_its_parent_and_a_parents_end_ends_its_children",
        "test_a_child_whose_parent_ended_at_the_crash_ends_with_it",
    ),
    "an agent that blocks the loop is named": (
        "test_a_task_that_blocks_the_loop_is_named_with_its_line",
    ),
    "deadlines and delayed starts": ("test_deadlines_delayed_starts_and_running_time",),
    "cancel stops whatever a mission does": (
        "test_cancel_stops_whatever_a_mission_does",
        "test_a_cancel_that_meets_a_commit_in_flight_leaves_one_terminal_event",
    ),
    "explain says why and where": ("test_a_queued_mission_is_told_where_it_stands",),
    "idempotency keys": ("test_an_idempotency_key_returns_the_same_reply",),
    "pause and resume": (
        "test_pause_holds_and_resume_goes_on",
        "test_a_paused_mission_survives_a_restart_and_an_answer",
    ),
    "draining": ("test_a_drain_leaves_missions_ready_for_the_next_start",),
    # Journal
    "a journaled step does not run again": (
        "test_steps_are_journaled_and_survive_a_crash",
        "test_the_model_streams_and_is_not_called_again_on_replay",
    ),
    "an error is an outcome": ("test_a_failed_step_raises_the_same_error_when_replayed",),
    "outcomes come in the same order live and replayed": (
        "test_parallel_branches_get_their_outcomes_in_the_same_order_when_replayed",
    ),
    "a side effect in flight is in doubt": (
        "test_a_side_effect_in_flight_at_a_crash_becomes_a_question",
        "test_a_function_in_flight_at_a_crash_is_in_doubt_unless_idempotent",
        "test_an_idempotent_effect_in_flight_at_a_crash_runs_again",
    ),
    "a time-out of a side effect is in doubt": (
        "test_a_timed_out_side_effect_becomes_a_question_without_any_crash",
        "test_a_timeout_that_fires_while_its_result_commits_changes_nothing",
    ),
    "an approval covers one attempt": ("test_an_approval_covers_one_attempt",),
    "now, random and uuid are journaled": ("test_instants_are_the_same_in_each_replay",),
    "an event is at most 256 KiB": ("test_a_long_output_is_shown_short_and_kept_whole",),
    "a mission at rest is parked": (
        "test_waiting_missions_leave_memory_and_come_back_whole",
        "test_a_program_that_swallows_everything_is_closed",
    ),
    "a foreign cancellation fails the mission": (
        "test_a_call_cancelled_from_outside_fails_the_mission_at_once",
    ),
    "every unit is fenced": (
        "test_a_stale_process_writes_nothing",
        "test_a_stale_guard_refuses_the_whole_unit",
    ),
    "a changed program is paused": ("test_a_changed_program_is_paused_with_what_differs",),
    "a missing agent blocks": ("test_a_missing_agent_blocks_its_missions_until_it_is_back",),
    "an open breaker is waited for": ("test_a_call_on_an_open_breaker_waits_for_the_trial",),
    # Python surface
    "an envelope comes back answered": ("test_an_envelope_comes_back_answered",),
}


@cache
def _defined() -> frozenset[str]:
    found: set[str] = set()
    for file in TESTS.rglob("test_*.py"):
        found.update(re.findall(r"def (test_\w+)\(", file.read_text()))
    return frozenset(found)


@pytest.mark.parametrize("promise", ROWS)
def test_a_promise_has_its_tests(promise: str) -> None:
    """The tests named for a promise exist."""
    missing = [name for name in ROWS[promise] if name not in _defined()]
    assert not missing, f"{promise}: {missing}"
