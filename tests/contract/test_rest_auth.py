"""With auth on: what is open, what is not, and that another user's things do not exist."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import jwt
import pytest
import pytest_asyncio

from server.app import Running
from server.endpoints import Endpoint
from server.rest import ENDPOINTS
from tests.contract.rest_app import open_app, problem_of
from tests.contract.test_rest_everywhere import name_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "a secret of more than thirty-two bytes"
FAR = 4_000_000_000
OPEN = {"/", "/health", "/ready", "/health/ready"}


def signed(user_id: str, role: str = "user") -> dict[str, str]:
    """Headers with credentials."""
    token = jwt.encode({"sub": user_id, "role": role, "exp": FAR}, SECRET, "HS256")
    return {"Authorization": f"Bearer {token}"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[Running, httpx2.AsyncClient]]:
    """A tower that wants credentials."""
    folder = tmp_path_factory.mktemp("rest") / "data"
    async with open_app(folder, auth="jwt", jwt_secret=SECRET) as both:
        yield both


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=name_of)
async def test_everything_but_health_wants_credentials(
    endpoint: Endpoint, api: httpx2.AsyncClient
) -> None:
    """401 with WWW-Authenticate, before anything else is looked at."""
    path = re.sub(r"{\w+}", "x", endpoint.path)
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eA=="}):
        answer = await api.request(endpoint.method, path + "?surprise=1", headers=headers)
        if endpoint.path in OPEN:
            problem_of(answer, 422, "invalid_params")
        else:
            problem_of(answer, 401, "unauthenticated")
            assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/nothing/here"), ("POST", "/api/v1/nothing"), ("PUT", "/api/v1/requests")],
)
async def test_what_is_not_there_is_not_told_to_strangers(
    method: str, path: str, api: httpx2.AsyncClient
) -> None:
    """401 where there is nothing, too: a stranger learns neither the paths nor their methods."""
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        answer = await api.request(method, path, headers=headers)
        problem_of(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    known = await api.request(method, path, headers=signed("ada"))
    assert known.status_code == (405 if method == "PUT" else 404)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/static/none.js", 404), ("POST", "/operator", 405), ("PUT", "/health", 405)],
)
async def test_open_paths_say_openly_what_they_have_not(
    method: str, path: str, status: int, api: httpx2.AsyncClient
) -> None:
    """What is open without credentials is so in its refusals."""
    assert (await api.request(method, path)).status_code == status


@pytest.mark.parametrize("path", ["/", "/docs", "/docs/ws", "/static/js/client.js", *sorted(OPEN)])
async def test_pages_and_health_are_open(path: str, api: httpx2.AsyncClient) -> None:
    """A page asks for a token itself."""
    assert (await api.get(path, headers={"Accept": "text/html"})).status_code == 200


async def made_by_ada(api: httpx2.AsyncClient) -> dict[str, str]:
    """Ada's things, by the names that paths have for them."""
    ada = signed("ada")
    body = {"user_message": "write a.txt: x; delete a.txt"}
    asked = (await api.post("/api/v1/requests?wait_s=20", json=body, headers=ada)).json()
    messages = f"/api/v1/chat/sessions/{asked['session_id']}/messages"
    message = (await api.get(messages, headers=ada)).json()[0]
    return {
        "pid": asked["pid"],
        "session": asked["session_id"],
        "interrupt": asked["confirmation_id"],
        "message": message["message_id"],
    }


def paths_of(endpoint: Endpoint, things: dict[str, str]) -> str | None:
    """The endpoint's path of Ada's things; None where no user owns any."""
    path = endpoint.path.replace("{pid}", things["pid"])
    if path.startswith("/api/v1/interrupts/"):
        path = path.replace("{id}", things["interrupt"])
    elif path.startswith("/api/v1/chat/messages/"):
        path = path.replace("{id}", things["message"])
    else:
        path = path.replace("{id}", things["session"])
    path = path.replace("{step}", "1").replace("{name}", "x")
    return None if path == endpoint.path or "governance" in path else path


BODIES: dict[str, Any] = {
    "/api/v1/interrupts/{id}": {"approved": True},
    "/api/v1/missions/{pid}": {"priority": "low"},
    "/api/v1/chat/sessions/{id}": {"title": "mine now"},
    "/api/v1/chat/messages/{id}": {"content": "mine now"},
}


async def test_another_users_things_do_not_exist(api: httpx2.AsyncClient) -> None:
    """Byte for byte as something that never was, on every endpoint."""
    things = await made_by_ada(api)
    nothing = {name: f"{value[:4]}{'0' * 20}" for name, value in things.items()}
    tried = 0
    for endpoint in ENDPOINTS:
        theirs, none = paths_of(endpoint, things), paths_of(endpoint, nothing)
        if theirs is None or none is None:
            continue
        answers = []
        for path in (theirs, none):
            answer = await api.request(
                endpoint.method,
                path,
                json=BODIES.get(endpoint.path) if endpoint.body else None,
                headers=signed("bob") | {"X-Request-ID": "same"},
            )
            problem_of(answer, 404, "not_found")
            answers.append(answer.content)
        assert answers[0] == answers[1], endpoint.path
        tried += 1
    assert tried >= 15
    block = await api.get(f"/api/v1/missions/{things['pid']}", headers=signed("ada"))
    assert (block.json()["state"], block.json()["priority"]) == ("waiting", "normal")


