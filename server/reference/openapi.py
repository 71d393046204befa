"""The OpenAPI 3.1 document, made from the table of endpoints."""

import inspect
import re
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Literal, TypeAlias

from pydantic import TypeAdapter

from server.endpoints import Endpoint
from server.errors import CODES
from server.rest.shapes import NO_NUL, Reply

Mode: TypeAlias = Literal["validation", "serialization"]
Schema: TypeAlias = dict[str, Any]
Schemas: TypeAlias = dict[tuple[str, Mode], Schema]
"""By the type's repr, which hashes where the type itself may not."""

REF = "#/components/schemas/{model}"
PROBLEM = "application/problem+json"
EVERYWHERE = ("invalid_request", "internal", "unavailable")

_PARAMETER = re.compile(r"{(\w+)}")

HEADERS: dict[str, Schema] = {
    "Idempotency-Key": {"type": "string", "minLength": 1, "maxLength": 200},
    "Last-Event-ID": {"type": "string", "pattern": "^[0-9]{0,18}$"},
}
"""What each header of a request looks like."""

JSON: Schema = {
    "description": "Any JSON value without NUL characters; at most 64 levels, integers of 64 bits.",
    "anyOf": [
        {"type": ["null", "boolean", "number"]},
        {"type": "string", "pattern": NO_NUL},
        {"type": "array", "items": {"$ref": REF.format(model="Json")}},
        {
            "type": "object",
            "propertyNames": {"pattern": NO_NUL},
            "additionalProperties": {"$ref": REF.format(model="Json")},
        },
    ],
}
"""What callers may put into free-form fields."""

TEXTS = {
    "parse_error": "Not JSON.",
    "invalid_request": "Malformed.",
    "invalid_params": "A field does not fit; `errors` names each.",
    "internal": "A bug of the server; it has been logged.",
    "unauthenticated": "Credentials are missing or bad.",
    "forbidden": "The caller's role may not do this.",
    "not_found": "It does not exist, or is not the caller's.",
    "conflict": "Its state, or an earlier answer, excludes this.",
    "expired": "The time to answer is over.",
    "busy": "The session is busy.",
    "quota_exceeded": "The user's account has no room; see Retry-After.",
    "rate_limited": "Too many requests; see Retry-After.",
    "unavailable": "The store did not take it; see Retry-After.",
    "too_large": "The body is too large.",
    "unsupported_media_type": "The body is not JSON.",
}
"""What each code means to a reader of the document."""

REQUEST_ID = "The request's id, as in the log: the caller's own if it sent one."

SERVER_SENT_EVENT: Schema = {
    "type": "object",
    "description": "One event of the stream; between them come comments, at least each 15 s.",
    "properties": {
        "event": {"type": "string", "description": "its type"},
        "id": {"type": "string", "description": "its offset; an ephemeral one has none"},
        "data": {"type": "string", "description": "the event in JSON, as on `/ws`"},
    },
    "required": ["event", "data"],
}
"""What a stream is made of, one by one."""


class FieldProblem(Reply):
    """One field that does not fit."""

    field: str
    message: str


