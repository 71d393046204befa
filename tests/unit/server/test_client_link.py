"""When a client dials again and when it gives up; calls over a drop; texts put together."""

import pytest

from server.client import ClientError, Event, Texts
from server.client.calls import CallBook
from server.client.link import Link, Over, Wait, delay_s, hint_s, of_status, policy_of
from server.wire.close_codes import POLICIES

HELLO = {"epoch": "e1", "limits": {"max_frame_bytes": 200}}


def link(*, refreshable: bool = False) -> Link:
    """A link whose jitter always draws the middle."""
    return Link(lambda: 0.5, refreshable=refreshable)


def wait_of(found: Wait | Over) -> float:
    """How long it waits; fails if it is over."""
    assert isinstance(found, Wait), found
    return found.delay_s


@pytest.mark.parametrize("code", list(POLICIES))
def test_the_servers_table_decides(code: int) -> None:
    """Row by row."""
    policy = POLICIES[code]  # type: ignore[index]
    found = link().closed(code, "", 0.0)
    assert isinstance(found, Wait) is policy.reconnect
    if isinstance(found, Wait):
        assert found.delay_s == policy.least_wait_s + 0.25


def test_codes_that_nobody_knows_are_tried_again() -> None:
    """To stay away would be the worse fault."""
    assert policy_of(4999).reconnect
    assert not policy_of(1008).reconnect


def test_the_ceiling_doubles_to_thirty_seconds_and_starts_anew() -> None:
    """After a connection that lived for a while."""
    line = link()
    waits = [wait_of(line.closed(1006, "", 0.0)) for _ in range(9)]
    assert waits == [0.25, 0.5, 1, 2, 4, 8, 15, 15, 15]
    line.greeted(HELLO, 10.0)
    assert wait_of(line.closed(1006, "", 14.0)) == 15
    line.greeted(HELLO, 20.0)
    assert wait_of(line.closed(1006, "", 25.0)) == 0.25


def test_jitter_is_full() -> None:
    """From nothing to the ceiling, above what the server asked for."""
    assert delay_s(3, lambda: 0.0) == 0
    assert delay_s(3, lambda: 1.0) == 4
    assert delay_s(0, lambda: 1.0, 2.0) == 2.5


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ('draining; {"retry_after_ms":1500}', 1.5),
        ("retry_after_ms=250", 0.25),
        ("retry_after_ms=999999999", 60.0),
        ("going away", None),
    ],
)
def test_the_hint_is_read_from_the_reason(reason: str, hint: float | None) -> None:
    """In either form, bounded."""
    assert hint_s(reason) == hint


def test_a_draining_servers_hint_serves_if_the_close_has_none() -> None:
    """Once."""
    line = link()
    line.heard(Event(type="tower.draining", data={"retry_after_ms": 3000}))
    assert wait_of(line.closed(1001, "", 0.0)) == 3.25
    assert wait_of(line.closed(1006, "", 0.0)) == 0.5


def test_a_fresh_token_is_tried_once() -> None:
    """A second refusal in a row is the end; a constant token is not tried again at all."""
    assert isinstance(link().closed(4401, "revoked", 0.0), Over)
    line = link(refreshable=True)
    assert isinstance(line.closed(4401, "", 0.0), Wait)
    assert isinstance(line.closed(4401, "", 0.0), Over)
    line = link(refreshable=True)
    line.closed(4401, "", 0.0)
    line.greeted(HELLO, 1.0)
    assert isinstance(line.closed(4401, "", 2.0), Wait)


@pytest.mark.parametrize(
    ("status", "again"),
    [(401, False), (403, False), (404, False), (429, True), (502, True), (503, True)],
)
def test_a_refused_upgrade_is_as_its_close_code(status: int, again: bool) -> None:
    """HTTP has its own words for the same things."""
    assert isinstance(link().closed(of_status(status), "", 0.0), Wait) is again


def test_a_refusal_that_names_a_time_is_tried_again_then() -> None:
    """And one that no time will heal is not."""
    busy = ClientError("rate_limited", "Too many.", {"retry_after_s": 7})
    assert wait_of(link().refused(busy, 0.0)) == 7.25
    assert isinstance(link().refused(ClientError("not_found", "No such session."), 0.0), Over)
    assert isinstance(link().refused(ClientError("unauthenticated", "No."), 0.0), Over)


def test_calls_over_a_drop() -> None:
    """Sent and repeatable: again; sent and not: lost; not sent: waits."""
    book = CallBook(str)
    keyed = book.add("mission.submit", {"idempotency_key": "k"})
    pause = book.add("mission.pause", {"mission_id": "m"})
    waiting = book.add("mission.resume", {"mission_id": "m"})
    keyed.sends = pause.sends = 1
    assert book.drop() == [pause]
    assert book.pending() == [keyed, waiting]
    assert pause.lost().outcome_unknown
    assert book.take(pause.id) is None
    assert book.take("1") is None
    assert book.clear() == [keyed, waiting]
    assert len(book) == 0


def test_texts_are_put_together_by_place_and_attempt() -> None:
    """As the wire says; a mission's end lets its texts go."""
    texts = Texts()

    def delta(attempt: int, at: int, text: str) -> str | None:
        data = {"step": "1", "attempt": attempt, "at": at, "text": text}
        return texts.take(Event(type="llm.delta", mission_id="m", data=data))

    assert delta(1, 0, "hel") == "hel"
    assert delta(1, 3, "lo 😀") == "hello 😀"
    assert delta(1, 7, "!") == "hello 😀!"
    assert delta(1, 0, "all") == "all"
    assert delta(2, 0, "new") == "new"
    assert delta(1, 3, "old") == "new"
    assert texts.take(Event(type="mission.completed", mission_id="m")) is None
    assert delta(1, 0, "x") == "x"


def test_an_error_keeps_what_the_server_said() -> None:
    """The code, when to try again, and whether it may have happened."""
    error = ClientError.from_wire(
        {
            "code": -32050,
            "message": "Not now.",
            "data": {"code": "unavailable", "outcome": "unknown", "details": {"retry_after_s": 2}},
        },
        "mission.submit",
    )
    assert (error.code, error.retry_after_s, error.outcome_unknown) == ("unavailable", 2.0, True)
    assert not ClientError("not_found", "").outcome_unknown
