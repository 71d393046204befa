"""Starts over a database that goes away in the middle of them: the server waits, then serves."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from control_tower import patience
from control_tower.commands import Submission
from control_tower.store import post, postgres_store, readers
from control_tower.unit import StoreFailed
from server import upkeep
from server.access.auth import LOCAL
from server.app import running
from server.settings import load
from tests.rig.forwarder import Forwarder, Streams
from tests.rig.postgres import emptied_database

AWAY_S = 0.6
NO_REDIS = "redis://127.0.0.1:1"
"""A start does not wait for Redis."""

pytestmark = pytest.mark.alone("both ways of sharing a database are started here")


class Line(Forwarder):
    """The way to a PostgreSQL server. Once so many bytes have come over it, it is away.

    Every connection is lost then, the last one in the middle of an answer, and none is made for
    :data:`AWAY_S`.

    Attributes:
        carried: bytes that the server has sent so far.
        cut: whether it was away.
    """

    def __init__(self, database: str, cut_after: int | None = None) -> None:
        super().__init__()
        self._to = conninfo_to_dict(database)
        self._left = cut_after
        self._away = False
        self.carried = 0
        self.cut = False

    @property
    def url(self) -> str:
        """Where the database is, over this line."""
        user = self._to["user"]
        secret = f":{self._to['password']}" if "password" in self._to else ""
        return f"postgresql://{user}{secret}@127.0.0.1:{self.port}/{self._to['dbname']}"

    async def _dial(self) -> Streams:
        if self._away:
            raise ConnectionRefusedError
        host, port = str(self._to.get("host", "127.0.0.1")), self._to.get("port", 5432)
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)

    def _ways(self, near: Streams, far: Streams) -> tuple[Coroutine[None, None, None], ...]:
        (reader, writer), (far_reader, far_writer) = near, far
        return self._up(reader, far_writer), self._down(far_reader, writer)

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while heard := await reader.read(65_536):
            writer.write(heard)
        raise ConnectionResetError

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while heard := await reader.read(65_536):
            self.carried += len(heard)
            if self._left is not None and self.carried > self._left:
                writer.write(heard[: self._left - self.carried])
                await writer.drain()
                self._go_away()
                break
            writer.write(heard)
        raise ConnectionResetError

    def _go_away(self) -> None:
        self._left, self._away, self.cut = None, True, True
        asyncio.get_running_loop().call_later(AWAY_S, self._come_back)
        self.lose_all()

    def _come_back(self) -> None:
        self._away = False


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read gives up while the database is still away, and everything is tried again soon."""
    monkeypatch.setattr(readers, "PATIENCE_S", AWAY_S / 4)
    for module, name in ((patience, "RETRY_S"), (post, "RETRY_S"), (upkeep, "RETRY_S")):
        monkeypatch.setattr(module, name, 0.1)
    monkeypatch.setattr(postgres_store, "TRY_S", 0.1)


def _must_not_fail(error: BaseException) -> None:
    raise AssertionError("the store failed") from error


async def start(line: Line, data_dir: Path, shared: bool) -> int:
    """Start, run a mission, and end; return how many bytes came before it served."""
    given: dict[str, Any] = {"database_url": line.url, "data_dir": data_dir}
    if shared:
        given["redis_url"] = NO_REDIS
    async with running(
        load(given).settings,
        url="http://127.0.0.1",
        on_fatal=_must_not_fail,
        standing_by=lambda _: None,
    ) as tower:
        carried = line.carried
        submission, commands = Submission(mission="calculate 1 + 1"), tower.services.tower
        # As any client does who is told that the store can't take this now.
        reply = await patience.patiently(lambda: commands.submit(LOCAL, submission, body_sha256=""))
        ended = await commands.settled(reply["mission_id"], 30.0)
        assert ended["outcome"] == "completed"
    return carried


@pytest.mark.slow
@pytest.mark.parametrize("shared", [False, True])
async def test_a_database_that_goes_away_is_waited_for(
    postgres: str, tmp_path: Path, shared: bool
) -> None:
    """Wherever the start is by then: no step of it fails, and the server that comes up works."""
    async with Line(emptied_database(postgres)) as line:
        whole = await start(line, tmp_path / "unharmed", shared)
    for part in (0.1, 0.3, 0.5, 0.65, 0.75, 0.8, 0.85, 0.9, 0.95):
        async with Line(emptied_database(postgres), int(whole * part)) as line:
            await start(line, tmp_path / str(part), shared)
            assert line.cut


async def test_an_erasure_that_the_store_refuses_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A start finishes what a kill has interrupted, and a lock that is held fails no start."""

    class Refused:
        tries = 0

        async def finish(self) -> None:
            self.tries += 1
            if self.tries < 3:
                raise StoreFailed("the database is locked", outcome="rejected")

    monkeypatch.setattr(upkeep, "RETRY_S", 0.0)
    eraser = Refused()
    await upkeep.finished(eraser)
    assert eraser.tries == 3