async def test_bodies_can_not_reach_into_other_users_things(api: httpx2.AsyncClient) -> None:
    """Session ids, interrupt ids and user ids in bodies are checked, too."""
    things, bob = await made_by_ada(api), signed("bob")
    for path, body in (
        ("/api/v1/requests", {"user_message": "x", "session_id": things["session"]}),
        ("/api/v1/execute", {"mission": "x", "session_id": things["session"]}),
        ("/api/v1/execute/stream", {"mission": "x", "session_id": things["session"]}),
        ("/api/v1/chat/messages", {"message": "x", "session_id": things["session"]}),
        ("/api/v1/confirmations", {"confirmation_id": things["interrupt"], "approved": True}),
        ("/api/v1/chat/clarifications", {"thread_id": things["pid"], "clarification": "x"}),
    ):
        problem_of(await api.post(path, json=body, headers=bob), 404, "not_found")
    for path, body in (
        ("/api/v1/requests", {"user_message": "x", "user_id": "ada"}),
        ("/api/v1/chat/sessions", {"user_id": "ada"}),
        ("/api/v1/confirmations", {"confirmation_id": "i", "approved": True, "user_id": "ada"}),
    ):
        problem_of(await api.post(path, json=body, headers=bob), 403, "forbidden")


async def test_lists_have_ones_own_things_only(api: httpx2.AsyncClient) -> None:
    """Whatever is asked for."""
    things, bob = await made_by_ada(api), signed("bob")
    for path in (
        "/api/v1/missions?user_id=ada",
        f"/api/v1/missions?session_id={things['session']}",
        "/api/v1/interrupts?user_id=ada&status=any",
        "/api/v1/chat/sessions",
        "/api/v1/sessions",
    ):
        answer = await api.get(path, headers=bob)
        assert (answer.status_code, answer.json()) == (200, []), path
    for topic in (f"session:{things['session']}", f"mission:{things['pid']}", "user:ada"):
        answer = await api.get("/api/v1/events", params={"topic": topic}, headers=bob)
        problem_of(answer, 404, "not_found")
    problem_of(await api.get("/api/v1/events", headers=bob), 403, "forbidden")


async def test_viewers_see_everything_and_change_nothing(api: httpx2.AsyncClient) -> None:
    """Reading is 200, changing is 403."""
    things, eve = await made_by_ada(api), signed("eve", "viewer")
    for path in (
        f"/api/v1/missions/{things['pid']}",
        f"/api/v1/interrupts/{things['interrupt']}",
        f"/api/v1/chat/sessions/{things['session']}",
        "/api/v1/events",
    ):
        assert (await api.get(path, headers=eve)).status_code == 200, path
    for method, path, body in (
        ("POST", "/api/v1/requests", {"user_message": "x"}),
        ("POST", f"/api/v1/missions/{things['pid']}/cancel", None),
        ("PATCH", f"/api/v1/missions/{things['pid']}", {"priority": "low"}),
        ("POST", f"/api/v1/interrupts/{things['interrupt']}", {"approved": True}),
        ("POST", "/api/v1/chat/sessions", {}),
        ("PATCH", f"/api/v1/chat/sessions/{things['session']}", {"title": "x"}),
        ("DELETE", f"/api/v1/chat/messages/{things['message']}", None),
        ("POST", "/api/v1/governance/tools/calculator/reset", None),
    ):
        answer = await api.request(method, path, json=body, headers=eve)
        problem_of(answer, 403, "forbidden")


async def test_operators_may_do_everything(api: httpx2.AsyncClient) -> None:
    """Also answer for others."""
    things, root = await made_by_ada(api), signed("root", "operator")
    answer = await api.post(
        f"/api/v1/interrupts/{things['interrupt']}", json={"approved": False}, headers=root
    )
    assert (answer.status_code, answer.json()["answered_by"]) == (200, "root")


async def test_the_command_lines_token_is_an_operators(
    api: httpx2.AsyncClient, opened: tuple[Running, httpx2.AsyncClient]
) -> None:
    """It is in the lock file, which only the owner can read."""
    headers = {"Authorization": f"Bearer {opened[0].token}"}
    assert (await api.get("/api/v1/events", headers=headers)).status_code == 200


async def test_tickets_are_for_those_who_are_known(api: httpx2.AsyncClient) -> None:
    """201 with how long it lasts."""
    answer = await api.post("/api/v1/ws-tickets", headers=signed("ada"))
    assert answer.status_code == 201
    assert answer.json()["expires_in"] == 30
    assert len(answer.json()["ticket"]) >= 32
