"""The documents: `/asyncapi.json`, and the pages for people."""

import json
import re

import httpx2
import pytest

from events.payloads import EVENT_TYPES
from server.app import Running
from server.errors import CODES
from server.reference.asyncapi import METHODS
from server.wire.close_codes import POLICIES

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_asyncapi_has_every_method_and_every_event(
    api: httpx2.AsyncClient, opened: tuple[Running, httpx2.AsyncClient]
) -> None:
    """From the code's own types; every reference is there."""
    document = (await api.get("/asyncapi.json")).json()
    assert document["asyncapi"].startswith("3.")
    methods = set(opened[0].methods.methods)
    assert methods == set(METHODS)
    messages = document["components"]["messages"]
    assert set(messages) == {
        *methods,
        *(f"{name}.result" for name in methods),
        *(f"event.{name}" for name in EVENT_TYPES),
        "error",
    }
    wanted = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert wanted <= set(document["components"]["schemas"])
    assert all(message["summary"] for message in messages.values())


async def test_events_without_an_offset_have_none(api: httpx2.AsyncClient) -> None:
    """Ephemeral ones, and only these."""
    messages = (await api.get("/asyncapi.json")).json()["components"]["messages"]
    without = {
        name
        for name, message in messages.items()
        if name.startswith("event.")
        and "offset" not in message["payload"]["properties"]["params"]["properties"]
    }
    assert without == {"event.llm.delta", "event.replay.done", "event.tower.draining"}


async def test_the_page_of_the_wire_says_everything(api: httpx2.AsyncClient) -> None:
    """Methods, events, errors and close codes, without a script."""
    answer = await api.get("/docs/ws")
    assert answer.headers["content-type"].startswith("text/html")
    for name in (*METHODS, *EVENT_TYPES, *CODES, *(str(int(code)) for code in POLICIES)):
        assert f"<code>{name}</code>" in answer.text, name
    assert "<script" not in answer.text


async def test_only_docs_may_have_inline_styles(api: httpx2.AsyncClient) -> None:
    """Swagger UI needs them; no other page does."""
    docs = (await api.get("/docs")).headers["content-security-policy"]
    assert "style-src 'self' 'unsafe-inline'" in docs
    assert "script-src 'self';" in docs
    for path in ("/docs/ws", "/", "/static/docs.html"):
        answer = await api.get(path, headers={"Accept": "text/html"})
        assert answer.status_code == 200
        assert "unsafe" not in answer.headers["content-security-policy"], path


async def test_redoc_is_docs(api: httpx2.AsyncClient) -> None:
    """Under the name that others know."""
    answer = await api.get("/redoc")
    assert (answer.status_code, answer.headers["location"]) == (308, "/docs")


@pytest.mark.parametrize(
    "path",
    [
        "/static/../pyproject.toml",
        "/static/%2e%2e/pyproject.toml",
        "/static/..%2fpyproject.toml",
        "/static//etc/passwd",
        "/static/.well-known",
        "/static/vendor/.gitattributes",
        "/static/js",
        "/static/a%00b",
        "/static/" + "a" * 300,
    ],
)
async def test_nothing_but_the_pages_files_is_served(api: httpx2.AsyncClient, path: str) -> None:
    """Neither what is above, nor folders, nor dotfiles."""
    answer = await api.get(path)
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


async def test_files_are_asked_for_again_each_time(api: httpx2.AsyncClient) -> None:
    """A new version shows at once, an old one costs a 304."""
    first = await api.get("/static/js/client.js")
    assert first.status_code == 200
    assert first.headers["cache-control"] == "no-cache"
    assert "javascript" in first.headers["content-type"]
    again = await api.get("/static/js/client.js", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
