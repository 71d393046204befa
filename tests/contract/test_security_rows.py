"""Which tests stand for which expectation about everything hostile.

One entry for each behaviour that the contract of security names, in its order: the tests that
would fail without it. Checked here is only that those tests exist, so that none is dropped or
renamed without a thought for what it stands for.
"""

import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]

ROWS: dict[str, tuple[str, ...]] = {
    # bind
    "loopback by default; another address needs auth, and the refusal says how": (
        "test_loopback_needs_no_auth",
        "test_others_can_not_reach_a_server_without_auth",
    ),
    # auth
    "API keys are stored hashed and have a role": (
        "test_a_key_says_who_with_which_role",
        "test_only_a_hash_is_stored",
    ),
    "a JWT must have sub, role and exp, and its algorithm is ours": (
        "test_a_token_without_all_of_them_is_none",
        "test_a_token_can_not_choose_how_it_is_checked",
    ),
    "401 with WWW-Authenticate": ("test_everything_but_health_wants_credentials",),
    "a revoked or ended credential ends what it opened": (
        "test_a_revoked_key_ends_at_once",
        "test_an_expired_token_signs_out",
        "test_a_ticket_ends_with_the_key_it_stands_for",
    ),
    # Host header
    "an allow-list of Host names; addresses are served": (
        "test_a_foreign_host_is_refused",
        "test_loopback_names_and_addresses_are_served",
        "test_a_name_can_be_allowed",
    ),
    "more than one Host header is refused": ("test_two_hosts_are_none",),
    # open without credentials
    "pages, files and health are open, nothing else": (
        "test_pages_and_health_are_open",
        "test_everything_but_health_wants_credentials",
    ),
    # Origin
    "a foreign Origin may neither change anything nor open /ws": (
        "test_other_sites_may_change_nothing",
        "test_a_foreign_page_is_refused",
        "test_own_origin_may",
    ),
    # CORS
    "off by default, exact origins, never with credentials": ("test_cors_is_for_those_named",),
    "* is a start-up error": ("test_any_origin_is_refused",),
    # isolation
    "another user's anything does not exist, to the byte": (
        "test_every_endpoint_and_method_has_a_row",
        "test_an_endpoint_does_not_tell",
        "test_a_method_does_not_tell",
        "test_lists_hold_ones_own",
    ),
    # user_id in a body
    "user_id in a body is the caller's own, unless operator": (
        "test_an_endpoint_does_not_tell",
        "test_an_operator_may_answer_for_a_user",
    ),
    # token in a URL
    "a token in a URL is refused and not logged": (
        "test_tokens_do_not_belong_in_urls",
        "test_a_token_does_not_belong_in_the_url",
        "test_no_line_of_the_log_holds_a_secret",
    ),
    "a ticket is good once, and not logged": (
        "test_a_ticket_is_good_once",
        "test_a_ticket_is_not_logged",
    ),
    # frames
    "a frame too large, not UTF-8 or binary closes with its code": (
        "test_a_message_of_exactly_the_limit_is_taken",
        "test_a_fragment_that_can_not_be_utf8_is_not_waited_upon",
        "test_binary_is_refused",
    ),
    "three messages that can't be parsed close with 4400": (
        "test_frames_that_are_no_messages_count",
    ),
    # JSON
    "malformed, too deep, not UTF-8: an error, never ours": (
        "test_bodies_are_json_and_bounded",
        "test_any_json_passes_or_is_refused",
    ),
    "integers and texts are bounded, NUL is refused, half emojis are replaced": (
        "test_integers_are_bounded",
        "test_nul_is_refused",
        "test_half_an_emoji_is_mended",
    ),
    "unknown fields are refused": (
        "test_bodies_are_json_and_bounded",
        "test_unknown_and_double_parameters_are_refused",
        "test_an_unknown_parameter_is_named",
    ),
    "whatever comes, the server does what its document says": ("test_it_does_what_it_says",),
    # rates
    "frames: a rate with a burst, a warning, then 4429": (
        "test_a_burst_is_let_through_and_then_a_rate",
        "test_flooding_is_warned_of_and_then_closed",
    ),
    "submits a minute for each user": ("test_a_minute_has_so_many_and_no_more",),
    "connections for each user and process; streams, too": (
        "test_a_user_has_so_many_connections",
        "test_a_full_server_takes_no_more_connections",
        "test_streams_are_bounded",
    ),
    # HTTP
    "a head of 16 KiB, a body of 1 MiB": (
        "test_a_head_is_bounded",
        "test_bodies_are_json_and_bounded",
    ),
    "a head within 10 s, a body within 30 s": (
        "test_a_head_that_never_ends_or_never_comes_is_closed",
        "test_a_body_that_never_ends_is_refused",
    ),
    # a client that never reads
    "cut off at its bound, and nobody else is slower": (
        "test_a_client_that_never_reads_is_cut_off_and_nobody_waits_for_it",
        "test_clients_that_never_read_hold_nothing_up",
        "test_accepted_sockets_are_bounded",
    ),
    # approvals
    "only an explicit approve approves": (
        "test_only_an_explicit_answer_confirms",
        "test_a_chat_message_never_approves",
    ),
    "replayed, edited, late and foreign answers are refused": (
        "test_an_answer_counts_once",
        "test_edited_arguments_are_what_runs_and_what_is_journaled",
        "test_an_expired_confirmation_is_a_refusal_and_a_clarification_raises",
        "test_an_endpoint_does_not_tell",
    ),
    # tools
    "workspace files are rows": ("test_other_names_are_declined",),
    "http.get reads no private address, on no redirect, within bounds": (
        "test_addresses_that_are_not_public",
        "test_a_public_name_of_a_private_address_is_declined",
        "test_what_may_not_be_read_is_declined_on_the_way_too",
        "test_a_page_that_drips_is_given_up",
    ),
    "a subprocess has a scrubbed environment": ("test_a_server_sees_nothing_of_our_environment",),
    # secrets
    "logs are redacted by key and by value": (
        "test_a_known_secret_never_survives",
        "test_secrets_of_the_environment_are_known_to_the_log",
    ),
    "the canary is found nowhere": (
        "test_the_tool_had_the_secret",
        "test_no_answer_holds_a_secret",
        "test_no_event_holds_a_secret",
        "test_no_file_holds_a_secret",
        "test_no_line_of_the_log_holds_a_secret",
    ),
    # errors
    "code, detail and request id; nothing of the inside": (
        "test_a_bug_in_the_application_answers_500",
        "test_a_bug_is_internal_and_the_connection_goes_on",
        "test_it_does_what_it_says",
    ),
    # pages
    "the policy of pages, with the hash of the import map": (
        "test_the_policy_of_pages_is_the_contracts",
        "test_only_docs_may_have_inline_styles",
    ),
    "nosniff and no-referrer on everything": ("test_every_answer_has_the_headers",),
    "Markdown is sanitised, remote images are not loaded": (
        "test_text_of_a_model_is_only_ever_text",
    ),
    # database
    "a full disk: 507, running missions wait, reads go on": (
        "test_a_full_disk_is_507",
        "test_a_full_disk_is_waited_out",
    ),
    "an I/O error ends the process": ("test_an_input_output_error_ends_the_process",),
    "locked: 503 after a bound": ("test_a_locked_database_is_said_after_a_bound",),
    # supply chain
    "every dependency is pinned": ("test_everything_installed_is_pinned",),
}
"""Each behaviour of security.md, and the tests that would fail without it."""


@cache
def _defined() -> frozenset[str]:
    found: set[str] = set()
    for file in (*TESTS.rglob("test_*.py"), *TESTS.rglob("*.test.js")):
        found.update(re.findall(r"def (test_\w+)\(", file.read_text(encoding="utf-8")))
    return frozenset(found)


@pytest.mark.parametrize("behaviour", ROWS)
def test_a_behaviour_has_its_tests(behaviour: str) -> None:
    """The tests named for a behaviour exist."""
    missing = [name for name in ROWS[behaviour] if name not in _defined()]
    assert not missing, f"{behaviour}: {missing}"