class Problem(Reply):
    """Why a request was refused (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldProblem] | None = None
    retry_after_s: float | None = None
    outcome: Literal["rejected", "unknown"] | None = None


def document(endpoints: Iterable[Endpoint], version: str) -> Schema:
    """Return the whole document."""
    table = list(endpoints)
    schemas, definitions = _schemas(table)
    paths: dict[str, Schema] = {}
    for endpoint in table:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Control Tower",
            "version": version,
            "description": "Missions of agents over HTTP. Live events: `/ws`, `/asyncapi.json`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": definitions,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas(table: list[Endpoint]) -> tuple[Schemas, Schema]:
    wanted: dict[tuple[str, Mode], TypeAdapter[Any]] = {}
    for endpoint in table:
        for kind, mode in _types(endpoint):
            wanted.setdefault((repr(kind), mode), TypeAdapter(kind))
    inputs = [(key, key[1], adapter) for key, adapter in wanted.items()]
    by_key, rest = TypeAdapter.json_schemas(inputs, ref_template=REF, by_alias=True)
    schemas: Schemas = {key: schema for (key, _), schema in by_key.items()}
    definitions: Schema = {"Json": JSON} | rest.get("$defs", {})
    taken = _reached(
        [one for (_, mode), one in schemas.items() if mode == "validation"], definitions
    )
    for schema in taken:
        _refuse_nul(schema)
        if schema.pop("x-json", False):
            schema["$ref"] = REF.format(model="Json")
    return schemas, definitions


def _reached(schemas: list[Schema], definitions: Schema) -> list[Schema]:
    """Return what the schemas consist of, with the definitions that they reach, each once."""
    found: dict[int, Schema] = {}
    left: list[Any] = list(schemas)
    while left:
        one = left.pop()
        if isinstance(one, list):
            left += one
        elif isinstance(one, dict) and id(one) not in found:
            found[id(one)] = one
            left += one.values()
            if isinstance(one.get("$ref"), str):
                left.append(definitions[one["$ref"].rpartition("/")[2]])
    return list(found.values())


def _refuse_nul(schema: Schema) -> None:
    if schema.get("type") == "string" and not {"enum", "const", "format", "pattern"} & set(schema):
        schema["pattern"] = NO_NUL


def _types(endpoint: Endpoint) -> list[tuple[Any, Mode]]:
    found: list[tuple[Any, Mode]] = [(Problem, "serialization")]
    if endpoint.body is not None:
        found.append((endpoint.body, "validation"))
    if endpoint.reply is not None:
        found.append((endpoint.reply, "serialization"))
    return found


def _operation(endpoint: Endpoint, schemas: Schemas) -> Schema:
    summary, _, description = inspect.cleandoc(endpoint.call.__doc__ or "").partition("\n\n")
    operation: Schema = {
        "operationId": _operation_id(endpoint),
        "summary": summary.rstrip(".").replace("``", ""),  # shown as it is, not as Markdown
        "tags": [endpoint.tag],
        "parameters": [*_path_parameters(endpoint), *_query_parameters(endpoint)],
        "responses": _responses(endpoint, schemas),
    }
    operation["parameters"] += [
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": text,
            "schema": HEADERS[name],
        }
        for name, text in endpoint.headers.items()
    ]
    if description:
        operation["description"] = description
    if endpoint.body is not None:
        operation["requestBody"] = {
            "required": endpoint.body_required,
            "content": {"application/json": {"schema": schemas[repr(endpoint.body), "validation"]}},
        }
    if endpoint.public:
        operation["security"] = []
    return operation


def _operation_id(endpoint: Endpoint) -> str:
    words = re.findall(r"\w+", endpoint.path)
    return "_".join([endpoint.method.lower(), *words])


def _path_parameters(endpoint: Endpoint) -> list[Schema]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1, "maxLength": 200},
        }
        for name in _PARAMETER.findall(endpoint.path)
    ]


def _query_parameters(endpoint: Endpoint) -> list[Schema]:
    schema = _inlined_query(endpoint.query)
    required = schema.get("required", [])
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "schema": {k: v for k, v in field.items() if k not in {"title", "description"}},
        }
        | ({"description": field["description"]} if "description" in field else {})
        for name, field in schema.get("properties", {}).items()
    ]


@lru_cache
def _inlined_query(query: type[Any]) -> Schema:
    schema: Schema = TypeAdapter(query).json_schema(ref_template=REF)
    for one in _reached([schema], {}):
        _refuse_nul(one)
    return schema


def _responses(endpoint: Endpoint, schemas: Schemas) -> Schema:
    good: Schema = {"description": HTTPStatus(endpoint.status).phrase, "content": {}}
    if endpoint.reply is not None:
        schema = schemas[repr(endpoint.reply), "serialization"]
        good["content"] = {endpoint.media: {"schema": schema}}
    if endpoint.streams:
        good["content"]["text/event-stream"] = {"schema": SERVER_SENT_EVENT}
    if endpoint.page is not None:
        good["content"]["text/html"] = {"schema": {"type": "string"}}
    good["headers"] = {name: _header(text) for name, text in endpoint.gives.items()}
    responses: Schema = {str(endpoint.status): good}
    for status, text in endpoint.also.items():
        responses[str(status)] = good | {"description": text}
    for refused, codes in _errors(endpoint).items():
        told = responses.get(refused, {"description": "", "content": {}})
        responses[refused] = {
            "description": " ".join(
                [told["description"], *(f"`{code}`: {TEXTS[code]}" for code in codes)]
            ).strip(),
            "headers": {name: _header(text) for name, text in _told_with(refused).items()},
            "content": told.get("content", {})
            | {PROBLEM: {"schema": schemas[repr(Problem), "serialization"]}},
        }
    for response in responses.values():
        response["headers"] = {"X-Request-ID": _header(REQUEST_ID)} | response["headers"]
    return responses


def _told_with(status: str) -> dict[str, str]:
    """Return the headers that come with a refusal."""
    match status:
        case "401":
            return {"WWW-Authenticate": "Bearer."}
        case "429" | "503" | "507":
            return {"Retry-After": "Seconds after which to try again."}
        case _:
            return {}


def _header(text: str) -> Schema:
    return {"description": text, "schema": {"type": "string"}}


def _errors(endpoint: Endpoint) -> dict[str, list[str]]:
    codes = [*EVERYWHERE, *endpoint.errors]
    if not endpoint.public:
        codes.append("unauthenticated")
    if endpoint.method != "GET":
        # A foreign Origin, or a viewer.
        codes.append("forbidden")
    if endpoint.body is not None:
        codes += ["parse_error", "too_large", "unsupported_media_type"]
    codes += ["invalid_params"]
    by_status: dict[str, list[str]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(str(CODES[code].http.value), []).append(code)
    if endpoint.method != "GET":
        by_status["507"] = ["unavailable"]
    return dict(sorted(by_status.items()))
