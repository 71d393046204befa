"""`/asyncapi.json`, and the tables behind it, against the contract of the wire as it was agreed on.

The tables below are the contract, written down once more: what the code has must be just that.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, cast

import msgspec
import pytest

from events.payloads import EPHEMERAL_TYPES, EVENT_TYPES, TERMINAL_TYPES
from server.errors import CODES, HTTP_ONLY
from server.reference import asyncapi, wire_page
from server.reference.asyncapi import METHODS
from server.services import Services
from server.wire.close_codes import POLICIES, Close, close_reason
from server.wire.rpc import MethodTable

SUBMIT = (
    "agent? profile? session_id? inputs? priority? quota? deadline_s? start_at? on_busy? "
    "idempotency_key? subscribe?"
)
PARAMS = {
    "hello": "token? client? user_id?",
    "ping": "",
    "subscribe": "topics since? epoch? types? deltas? where?",
    "unsubscribe": "topics",
    "mission.submit": f"mission {SUBMIT}",
    "mission.get": "mission_id",
    "mission.explain": "mission_id",
    "mission.list": "session_id? state? user_id? limit? cursor?",
    "mission.cancel": "mission_id reason?",
    "mission.pause": "mission_id reason?",
    "mission.resume": "mission_id reason?",
    "mission.set_priority": "mission_id priority",
    "mission.extend_quota": "mission_id quota",
    "confirm": "confirmation_id approved message? arguments?",
    "clarify": "clarification_id answer",
    "interrupt.answer": "interrupt_id decision quota? result?",
    "interrupt.list": "session_id? mission_id? kind? status? limit? cursor?",
    "message.send": f"message {SUBMIT}",
    "session.create": "user_id? title?",
    "session.get": "session_id",
    "session.list": "user_id? filter? archived? include_deleted? limit? offset?",
    "session.update": "session_id title? archived?",
    "session.delete": "session_id soft?",
    "tower.status": "",
}
RESULTS = {
    "hello": "connection_id, user_id, role, server, version, epoch, offset, heartbeat_s, limits",
    "subscribe": "topics, epoch, offset, recovered, reason?, floor?, snapshot",
    "mission.submit": "mission_id, session_id, state, offset, duplicate",
    "mission.explain": "state, cause, position, waiting_for, eta_s?",
    "mission.list": "missions[], next_cursor",
    "interrupt.list": "interrupts[], next_cursor",
    "message.send": "message_id, session_id, mission_id?, answered?",
    "tower.status": "processes, queues, slots, rates, nodes, clients[]",
}

ENDED = "error? reason? by? unfinished? usage duration_ms"
CLOSED = "interrupt_id kind by approved? arguments? answer? decision?"
QUOTA = "resource used limit"
BREAKER = "tool failures retry_at"
DATA = {
    **dict.fromkeys(("session.created", "session.updated", "session.deleted"), "session"),
    **dict.fromkeys(("message.created", "message.edited", "message.deleted"), "message"),
    "mission.submitted": "mission agent priority quota parent_id start_at deadline_at",
    "mission.queued": "position cause",
    "mission.started": "attempt node",
    "mission.waiting": "cause interrupt_id?",
    "mission.blocked": "cause interrupt_id?",
    "mission.paused": "cause",
    "mission.resumed": "cause interrupt_id?",
    "mission.preempted": "cause",
    "mission.recovered": "attempt replayed_steps",
    "mission.updated": "priority? quota? by",
    "mission.progress": "name",
    "mission.completed": "result usage duration_ms",
    "mission.failed": ENDED,
    "mission.cancelled": ENDED,
    "mission.timed_out": ENDED,
    "mission.quota_exceeded": ENDED,
    "step.started": "step kind name input attempt interrupt_id?",
    "step.completed": "step kind name output usage? duration_ms",
    "step.failed": "step kind name error will_retry",
    "llm.delta": "step attempt at text",
    "replay.done": "topics offset",
    "interrupt.raised": "interrupt_id kind message step tool? arguments? risk? options? expires_at",
    "interrupt.resolved": CLOSED,
    "interrupt.expired": CLOSED,
    "interrupt.cancelled": CLOSED,
    "quota.warned": QUOTA,
    "quota.exceeded": QUOTA,
    "quota.extended": QUOTA,
    "artifact.created": "name media_type size url",
    "breaker.opened": BREAKER,
    "breaker.half_opened": BREAKER,
    "breaker.closed": BREAKER,
    "node.joined": "node",
    "node.left": "node",
    "tower.draining": "node retry_after_ms",
    "event.erased": "",
}
TERMINAL = {
    "mission.completed",
    "mission.failed",
    "mission.cancelled",
    "mission.timed_out",
    "mission.quota_exceeded",
}
EPHEMERAL = {"llm.delta", "replay.done", "tower.draining"}

ERRORS = {
    "parse_error": (-32700, {400}),
    "invalid_request": (-32600, {400}),
    "method_not_found": (-32601, {404, 405}),
    "invalid_params": (-32602, {422}),
    "internal": (-32603, {500}),
    "unauthenticated": (-32001, {401}),
    "forbidden": (-32003, {403}),
    "not_found": (-32004, {404}),
    "conflict": (-32009, {409}),
    "expired": (-32010, {410}),
    "busy": (-32011, {409}),
    "quota_exceeded": (-32028, {429}),
    "rate_limited": (-32029, {429}),
    "unavailable": (-32050, {503}),
}
CLOSES = {1000, 1001, 1002, 1003, 1007, 1009, 1011, 1012, 4400, 4401, 4408, 4413, 4429}

METHOD_TABLE = MethodTable(
    cast("Services", type("NoServices", (), {"tower": 0, "sessions": 0, "eraser": 0}))
)
DOCUMENT = asyncapi.document(METHOD_TABLE.methods, "1.2.3")
MESSAGES = DOCUMENT["components"]["messages"]


def fields(kind: type[msgspec.Struct]) -> set[str]:
    """Return a Struct's fields; those that may be absent have a question mark."""
    return {
        field.encode_name + ("" if field.required else "?")
        for field in msgspec.structs.fields(kind)
    }


