"""The whole application over PostgreSQL: what a client sees is what it sees over SQLite."""

from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
from typer.testing import CliRunner

from control_tower.store import SeatTaken, migrations, seat
from control_tower.store.postgres import connect
from server.commands.tower import app
from tests.contract.rest_app import open_app
from tests.rig.postgres import emptied_database, fresh_database, run


@pytest.fixture
def database(postgres: str) -> str:
    """Return the URL of a database with tables and nothing in them."""
    return emptied_database(postgres)


async def ask(api: httpx2.AsyncClient, message: str) -> dict[str, Any]:
    """Make a request and wait for its end."""
    answer = await api.post("/api/v1/requests?wait_s=20", json={"user_message": message})
    body: dict[str, Any] = answer.json()
    return body


async def test_missions_run_are_found_and_are_there_after_a_restart(
    database: str, tmp_path: Path
) -> None:
    """Results, sessions, search, readiness; the second start goes on with the same log."""
    async with open_app(tmp_path / "data", database_url=database) as (_, api):
        first = await ask(api, "calculate 6 * 7")
        assert first["response_text"] == "6 * 7 = 42"
        ready = (await api.get("/ready")).json()
        assert ready["components"]["database"]["status"] == "up"
        found = await api.get("/api/v1/chat/search", params={"query": "calculate"})
        assert [hit["session_id"] for hit in found.json()] == [first["session_id"]]
    async with open_app(tmp_path / "data", database_url=database) as (tower, api):
        assert (await ask(api, "calculate 1 + 1"))["response_text"] == "1 + 1 = 2"
        again = await api.get(f"/api/v1/requests/{first['request_id']}/status")
        assert again.json()["status"] == "completed"
        assert tower.services.hub.head > 10


async def test_a_second_server_is_told_who_serves(database: str, tmp_path: Path) -> None:
    """Where it does not stand by."""
    async with open_app(tmp_path / "a", database_url=database):
        with pytest.raises(SeatTaken):
            async with open_app(tmp_path / "b", database_url=database):
                pass


def test_the_tables_are_upgraded_by_command(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty database gets them; with them nothing happens; a newer one is refused."""
    with fresh_database(postgres) as url:
        monkeypatch.setenv("TOWER_DATABASE_URL", url)
        cli = CliRunner()
        assert "empty" in cli.invoke(app, ["doctor"]).output
        assert "was at nothing" in cli.invoke(app, ["db", "upgrade"]).output
        assert "is at schema" in cli.invoke(app, ["db", "upgrade"]).output
        assert "served by nobody" in cli.invoke(app, ["doctor"]).output
        run(url, "UPDATE alembic_version SET version_num = '9999'")
        refused = cli.invoke(app, ["db", "upgrade"])
        assert refused.exit_code == 1


def test_tables_of_an_older_version_are_upgraded_once_nobody_serves_them(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have one seat for all, whose token is not used again."""
    with fresh_database(postgres) as url:
        monkeypatch.setenv("TOWER_DATABASE_URL", url)
        connection = connect(url)
        with psycopg.connect(url) as driver:
            migrations.upgrade_server(connection, driver, "0002")
        connection.close()
        cli = CliRunner()
        assert "tower db upgrade" in cli.invoke(app, ["doctor"]).output
        later = "extract(epoch FROM clock_timestamp()) + 60"
        run(url, f"UPDATE seat SET token = 7, node = 'old', lease_until = {later}")
        assert "old" in cli.invoke(app, ["db", "upgrade"]).output
        run(url, "UPDATE seat SET lease_until = 0")
        assert "was at 0002" in cli.invoke(app, ["db", "upgrade"]).output
        connection = connect(url)
        assert seat.join(connection, seat.Candidate("new", "")) == 8
        connection.close()


def test_a_server_that_is_not_there_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the command that would change its tables, and by the doctor."""
    cli = CliRunner()
    monkeypatch.setenv("TOWER_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    assert cli.invoke(app, ["db", "upgrade"]).exit_code == 1
    assert "✗ PostgreSQL" in cli.invoke(app, ["doctor"]).output
