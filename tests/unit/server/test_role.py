"""Roles: what each does, and what it refuses to be alone with."""

from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from starlette.routing import Route, WebSocketRoute

from server.app import running
from server.asgi import OF_WORKERS, create_app
from server.role import Role, check_shared
from server.settings import SettingsError, load

DATABASE = {"database_url": "postgresql://db.example/tower"}
BOTH = DATABASE | {"redis_url": "redis://cache.example"}


@pytest.mark.parametrize(
    ("role", "missions", "people"),
    [(Role.ALL, True, True), (Role.WEB, False, True), (Role.WORKER, True, False)],
)
def test_what_a_role_does(role: Role, missions: bool, people: bool) -> None:
    """Both, or one of the two."""
    assert (role.runs_missions, role.serves_people) == (missions, people)


@pytest.mark.parametrize(
    ("role", "processes", "said"),
    [
        (Role.WEB, 1, "--role web"),
        (Role.WORKER, 1, "a worker"),
        (Role.ALL, 2, "on SQLite one serves"),
    ],
)
def test_what_needs_other_nodes_says_what_to_set(role: Role, processes: int, said: str) -> None:
    """Both settings, or the one that is missing; with both all is well."""
    with pytest.raises(SettingsError) as refused:
        check_shared(load().settings, role, processes)
    assert said in str(refused.value)
    assert "set TOWER_DATABASE_URL=postgresql://… and TOWER_REDIS_URL=redis://…." in str(
        refused.value
    )
    with pytest.raises(SettingsError, match=r"set TOWER_REDIS_URL=redis://…\.$"):
        check_shared(load(DATABASE).settings, role, processes)
    check_shared(load(BOTH).settings, role, processes)


def test_one_server_alone_needs_nothing() -> None:
    """On SQLite, and on PostgreSQL where others stand by."""
    check_shared(load().settings, Role.ALL)
    check_shared(load(DATABASE).settings, Role.ALL)


async def test_a_worker_has_nothing_for_people(tmp_path: Path) -> None:
    """What a supervisor asks is there; every other path of a server is not, not even `/ws`."""
    settings = load({"data_dir": tmp_path / "data"}).settings
    async with running(
        settings, url="http://127.0.0.1:8000", on_fatal=_never, role=Role.WORKER
    ) as tower:
        app = create_app(tower)
        whole = create_app(replace(tower, role=Role.ALL))
        assert {type(route) for route in app.routes} == {Route}
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            for path in OF_WORKERS:
                assert (await http.get(path)).status_code == 200, path
            others = {
                route.path
                for route in whole.routes
                if isinstance(route, Route | WebSocketRoute) and route.path not in OF_WORKERS
            }
            assert {"/", "/ws", "/api/v1/missions", "/openapi.json"} <= others
            for path in [*others, "/static/js/client.js"]:
                answer = await http.get(path)
                assert answer.status_code == 404, path
                assert answer.json()["code"] == "not_found"


def _never(error: BaseException) -> None:
    raise AssertionError(error)
