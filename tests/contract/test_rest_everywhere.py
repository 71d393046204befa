"""What holds for every endpoint, tried on each row of the table."""

import json
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from server.endpoints import Endpoint
from server.reference.openapi import TEXTS
from server.rest import ENDPOINTS
from tests.contract.rest_app import open_app, problem_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

WITH_BODY = [each for each in ENDPOINTS if each.body is not None]
WITH_ID = [
    each for each in ENDPOINTS if "{" in each.path and (each.body is None or not each.body_required)
]
PATHS = sorted({each.path for each in ENDPOINTS})
UNSAFE = [each for each in ENDPOINTS if each.method not in {"GET", "HEAD"}]


def name_of(endpoint: object) -> str:
    """How a row is called in a test's id."""
    return f"{endpoint.method} {endpoint.path}" if isinstance(endpoint, Endpoint) else str(endpoint)


def path_of(endpoint: Endpoint) -> str:
    """A path of the endpoint, of something that does not exist."""
    return re.sub(r"{\w+}", "m_none", endpoint.path)


async def test_every_answer_has_the_headers(api: httpx2.AsyncClient) -> None:
    """Pages, data and refusals alike."""
    for path in ("/", "/health", "/api/v1/missions", "/nowhere", "/static/nowhere.js"):
        answer = await api.get(path)
        assert answer.headers["x-content-type-options"] == "nosniff", path
        assert answer.headers["referrer-policy"] == "no-referrer", path
        assert "default-src 'none'" in answer.headers["content-security-policy"], path
        assert answer.headers["x-request-id"], path


@pytest.mark.parametrize("given", ["abc-123", "A.b:c_d"])
async def test_a_request_id_comes_back(api: httpx2.AsyncClient, given: str) -> None:
    """The caller's, if it is one."""
    answer = await api.get("/nowhere", headers={"X-Request-ID": given})
    assert problem_of(answer, 404, "not_found")["request_id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", 'a"b', "ä"])
async def test_a_strange_request_id_is_replaced(api: httpx2.AsyncClient, given: str) -> None:
    """It goes into logs and headers, so it is plain or it is ours."""
    answer = await api.get("/health", headers={b"X-Request-ID": given.encode()})
    assert re.fullmatch(r"r_[0-9a-f]{16}", answer.headers["x-request-id"])


@pytest.mark.parametrize("path", PATHS)
async def test_a_wrong_method_is_told_the_right_ones(path: str, api: httpx2.AsyncClient) -> None:
    """405 with Allow."""
    answer = await api.request("TRACE", re.sub(r"{\w+}", "x", path))
    problem_of(answer, 405, "method_not_found")
    methods = {each.method for each in ENDPOINTS if each.path == path}
    assert methods <= set(answer.headers["allow"].split(", "))


@pytest.mark.parametrize("endpoint", WITH_BODY, ids=name_of)
async def test_bodies_are_json_and_bounded(endpoint: Endpoint, api: httpx2.AsyncClient) -> None:
    """415, 400, 413, 422, each with the field it is about."""
    path = path_of(endpoint)
    as_json = {"Content-Type": "application/json"}
    text = await api.request(
        endpoint.method, path, content="{}", headers={"Content-Type": "text/plain"}
    )
    problem_of(text, 415, "unsupported_media_type")
    for broken in (b"{", b'{"a": "\xff"}', b"[" * 5000, b'{"a": NaN}', b"{} {}"):
        answer = await api.request(endpoint.method, path, content=broken, headers=as_json)
        problem_of(answer, 400, "parse_error")
    most = endpoint.upload or 1024 * 1024
    large = await api.request(endpoint.method, path, content=b" " * (most + 1), headers=as_json)
    problem_of(large, 413, "too_large")
    unknown = await api.request(endpoint.method, path, json={"surprise": 1})
    problem = problem_of(unknown, 422, "invalid_params")
    assert {"field": "surprise", "message": "There is no such field."} in problem["errors"]
    for wrong in (b"[]", b'"x"', b"null", b"7"):
        answer = await api.request(endpoint.method, path, content=wrong, headers=as_json)
        problem_of(answer, 422, "invalid_params")


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=name_of)
async def test_unknown_and_double_parameters_are_refused(
    endpoint: Endpoint, api: httpx2.AsyncClient
) -> None:
    """A typo in a query is never ignored."""
    for query, field in (("surprise=1", "surprise"), ("a=1&a=2", "a"), ("a=%00", "a")):
        answer = await api.request(endpoint.method, f"{path_of(endpoint)}?{query}")
        problem = problem_of(answer, 422, "invalid_params")
        missing = [name for name, each in endpoint.query.model_fields.items() if each.is_required()]
        named = [each["field"] for each in problem["errors"]]
        assert [name for name in named if name not in missing] == [field]


