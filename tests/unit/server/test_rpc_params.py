"""The parameters of `/ws`: every one bounded, none unknown, nothing hostile gets through."""

from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect as shape

from control_tower.commands import Submission
from server.rest.shapes import body_sha256
from server.services import Services
from server.wire import rpc_params
from server.wire.rpc import MethodTable
from server.wire.rpc_session import RpcSession

WIRE = {
    "hello", "ping", "subscribe", "unsubscribe", "mission.submit", "mission.get",
    "mission.explain", "mission.list", "mission.cancel", "mission.pause", "mission.resume",
    "mission.set_priority", "mission.extend_quota", "confirm", "clarify", "interrupt.answer",
    "interrupt.list", "message.send", "session.create", "session.get", "session.list",
    "session.update", "session.delete", "tower.status",
}  # fmt: skip
"""The methods of wire.md."""


class NoServices:
    """Services that nobody may use: building the table needs none of them."""

    tower = sessions = eraser = None


METHODS = MethodTable(cast("Services", NoServices())).methods


def unbounded(kind: shape.Type, where: str = "$") -> list[str]:
    """Every place of a type where a value could be of any size."""
    match kind:
        case shape.StrType(max_length=None) | shape.ListType(max_length=None):
            return [where]
        case shape.IntType(ge=None, gt=None) | shape.IntType(le=None, lt=None):
            return [where]
        case shape.FloatType(ge=None, gt=None) | shape.FloatType(le=None, lt=None):
            return [where]
        case shape.ListType():
            return unbounded(kind.item_type, f"{where}[]")
        case shape.UnionType():
            return [found for each in kind.types for found in unbounded(each, where)]
        case shape.StructType():
            assert kind.forbid_unknown_fields, f"{where} takes unknown fields"
            return [
                found
                for field in kind.fields
                for found in unbounded(field.type, f"{where}.{field.encode_name}")
            ]
        case shape.CustomType() | shape.AnyType() | shape.DictType():
            return []
        case _:
            return []


def test_every_method_of_the_wire_is_there() -> None:
    """And no other."""
    assert set(METHODS) == WIRE


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_parameter_is_bounded(name: str) -> None:
    """Texts, numbers and lists; free-form JSON is bounded by the frame and by check_free."""
    assert unbounded(shape.type_info(METHODS[name].params)) == []


@pytest.mark.parametrize("name", sorted(METHODS))
def test_an_unknown_parameter_is_refused(name: str) -> None:
    """A typo is never ignored."""
    with pytest.raises(msgspec.ValidationError):
        METHODS[name].decoder.decode(b'{"surprise": 1}')


@pytest.mark.parametrize(
    ("method", "params", "field", "message"),
    [
        ("mission.submit", {}, "mission", "mission: is required."),
        (
            "mission.submit",
            {"mission": ""},
            "mission",
            "mission: must have at least 1 character.",
        ),
        (
            "mission.submit",
            {"mission": "x" * 10_001},
            "mission",
            "mission: must have at most 10000 characters.",
        ),
        ("mission.submit", {"mission": 7}, "mission", "mission: must be a text, not an integer."),
        (
            "mission.submit",
            {"mission": "x", "quota": {"foo": 1}},
            "quota.foo",
            "quota.foo: there is no such field.",
        ),
        (
            "mission.submit",
            {"mission": "x", "quota": {"max_llm_calls": "3"}},
            "quota.max_llm_calls",
            "quota.max_llm_calls: must be an integer or null, not a text.",
        ),
        (
            "mission.submit",
            {"mission": "x", "deadline_s": -1},
            "deadline_s",
            "deadline_s: must be more than 0.",
        ),
        ("mission.list", {"limit": 501}, "limit", "limit: must be at most 500."),
        (
            "interrupt.answer",
            {"interrupt_id": "i", "decision": "approve"},
            "decision",
            "decision: must be one of cancel, extend, fail, finish, it_happened, retry.",
        ),
        (
            "subscribe",
            {"topics": ["system"], "where": {"priority": "urgent"}},
            "where.priority",
            "where.priority: must be one of realtime, high, normal, low, idle.",
        ),
        (
            "subscribe",
            {"topics": ["system"], "since": "abc"},
            "since",
            "since: must be one of an integer, now, start.",
        ),
        ("subscribe", {"topics": []}, "topics", "topics: must have at least 1 item."),
        ("subscribe", {"topics": [""]}, "topics[0]", "topics[0]: must have at least 1 character."),
        ("ping", [], None, "The parameters must be an object, not a list."),
    ],
)
def test_a_refusal_says_what_would_fit(
    method: str, params: object, field: str | None, message: str
) -> None:
    """In words, by the whole path of the field, with the values that there are."""
    text = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    session = RpcSession(MethodTable(cast("Services", NoServices())), 0, admitted=True, rate=None)
    reply = session.receive(text.decode(), 0.0).reply
    assert reply is not None
    error = msgspec.json.decode(reply)["error"]
    assert (error["message"], error["data"]["details"].get("field")) == (message, field)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(data=st.data(), name=st.sampled_from(sorted(METHODS)))
