"""The JSON-RPC session of a connection, without one."""

from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_tower.errors import Conflict, NotFound, RateLimited
from events.errors import BadTopic
from server.wire.close_codes import POLICIES, Close
from server.wire.rpc_session import (
    Ack,
    Method,
    RateBound,
    Received,
    RpcSession,
    encode_error,
    encode_result,
)


class EchoParams(msgspec.Struct, forbid_unknown_fields=True):
    """Parameters of a method for tests."""

    text: str = ""
    number: Annotated[int, msgspec.Meta(le=100)] = 0


async def _echo(connection: object, params: Any, ack: Ack) -> Any:
    return params.text


class Table:
    """Two methods."""

    def find(self, name: str) -> Method | None:
        """Find one of them."""
        return Method(EchoParams, _echo) if name in {"echo", "hello"} else None


def _session(rate: RateBound | None = None, *, admitted: bool = True) -> RpcSession:
    return RpcSession(Table(), 0.0, admitted=admitted, rate=rate)


def _error(received: Received) -> tuple[Any, int, str]:
    assert received.call is None
    assert received.reply is not None
    reply = msgspec.json.decode(received.reply)
    assert reply["jsonrpc"] == "2.0"
    return reply["id"], reply["error"]["code"], reply["error"]["data"]["code"]


def _request(**members: object) -> str:
    return msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": "echo", **members}).decode()


@pytest.mark.parametrize("given_id", [0, 1, -(2**63), 2**63 - 1, "", "a-b", "é" * 256])
def test_a_request_with_a_good_id_is_a_call(given_id: str | int) -> None:
    """A string or an integer."""
    received = _session().receive(_request(id=given_id, params={"text": "x"}), 0.0)
    assert received.call is not None
    assert received.call.id == given_id
    assert received.call.params == EchoParams("x")
    assert received.reply is None


@pytest.mark.parametrize("given_id", [None, True, 1.5, [1], {}, 2**63, "x" * 257])
def test_any_other_id_is_answered_with_null(given_id: object) -> None:
    """Also none at all: there are no notifications from clients."""
    assert _error(_session().receive(_request(id=given_id), 0.0)) == (
        None,
        -32600,
        "invalid_request",
    )


def test_an_id_that_is_too_long_is_told_the_bound() -> None:
    """A string is not refused with a sentence that asks for a string."""
    reply = _session().receive(_request(id="x" * 257), 0.0).reply
    assert reply is not None
    assert "256 characters" in msgspec.json.decode(reply)["error"]["message"]


def test_a_request_without_an_id_is_answered_with_null() -> None:
    """It is not carried out."""
    text = '{"jsonrpc":"2.0","method":"echo"}'
    assert _error(_session().receive(text, 0.0)) == (None, -32600, "invalid_request")


@pytest.mark.parametrize("text", ["[]", "1", '"x"', "null", '[{"jsonrpc":"2.0","id":1}]'])
def test_what_is_no_object_is_no_request(text: str) -> None:
    """Batches are not understood."""
    received = _session().receive(text, 0.0)
    assert _error(received) == (None, -32600, "invalid_request")
    assert received.close is None


@pytest.mark.parametrize(
    "members", [{"jsonrpc": "1.0"}, {"jsonrpc": None}, {"method": 1}, {"method": None}]
)
def test_a_wrong_envelope_is_answered_under_its_id(members: dict[str, object]) -> None:
    """So that the client knows which call it was."""
    assert _error(_session().receive(_request(**members), 0.0)) == (1, -32600, "invalid_request")


def test_an_unknown_method_is_named_so() -> None:
    """Under the id of the call."""
    assert _error(_session().receive(_request(method="nope"), 0.0)) == (
        1,
        -32601,
        "method_not_found",
    )


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"text": 1}, "text"),
        ({"number": "x"}, "number"),
        ({"number": 10**30}, "number"),
        ({"nope": 1}, "nope"),
        ([1], None),
        (None, None),
    ],
)
def test_wrong_parameters_name_the_field(params: object, field: str | None) -> None:
    """By position is not understood either."""
    received = _session().receive(_request(params=params), 0.0)
    assert _error(received) == (1, -32602, "invalid_params")
    assert received.reply is not None
    details = msgspec.json.decode(received.reply)["error"]["data"]["details"]
    assert details.get("field") == field


