"""The live table of `tower top`, without a terminal."""

import asyncio
import contextlib
from typing import Any, cast

import pytest

from server.client import Client, ClientError
from server.commands import top
from server.commands.top import Screen


class Server:
    """Answers with what it is given, one answer a question; then as one without missions."""

    def __init__(self, *failures: str) -> None:
        self.hello = {"role": "user", "user_id": "ada"}
        self.failures = list(failures)
        self.asked = 0

    async def missions(self, **_: Any) -> list[Any]:
        """Fail as told, then say that there are none."""
        self.asked += 1
        if self.failures:
            raise ClientError(self.failures.pop(0), "away")
        return []


async def refreshed(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """Refresh for some turns of the loop, without waiting between."""
    monkeypatch.setattr(top, "REFRESH_S", 0.0)
    monkeypatch.setattr(top, "STALE_S", 0.0)
    screen = Screen("here")
    screen._tower = cast("Client", server)
    task = asyncio.create_task(screen._refresh())
    for _ in range(200):
        await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert not screen._seen.said


async def test_the_table_outlives_a_server_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long: a call that waited its minute is made again."""
    server = Server("timeout", "disconnected", "unavailable")
    await refreshed(monkeypatch, server)
    assert server.asked > 3


async def test_the_table_ends_where_nothing_more_can_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signed out, it says so and leaves."""
    with pytest.raises(ClientError, match="away"):
        await refreshed(monkeypatch, Server("unauthenticated"))