@pytest.mark.parametrize("endpoint", WITH_ID, ids=name_of)
async def test_hostile_ids_are_not_found(endpoint: Endpoint, api: httpx2.AsyncClient) -> None:
    """Too long, with a NUL: no such thing, and no error of ours."""
    for hostile in ("x" * 201, "a%00b", "%F0%9F%92%A9", "..%2f..", "'%20OR%201=1--"):
        path = re.sub(r"{\w+}", hostile, endpoint.path)
        problem_of(await api.request(endpoint.method, path), 404, "not_found")


@pytest.mark.parametrize("endpoint", UNSAFE, ids=name_of)
async def test_other_sites_may_change_nothing(endpoint: Endpoint, api: httpx2.AsyncClient) -> None:
    """A foreign Origin on an unsafe method is refused before anything is read."""
    for origin in ("http://evil.example", "null", "http://127.0.0.1:81", "https://127.0.0.1"):
        answer = await api.request(
            endpoint.method, path_of(endpoint), json={}, headers={"Origin": origin}
        )
        problem_of(answer, 403, "forbidden")


async def test_own_origin_may(api: httpx2.AsyncClient) -> None:
    """The pages of the server itself."""
    answer = await api.post("/api/v1/requests", json={}, headers={"Origin": "http://127.0.0.1"})
    problem_of(answer, 422, "invalid_params")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "localhost.evil.example"])
async def test_a_foreign_host_is_refused(api: httpx2.AsyncClient, host: str) -> None:
    """DNS rebinding needs a name, and this one is not ours."""
    problem_of(await api.get("/health", headers={"Host": host}), 400, "invalid_request")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "10.1.2.3", "[::1]:8000"]
)
async def test_loopback_names_and_addresses_are_served(api: httpx2.AsyncClient, host: str) -> None:
    """An address can't be rebound, and probes use them."""
    assert (await api.get("/health", headers={"Host": host})).status_code == 200


async def test_two_hosts_are_none(api: httpx2.AsyncClient) -> None:
    """Which one a proxy looked at is anybody's guess."""
    request = httpx2.Request(
        "GET", "http://127.0.0.1/health", headers=[("Host", "127.0.0.1"), ("Host", "127.0.0.1")]
    )
    problem_of(await api.send(request), 400, "invalid_request")


@pytest.mark.parametrize("query", ["token=x", "a=1&access_token=x", "api_key=x"])
async def test_tokens_do_not_belong_in_urls(api: httpx2.AsyncClient, query: str) -> None:
    """They would end up in logs and histories."""
    problem_of(await api.get(f"/api/v1/missions?{query}"), 400, "invalid_request")


async def test_cors_is_for_those_named(tmp_path: Path) -> None:
    """Off by default; a named origin may read and act, without credentials."""
    ours = {"Origin": "https://app.example"}
    async with open_app(tmp_path / "a") as (_, api):
        answer = await api.get("/health", headers=ours)
        assert "access-control-allow-origin" not in answer.headers
    async with open_app(tmp_path / "b", cors_origins="https://app.example") as (_, api):
        answer = await api.get("/health", headers=ours)
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert "access-control-allow-credentials" not in answer.headers
        assert "Origin" in answer.headers["vary"]
        preflight = await api.options(
            "/api/v1/requests", headers=ours | {"Access-Control-Request-Method": "POST"}
        )
        assert preflight.status_code == 204
        assert "Idempotency-Key" in preflight.headers["access-control-allow-headers"]
        other = await api.get("/health", headers={"Origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers
        refused = await api.post("/api/v1/requests", json={}, headers=ours)
        problem_of(refused, 422, "invalid_params")


async def test_a_name_can_be_allowed(tmp_path: Path) -> None:
    """TOWER_ALLOWED_HOSTS replaces the loopback names."""
    async with open_app(tmp_path / "a", allowed_hosts="tower.example") as (_, api):
        ours = await api.get("/health", headers={"Host": "tower.example"})
        assert ours.status_code == 200
        problem_of(await api.get("/health", headers={"Host": "localhost"}), 400, "invalid_request")


async def test_the_document_describes_every_endpoint(api: httpx2.AsyncClient) -> None:
    """OpenAPI 3.1, each operation once, every reference there, every error said."""
    document = (await api.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    described = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert described == {(each.method, each.path) for each in ENDPOINTS}
    operations = [o for path in document["paths"].values() for o in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    assert all(operation["summary"] for operation in operations)
    text = json.dumps(document)
    wanted = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
    assert wanted <= set(document["components"]["schemas"])
    assert {code for each in ENDPOINTS for code in each.errors} <= set(TEXTS)


def follow(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Resolve a reference."""
    name = schema["$ref"].rpartition("/")[2] if "$ref" in schema else None
    found: dict[str, Any] = document["components"]["schemas"][name] if name else schema
    return found


async def test_bodies_in_the_document_refuse_unknown_fields(api: httpx2.AsyncClient) -> None:
    """As the server does."""
    document = (await api.get("/openapi.json")).json()
    for path in document["paths"].values():
        for operation in path.values():
            if "requestBody" in operation:
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                assert follow(document, schema)["additionalProperties"] is False