def test_the_character_nul_is_refused() -> None:
    """PostgreSQL can't store it; an escaped backslash before a u is none."""
    refused = _session().receive(_request(params={"text": "a\0b"}), 0.0)
    assert _error(refused) == (1, -32602, "invalid_params")
    assert refused.reply is not None
    details = msgspec.json.decode(refused.reply)["error"]["data"]["details"]
    assert details == {"field": "text"}
    fine = _session().receive(_request(params={"text": "a\\u0000b"}), 0.0)
    assert fine.call is not None
    assert fine.call.params.text == "a\\u0000b"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        '{"jsonrpc":"2.0",',
        "[" * 50_000,
        '{"params":' + "[" * 60_000,
        "\ufeff{}",
        "{'a': 1}",
    ],
)
def test_three_messages_that_are_not_json_end_the_connection(text: str) -> None:
    """Each is answered; with the third it closes with 4400."""
    session = _session()
    for _ in range(2):
        received = session.receive(text, 0.0)
        assert _error(received) == (None, -32700, "parse_error")
        assert received.close is None
    last = session.receive(text, 0.0)
    assert _error(last) == (None, -32700, "parse_error")
    assert last.close is not None
    assert last.close[0] == Close.UNPARSABLE


@given(st.text(max_size=60))
def test_no_text_breaks_it(text: str) -> None:
    """Whatever comes, something follows."""
    session = _session()
    received = session.receive(text, 0.0)
    assert received.reply is not None or received.call is not None


def test_before_hello_only_hello_may_be_called() -> None:
    """Then everything."""
    session = _session(admitted=False)
    assert _error(session.receive(_request(), 0.0)) == (1, -32001, "unauthenticated")
    assert session.receive(_request(method="hello"), 0.0).call is not None
    session.admitted = True
    assert session.receive(_request(), 0.0).call is not None


def test_a_burst_is_let_through_and_then_a_rate() -> None:
    """200 at once, 100 a second after that; the refusal says when to try again."""
    session = _session(RateBound())
    assert all(session.receive(_request(), 0.0).call for _ in range(200))
    refused = session.receive(_request(), 0.0)
    assert _error(refused) == (1, -32029, "rate_limited")
    assert refused.reply is not None
    data = msgspec.json.decode(refused.reply)["error"]["data"]
    assert data["details"]["retry_after_s"] == pytest.approx(0.01)
    assert session.receive(_request(), 0.011).call is not None
    assert session.receive(_request(), 0.011).call is None
    assert sum(session.receive(_request(), 1.011).call is not None for _ in range(120)) == 100


def test_going_on_after_the_warning_ends_the_connection() -> None:
    """4429, after as many refusals as a second allows."""
    session = _session(RateBound())
    received = [session.receive(_request(), 0.0) for _ in range(301)]
    assert [one.close for one in received[:300]] == [None] * 300
    assert received[300].close is not None
    assert received[300].close[0] == Close.FLOODING


def test_slowing_down_is_forgiven() -> None:
    """A client that was refused often, but long ago, is not closed for it."""
    session = _session(RateBound())
    now = 0.0
    for _ in range(10):
        for _ in range(260):
            assert session.receive(_request(), now).close is None
        now += 10


def test_frames_that_are_no_messages_count() -> None:
    """A flood of pings or fragments is a flood."""
    session = _session(RateBound())
    closes = [session.frame(0.0) for _ in range(301)]
    assert closes[:300] == [None] * 300
    assert closes[300] is not None
    assert closes[300][0] == Close.FLOODING


def test_without_a_rate_anything_goes() -> None:
    """For measuring."""
    session = _session()
    assert all(session.receive(_request(), 0.0).call for _ in range(2_000))
    assert session.frame(0.0) is None


def test_refusals_keep_their_code_and_bugs_say_nothing() -> None:
    """What is ours is internal, without a word of the inside."""

    def told(error: BaseException) -> dict[str, Any]:
        return dict(msgspec.json.decode(encode_error("x", error))["error"])

    assert told(NotFound("No such mission."))["code"] == -32004
    assert told(Conflict("It ended.", state="x"))["data"]["details"] == {"state": "x"}
    assert told(RateLimited("Slow.", retry_after_s=2.0))["data"]["details"]["retry_after_s"] == 2.0
    assert told(BadTopic("No."))["data"] == {
        "code": "invalid_params",
        "details": {"field": "topics"},
    }
    internal = encode_error(None, RuntimeError("secret path"))
    assert b"secret" not in internal
    assert msgspec.json.decode(internal)["error"]["code"] == -32603


def test_a_result_is_a_reply() -> None:
    """Under its id."""
    assert msgspec.json.decode(encode_result("a", {"b": 1})) == {
        "jsonrpc": "2.0",
        "id": "a",
        "result": {"b": 1},
    }


def test_every_close_code_has_its_row() -> None:
    """And only codes that a server may send."""
    assert set(POLICIES) == set(Close)
    assert all(1000 <= code < 5000 and code not in {1004, 1005, 1006, 1015} for code in Close)
