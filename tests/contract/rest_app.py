"""The whole application in the test's own loop: real store, kernel and agents, no socket."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2

from server.app import Running, create_app, running
from server.settings import load

ORIGIN = "http://127.0.0.1"


def _must_not_fail(error: BaseException) -> None:
    raise AssertionError("the store failed") from error


@contextlib.asynccontextmanager
async def open_app(
    data_dir: Path, **settings: Any
) -> AsyncIterator[tuple[Running, httpx2.AsyncClient]]:
    """Run a tower over ``data_dir``; yield it and a client of its HTTP."""
    found = load({"data_dir": data_dir, **settings}).settings
    async with running(found, url=ORIGIN, on_fatal=_must_not_fail) as tower:
        transport = httpx2.ASGITransport(app=create_app(tower))
        async with httpx2.AsyncClient(transport=transport, base_url=ORIGIN, timeout=30) as client:
            yield tower, client


def problem_of(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """Check that an answer is a problem of this kind, whole; return it."""
    assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["request_id"] == answer.headers["x-request-id"]
    assert {"type", "title", "detail"} <= set(body)
    return body