def test_whatever_is_sent_is_params_or_a_validation_error(data: st.DataObject, name: str) -> None:
    """With the right names and wrong values, nothing else is ever raised."""
    method = METHODS[name]
    fields = list(method.params.__struct_fields__)
    sent = data.draw(st.dictionaries(st.sampled_from(fields), JSON, max_size=5) if fields else JSON)
    try:
        decoded = method.decoder.decode(msgspec.json.encode(sent))
    except msgspec.ValidationError:
        return
    assert isinstance(decoded, method.params)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("mission.submit", {"mission": ""}),
        ("mission.submit", {"mission": "x" * 10_001}),
        ("mission.submit", {"mission": "x", "priority": "urgent"}),
        ("mission.submit", {"mission": "x", "quota": {"max_llm_calls": -1}}),
        ("mission.submit", {"mission": "x", "quota": {"max_llm_calls": 10**30}}),
        ("mission.submit", {"mission": "x", "deadline_s": 0}),
        ("mission.submit", {"mission": "x", "on_busy": "wait"}),
        ("mission.submit", {"mission": "x", "inputs": []}),
        ("mission.submit", {"mission": "x", "idempotency_key": "k" * 201}),
        ("subscribe", {"topics": []}),
        ("subscribe", {"topics": ["system"] * 101}),
        ("subscribe", {"topics": ["system"], "since": -1}),
        ("subscribe", {"topics": ["system"], "since": 10**30}),
        ("subscribe", {"topics": ["system"], "since": "yesterday"}),
        ("subscribe", {"topics": ["system"], "where": {"color": "red"}}),
        ("confirm", {"confirmation_id": "i", "approved": "yes"}),
        ("confirm", {"confirmation_id": "i", "approved": 1}),
        ("confirm", {"confirmation_id": "i"}),
        ("clarify", {"clarification_id": "i", "answer": ""}),
        ("interrupt.answer", {"interrupt_id": "i", "decision": "approve"}),
        ("mission.list", {"limit": 0}),
        ("mission.list", {"state": "done"}),
        ("session.list", {"limit": 201}),
        ("session.update", {"session_id": "s", "title": "x" * 501}),
    ],
)
def test_what_does_not_fit_is_refused(method: str, params: dict[str, Any]) -> None:
    """Only an explicit boolean approves; bounds are the contract's."""
    with pytest.raises(msgspec.ValidationError):
        METHODS[method].decoder.decode(msgspec.json.encode(params))


def test_a_submission_reaches_the_kernel_whole() -> None:
    """What both wires take is what the kernel gets."""
    sent = {
        "mission": "x",
        "agent": "demo",
        "inputs": {"a": 1},
        "priority": "high",
        "quota": {"max_llm_calls": 3},
        "on_busy": "parallel",
        "idempotency_key": "k",
    }
    submit = METHODS["mission.submit"].decoder.decode(
        msgspec.json.encode(sent | {"subscribe": False})
    )
    message = {("message" if name == "mission" else name): each for name, each in sent.items()}
    send = METHODS["message.send"].decoder.decode(msgspec.json.encode(message))
    expected = msgspec.convert(sent, Submission)
    assert submit.submission() == send.submission() == expected
    assert submit.subscribe is False


def test_the_hash_leaves_the_key_out_and_nothing_else() -> None:
    """The same key with any other field different is a conflict."""
    base = Submission(mission="x", idempotency_key="k")
    same = Submission(mission="x", idempotency_key="other")
    other = Submission(mission="x", inputs={"a": 1}, idempotency_key="k")
    assert body_sha256("mission", base) == body_sha256("mission", same)
    assert body_sha256("mission", base) != body_sha256("mission", other)
    assert body_sha256("mission", base) != body_sha256("message", base)


def test_where_gives_only_what_was_asked() -> None:
    """Absent conditions are no conditions."""
    where = rpc_params.Where(agent="demo")
    assert where.given() == {"agent": "demo"}