@pytest.mark.parametrize("name", PARAMS)
def test_a_method_takes_what_was_agreed_on(name: str) -> None:
    """Each parameter, no other, and the same ones required."""
    assert fields(METHOD_TABLE.methods[name].params) == set(PARAMS[name].split())


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_is_described_as_was_agreed_on(name: str) -> None:
    """In the words of the contract."""
    assert METHODS[name].returns == RESULTS[name]
    assert RESULTS[name] in MESSAGES[name]["description"]


@pytest.mark.parametrize("name", DATA)
def test_an_event_has_what_was_agreed_on(name: str) -> None:
    """What must be there always is; more may be, as clients ignore what they don't know."""
    agreed = set(DATA[name].split())
    has = fields(EVENT_TYPES[name])
    assert agreed <= has
    # What the code adds to the contract is there for good only where it is known of each event.
    assert {each for each in has - agreed if not each.endswith("?")} <= {"inputs"}


def test_the_lists_are_those_that_were_agreed_on() -> None:
    """No method, event, error or close code more, and none less."""
    assert set(METHOD_TABLE.methods) == set(PARAMS)
    assert set(EVENT_TYPES) == set(DATA)
    assert set(TERMINAL_TYPES) == TERMINAL
    assert set(EPHEMERAL_TYPES) == EPHEMERAL
    assert set(CODES) - HTTP_ONLY == set(ERRORS)
    assert {int(code) for code in POLICIES} == CLOSES


@pytest.mark.parametrize("code", ERRORS)
def test_an_error_has_its_numbers(code: str) -> None:
    """On both wires."""
    number, statuses = ERRORS[code]
    assert CODES[code].rpc == number
    assert CODES[code].http.value in statuses


def references(value: Any) -> Iterator[str]:
    """Yield every reference of a document."""
    match value:
        case dict():
            for name, inner in value.items():
                if name == "$ref":
                    yield inner
                else:
                    yield from references(inner)
        case list():
            for inner in value:
                yield from references(inner)


def resolved(reference: str) -> Any:
    """Return what a reference refers to."""
    found: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found


def test_every_reference_is_there() -> None:
    """All of them are within the document."""
    found = set(references(DOCUMENT))
    assert found
    for reference in found:
        assert reference.startswith("#/")
        assert isinstance(resolved(reference), dict)


def test_the_main_rules_of_asyncapi_3_hold() -> None:
    """Versions, names, and that operations use the messages of their channel.

    The whole schema of the specification is 300 KiB; these are the rules that we could break.
    """
    assert re.fullmatch(r"3\.\d+\.\d+", DOCUMENT["asyncapi"])
    assert {"title", "version"} <= set(DOCUMENT["info"])
    known = {"asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations",
             "components"}  # fmt: skip
    assert set(DOCUMENT) <= known
    name_of = re.compile(r"[\w.\-]+")
    for kind in DOCUMENT["components"].values():
        assert all(name_of.fullmatch(name) for name in kind)
    in_channel = {
        f"#/channels/ws/messages/{name}" for name in DOCUMENT["channels"]["ws"]["messages"]
    }
    for name, operation in DOCUMENT["operations"].items():
        assert name_of.fullmatch(name)
        assert operation["action"] in {"send", "receive"}
        assert operation["channel"] == {"$ref": "#/channels/ws"}
        used = [*operation["messages"], *operation.get("reply", {}).get("messages", [])]
        assert {each["$ref"] for each in used} <= in_channel
        assert all(set(each) == {"$ref"} for each in used)


def test_the_document_names_everything() -> None:
    """Methods with their replies, events, errors and close codes."""
    operations = DOCUMENT["operations"]
    assert set(operations) == {*PARAMS, "event"}
    for name in PARAMS:
        replies = [
            each["$ref"].rpartition("/")[2] for each in operations[name]["reply"]["messages"]
        ]
        assert replies == [f"{name}.result", "error"]
        assert MESSAGES[name]["payload"]["properties"]["method"] == {"const": name}
    told = [each["$ref"].rpartition("/")[2] for each in operations["event"]["messages"]]
    assert told == [f"event.{name}" for name in EVENT_TYPES]
    assert MESSAGES["error"]["x-codes"] == {code: number for code, (number, _) in ERRORS.items()}
    closes = {row["code"]: row for row in DOCUMENT["channels"]["ws"]["x-close-codes"]}
    assert set(closes) == CLOSES
    assert all(row["meaning"] and row["how"] for row in closes.values())
    json.dumps(DOCUMENT)


def test_the_page_says_as_much() -> None:
    """Without a script."""
    page = wire_page.page(METHOD_TABLE.methods)
    for name in (*PARAMS, *DATA, *ERRORS, *map(str, CLOSES)):
        assert f"<code>{name}</code>" in page, name
    assert "<script" not in page


@pytest.mark.parametrize("code", Close)
def test_a_close_reason_fits_and_hints(code: Close) -> None:
    """Whoever is to wait before coming back is told how long, in a frame of 125 bytes."""
    row = POLICIES[code]
    reason = close_reason(code, "some words that say what went wrong here")
    assert len(reason.encode()) <= 123
    hinted = json.loads(reason)["retry_after_ms"] if reason.startswith("{") else 0
    assert hinted == row.least_wait_s * 1000
    assert json.loads(close_reason(code, "", 1_500)) == {"retry_after_ms": 1_500}
