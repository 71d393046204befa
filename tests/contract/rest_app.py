"""The whole application in the test's own loop: real store, kernel and agents, no socket."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx2

from server.app import Running, running
from server.asgi import create_app
from server.role import Role
from server.settings import load
from tests.rig import cluster

ORIGIN = "http://127.0.0.1"


def _must_not_fail(error: BaseException) -> None:
    raise AssertionError("the store failed") from error


@contextlib.asynccontextmanager
async def open_app(
    data_dir: Path, **settings: Any
) -> AsyncIterator[tuple[Running, httpx2.AsyncClient]]:
    """Run a tower over ``data_dir``; yield it and a client of its HTTP.

    Where tests are to run over a cluster, it is a node that runs no missions, beside a worker.
    """
    async with contextlib.AsyncExitStack() as stack:
        role = Role.ALL
        if cluster.wanted() and "database_url" not in settings:
            settings |= cluster.settings_of(data_dir)
            role = Role.WEB
            own = {**settings, "data_dir": data_dir / "worker"}
            await stack.enter_async_context(_running(own, Role.WORKER))
        tower = await stack.enter_async_context(_running({"data_dir": data_dir, **settings}, role))
        transport = httpx2.ASGITransport(app=create_app(tower))
        client = httpx2.AsyncClient(transport=transport, base_url=ORIGIN, timeout=30)
        yield tower, await stack.enter_async_context(client)


def _running(settings: dict[str, Any], role: Role) -> AbstractAsyncContextManager[Running]:
    return running(load(settings).settings, url=ORIGIN, on_fatal=_must_not_fail, role=role)


def problem_of(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """Check that an answer is a problem of this kind, whole; return it."""
    assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["request_id"] == answer.headers["x-request-id"]
    assert {"type", "title", "detail"} <= set(body)
    return body
