"""Every promise of the wire has a test, and here is which.

``ROWS`` names, for each promise, the tests that would fail if it were broken; this file fails if
one of them is gone.
"""

import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

ROWS: dict[str, tuple[str, ...]] = {
    # Messages
    "an id is a string or an integer; anything else is answered with null": (
        "test_a_request_with_a_good_id_is_a_call",
        "test_any_other_id_is_answered_with_null",
        "test_a_request_without_an_id_is_answered_with_null",
    ),
    "one message a frame, no batches": ("test_what_is_no_object_is_no_request",),
    "64 KiB, no deflate": (
        "test_a_message_of_exactly_the_limit_is_taken",
        "test_a_real_server_bounds_messages_and_compresses_nothing",
    ),
    "the subprotocol is optional": ("test_the_subprotocol_is_agreed_on_when_offered",),
    "a reply precedes the events of its call": (
        "test_a_reply_precedes_the_events_of_its_call",
        "test_a_reply_said_at_commit_precedes_the_events_of_the_unit",
        "test_a_subscribe_is_answered_before_what_it_brings",
    ),
    "the Structs make the document": (
        "test_the_document_names_everything",
        "test_the_main_rules_of_asyncapi_3_hold",
        "test_the_page_says_as_much",
    ),
    # Authentication
    "auth off: local, an operator; another name is a user": (
        "test_hello_says_who_and_how_much",
        "test_an_open_gate_lets_everybody_in_as_local",
    ),
    "a bearer on the upgrade": ("test_credentials_on_the_upgrade",),
    "a ticket is good once, for 30 s": (
        "test_a_ticket_opens_one_connection",
        "test_a_ticket_is_good_once",
    ),
    "hello with a token, first of all, within 5 s": (
        "test_hello_with_a_token",
        "test_no_hello_in_time",
        "test_who_brought_no_credentials_says_hello_first",
    ),
    "bad credentials on the upgrade: 401, with a body": (
        "test_bad_credentials_on_the_upgrade",
        "test_a_refused_upgrade_is_no_error_of_the_application",
    ),
    "a foreign Origin: 403": ("test_a_foreign_page_is_refused",),
    "an ended credential closes with 4401": (
        "test_an_expired_token_signs_out",
        "test_the_sweep_closes_what_lost_its_credentials",
    ),
    "whoever hears something stays who it is": ("test_who_hears_stays_who_it_is",),
    # Offsets
    "from 1, without gaps, in commit order": (
        "test_the_start_is_offset_zero",
        "test_a_unit_gets_its_offsets_in_the_order_of_its_events",
        "test_offsets_have_no_hole_whoever_submits_and_whatever_is_refused",
    ),
    "0 is the start": ("test_the_start_is_offset_zero",),
    # Methods
    "every method with its parameters and no others": (
        "test_a_method_takes_what_was_agreed_on",
        "test_an_unknown_parameter_is_named",
        "test_every_parameter_is_bounded",
    ),
    "every result with its fields": (
        "test_every_result_has_its_fields",
        "test_a_result_is_described_as_was_agreed_on",
    ),
    "ping: all of your topics up to it was written": (
        "test_a_ping_speaks_for_what_came_before_it",
        "test_ping_speaks_for_what_was_written",
    ),
    "types, deltas and where belong to the topics of their call": (
        "test_subscribing_and_letting_go",
        "test_a_filter_on_everything",
        "test_a_topic_subscribed_again_has_its_new_filter",
        "test_conditions_belong_to_system_only",
    ),
    "another user's topic is one that does not exist": ("test_credentials_on_the_upgrade",),
    "one bad topic refuses the whole call": (
        "test_one_bad_topic_refuses_the_call",
        "test_subscribing_and_letting_go",
    ),
    "at most a hundred topics; followed missions do not count": (
        "test_a_connection_has_a_hundred_topics",
        "test_followed_missions_do_not_count_and_do_not_show",
    ),
    "idempotency keys": (
        "test_a_key_makes_a_submit_safe_to_repeat",
        "test_submits_repeated_side_by_side_bring_each_event_once",
        "test_a_repeated_submit_replays_an_ended_mission",
    ),
    "a submit brings its mission's events, from the first to the terminal one": (
        "test_a_followed_mission_ends_with_its_last_event",
        "test_following_ends_with_the_mission",
    ),
    "an unknown session is not found": ("test_an_unknown_session_is_not_found",),
    "a mission's text and result are messages before its end": (
        "test_the_texts_of_a_mission_are_messages_before_its_end",
    ),
    "since: the retained ones first, then live, no gap, then replay.done": (
        "test_what_is_older_comes_first_and_then_replay_done",
        "test_a_replay_of_nothing_is_done_at_once",
        "test_two_hundred_drops_lose_nothing",
        "test_a_thousand_come_back_at_once",
    ),
    "epoch_changed, also beyond the head": (
        "test_what_can_not_be_resumed_says_why_and_where_to_start",
        "test_another_epoch_can_not_be_resumed",
    ),
    "history_gap, with its floor": ("test_a_gap_in_history_is_named_with_its_floor",),
    "a replay is paced by its reader and never a reason to close": (
        "test_a_replay_waits_for_its_reader",
        "test_a_replay_is_paced_by_its_reader",
    ),
    "a snapshot is exact as of its offset": (
        "test_a_snapshot_and_what_follows_make_the_whole_text",
        "test_a_snapshot_shows_what_waits",
    ),
    # Events
    "every event with its data": ("test_an_event_has_what_was_agreed_on",),
    "ephemeral ones have no offset": ("test_events_without_an_offset_have_none",),
    "each at most once and in order, whatever number of topics match": (
        "test_everybody_gets_every_event_that_is_theirs_once_and_in_order",
        "test_an_event_that_several_topics_match_comes_once",
        "test_two_hundred_drops_lose_nothing",
    ),
    "deltas repair themselves": (
        "test_the_text_so_far_follows_replay_done",
        "test_two_hundred_drops_lose_nothing",
    ),
    "draining is told to every connection": (
        "test_draining_is_told_to_every_connection",
        "test_a_drain_tells_everybody_and_leaves_work_for_the_next_start",
    ),
    "one terminal event, and nothing after it": (
        "test_nothing_of_a_mission_is_committed_after_its_end",
    ),
    # Errors and closes
    "every error with its numbers": ("test_an_error_has_its_numbers",),
    "when to retry stands beside the code": (
        "test_when_to_retry_is_beside_the_code_and_in_the_details",
    ),
    "nothing that a client sends is an internal error": (
        "test_whatever_is_sent_has_one_consequence",
        "test_a_request_with_anything_in_it_has_one_consequence",
        "test_no_value_of_any_field_is_an_internal_error",
        "test_bytes_at_random_close_with_a_listed_code_or_not_at_all",
    ),
    "4400: three unparsable messages": (
        "test_three_strikes_are_answered_and_closed_with_4400",
        "test_only_three_strikes_close",
    ),
    "4408: no hello in time": ("test_who_never_says_hello_is_closed_with_4408",),
    "4413: a slow consumer": ("test_who_reads_too_slowly_is_told_so_and_when_to_come_back",),
    "4429: flooding after a warning": (
        "test_flooding_is_warned_of_and_then_closed",
        "test_a_flood_of_pings_is_a_flood",
        "test_going_on_after_the_warning_ends_the_connection",
    ),
    "1012: draining, staggered, with a hint": (
        "test_draining_tells_everybody_and_closes_one_by_one",
        "test_a_drain_is_staggered",
        "test_who_came_during_the_drain_is_told_when_to_come_back",
    ),
    "1002, 1003, 1007, 1009": (
        "test_what_breaks_the_protocol_is_closed_with_its_code",
        "test_a_fragment_that_can_not_be_utf8_is_not_waited_upon",
        "test_a_code_that_may_not_be_sent_is_a_fault",
    ),
    "one table of close codes, in code, document and both clients": (
        "test_every_close_code_has_its_row",
        "test_a_close_reason_fits_and_hints",
        "test_both_tables_of_close_codes_agree",
    ),
    # Liveness
    "a ping every 25 s, gone 10 s after one without an answer": (
        "test_a_client_that_says_nothing_is_aborted_10_s_after_a_ping",
        "test_a_silent_client_is_aborted_and_one_that_answers_is_not",
    ),
    "any frame is life": ("test_any_frame_is_life",),
    "bytes that do not move for 10 s": (
        "test_a_client_that_takes_nothing_is_gone_within_15_s",
        "test_a_stalled_client_is_aborted_below_its_bound",
        "test_clients_that_never_read_beside_a_thousand_that_do",
    ),
    # What the server underneath does not do by itself
    "connections are counted: 503 a process, 429 a user": (
        "test_a_full_server_takes_no_more_connections",
        "test_a_user_has_so_many_connections",
    ),
    "accepted sockets are bounded in the kernel": (
        "test_accepted_sockets_are_bounded_in_the_kernel",
    ),
    "a head is bounded in size and age": (
        "test_a_head_is_bounded",
        "test_a_header_of_twenty_megabytes_costs_nothing",
        "test_a_head_that_never_ends_or_never_comes_is_closed",
        "test_heads_that_drip_are_closed_all_at_once",
    ),
    "what comes with the upgrade is not lost": (
        "test_messages_in_one_piece_with_the_upgrade_are_answered",
        "test_messages_that_come_before_the_accept_are_answered_in_order",
        "test_what_follows_a_request_may_be_nonsense",
    ),
    "SIGTERM: exit 0, whoever does not read": (
        "test_a_drain_tells_everybody_and_leaves_work_for_the_next_start",
        "test_clients_that_never_read_hold_nothing_up",
        "test_the_server_stops_with_clients_that_do_not_answer",
    ),
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
