"""`tower keys` against a server and without one, and what a key opens until it is revoked."""

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import structlog
from typer.testing import CliRunner

from server.commands.tower import app
from tests.integration.conftest import MakeTower
from tests.integration.test_sign_in import closed_with
from tests.integration.tower_process import Refused, eventually, wire

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """A command may configure the logs of its process, which here is the tests'."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


async def tower(folder: Path, *arguments: str) -> str:
    """Run `tower keys …` to its end, with a loop of its own; return what it printed."""
    done = await asyncio.to_thread(
        CliRunner().invoke,
        app,
        ["keys", *arguments, "--data-dir", str(folder)],
        env={"TOWER_AUTH": "keys"},
    )
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


async def listed(folder: Path) -> dict[str, dict[str, Any]]:
    """The keys by their names."""
    return {key["name"]: key for key in json.loads(await tower(folder, "list", "--json"))}


async def test_a_key_from_before_the_start_to_its_end(
    make_tower: MakeTower, tmp_path: Path
) -> None:
    """Made without a server, used on every door, revoked with one; the log never has it."""
    folder = tmp_path / "data"
    key = await tower(folder, "create", "--user", "ada", "--name", "bot")
    viewer = await tower(folder, "create", "--user", "vic", "--role", "viewer", "--name", "screen")
    process = make_tower(TOWER_AUTH="keys", TOWER_LOG_LEVEL="debug")
    later = await tower(folder, "create", "--user", "eve", "--name", "later", "--days", "1")
    bearer = {"Authorization": f"Bearer {key}"}
    async with (
        httpx2.AsyncClient(base_url=process.url, headers=bearer, timeout=20) as http,
        wire(process.ws_url, **bearer) as ws,
    ):
        me = await ws.call("hello")
        assert (me["user_id"], me["role"]) == ("ada", "user")
        assert (await http.get("/api/v1/keys")).status_code == 403
        ticket = (await http.post("/api/v1/ws-tickets")).json()["ticket"]
        async with (
            wire(f"{process.ws_url}?ticket={ticket}") as by_ticket,
            wire(process.ws_url) as by_hello,
        ):
            assert (await by_ticket.call("hello"))["user_id"] == "ada"
            assert (await by_hello.call("hello", token=key))["user_id"] == "ada"
            assert (await listed(folder))["bot"]["last_used_at"] is not None
            async with http.stream(
                "GET", "/api/v1/events?topic=user:ada", headers={"Accept": "text/event-stream"}
            ) as stream:
                await tower(folder, "revoke", (await listed(folder))["bot"]["key_id"])
                assert (await http.get("/api/v1/sessions")).status_code == 401
                for one in (ws, by_ticket, by_hello):
                    assert await closed_with(one) == 4401
                [text async for text in stream.aiter_text()]  # it ends
    async with wire(process.ws_url, Authorization=f"Bearer {viewer}") as ws:
        await ws.call("subscribe", topics=["system"])
        with pytest.raises(Refused) as refused:
            await ws.call("session.create")
        assert refused.value.code == "forbidden"
    keys = await listed(folder)
    assert keys["bot"]["revoked_at"] is not None
    assert keys["later"]["expires_at"] is not None
    await eventually(lambda: "key.revoked" in process.log.read_text())
    everything = process.log.read_text() + json.dumps(keys)
    assert not [secret for secret in (key, viewer, later) if secret in everything]
