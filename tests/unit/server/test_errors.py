"""Errors: one table, and nothing of the inside."""

import pytest

from control_tower import errors as kernel
from control_tower.cluster.refusals import NotAtHome
from control_tower.errors import Refusal, Unavailable
from control_tower.unit import StoreFailed
from server.errors import (
    CODES,
    INTERNAL_MESSAGE,
    MethodNotFound,
    Unauthenticated,
    headers,
    problem,
    rpc_error,
)

WIRE = {
    "parse_error": (-32700, 400),
    "invalid_request": (-32600, 400),
    "method_not_found": (-32601, 405),
    "invalid_params": (-32602, 422),
    "internal": (-32603, 500),
    "unauthenticated": (-32001, 401),
    "forbidden": (-32003, 403),
    "not_found": (-32004, 404),
    "conflict": (-32009, 409),
    "expired": (-32010, 410),
    "busy": (-32011, 409),
    "quota_exceeded": (-32028, 429),
    "rate_limited": (-32029, 429),
    "unavailable": (-32050, 503),
}


def leaves(base: type[Refusal]) -> list[type[Refusal]]:
    """Every refusal there is."""
    return [base, *(leaf for child in base.__subclasses__() for leaf in leaves(child))]


@pytest.mark.parametrize("code", WIRE)
def test_numbers_are_the_contracts(code: str) -> None:
    """The table of wire.md."""
    assert (CODES[code].rpc, CODES[code].http.value) == WIRE[code]


def test_every_refusal_is_in_the_table() -> None:
    """A new refusal needs a row, or its first caller gets a KeyError; nodes' own have no caller."""
    assert {leaf.code for leaf in leaves(Refusal)} - {NotAtHome.code} <= set(CODES)


def test_a_refusal_on_the_socket() -> None:
    """Number, sentence, code, details."""
    assert rpc_error(kernel.NotFound("No such mission.")) == {
        "code": -32004,
        "message": "No such mission.",
        "data": {"code": "not_found", "details": {}},
    }


def test_when_to_retry_is_beside_the_code_and_in_the_details() -> None:
    """Clients look in either place."""
    data = rpc_error(kernel.RateLimited("Slow down.", retry_after_s=1.5))["data"]
    assert data == {
        "code": "rate_limited",
        "retry_after_s": 1.5,
        "details": {"retry_after_s": 1.5},
    }


@pytest.mark.parametrize("outcome", ["rejected", "unknown"])
def test_a_failed_store_says_what_is_known(outcome: str) -> None:
    """`unknown` means: retry with the same key."""
    for error in (StoreFailed("disk", outcome=outcome), Unavailable("Later.", outcome=outcome)):
        data = rpc_error(error)["data"]
        assert (data["code"], data["outcome"]) == ("unavailable", outcome)
        assert "disk" not in rpc_error(error)["message"]


def test_a_full_disk_is_507() -> None:
    """And only a full disk."""
    assert problem(Unavailable("Full.", outcome="rejected", disk_full=True), "r")[0] == 507
    assert problem(Unavailable("Busy.", outcome="rejected"), "r")[0] == 503


def test_a_bug_tells_nothing() -> None:
    """Neither wire shows what was raised."""
    bug = KeyError("SELECT secret FROM /etc/passwd")
    status, body = problem(bug, "r_1")
    assert status == 500
    assert body == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "detail": INTERNAL_MESSAGE,
        "code": "internal",
        "request_id": "r_1",
    }
    assert rpc_error(bug)["message"] == INTERNAL_MESSAGE
    assert headers(bug) == {}


def test_a_problem_names_the_field() -> None:
    """As RFC 9457 with `errors`, one for each field."""
    status, body = problem(kernel.InvalidParams("Too long.", field="title"), "r_1")
    assert status == 422
    assert body["errors"] == [{"field": "title", "message": "Too long."}]
    assert (body["code"], body["request_id"], body["status"]) == ("invalid_params", "r_1", 422)


def test_details_can_not_overwrite_the_problem() -> None:
    """A detail called `status` stays behind the real one."""
    _, body = problem(kernel.Conflict("No.", status="paused", now="x"), "r_1")
    assert (body["status"], body["now"]) == (409, "x")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (kernel.RateLimited("x", retry_after_s=0.2), {"Retry-After": "1"}),
        (kernel.RateLimited("x", retry_after_s=2.1), {"Retry-After": "3"}),
        (Unavailable("x", outcome="rejected"), {"Retry-After": "1"}),
        (MethodNotFound("x", allow=["GET", "HEAD"]), {"Allow": "GET, HEAD"}),
        (kernel.NotFound("x"), {}),
    ],
)
def test_headers_that_go_with_it(error: Refusal, expected: dict[str, str]) -> None:
    """Retry-After is whole seconds, rounded up."""
    assert headers(error) == expected


def test_missing_credentials_are_asked_for() -> None:
    """A 401 says which scheme."""
    assert headers(Unauthenticated("x"))["WWW-Authenticate"].startswith("Bearer")
