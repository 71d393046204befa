"""Sessions, messages and users over HTTP."""

from typing import Any

import httpx2
import pytest

from server.app import Running
from tests.contract.rest_app import problem_of
from tests.contract.test_rest_missions import fits

pytestmark = pytest.mark.asyncio(loop_scope="module")

SESSIONS = "/api/v1/chat/sessions"
MESSAGES = "/api/v1/chat/messages"


async def make(api: httpx2.AsyncClient, **body: Any) -> dict[str, Any]:
    """Make a session."""
    answer = await api.post(SESSIONS, json=body)
    assert answer.status_code == 201
    made: dict[str, Any] = fits(answer, "POST", SESSIONS)
    assert answer.headers["location"] == f"{SESSIONS}/{made['session_id']}"
    return made


async def test_a_page_of_sessions_says_how_many_there_are(api: httpx2.AsyncClient) -> None:
    """Of one user's, whatever the page and the filter; counting everyone's would cost too much."""
    made = [await make(api, user_id="counted") for _ in range(3)]
    await api.patch(f"{SESSIONS}/{made[0]['session_id']}", json={"archived": True})
    for query, total in (({}, "2"), ({"archived": "any"}, "3"), ({"archived": "true"}, "1")):
        page: dict[str, Any] = {"user_id": "counted", "limit": 1, "offset": 1, **query}
        answer = await api.get(SESSIONS, params=page)
        assert answer.headers["x-total-count"] == total
        assert len(answer.json()) == (1 if total != "1" else 0)
    assert "x-total-count" not in (await api.get(SESSIONS)).headers


async def test_a_session_lives_is_archived_deleted_and_restored(api: httpx2.AsyncClient) -> None:
    """Each step of its life shows where it should and nowhere else."""
    made = await make(api, title="plans")
    path = f"{SESSIONS}/{made['session_id']}"
    assert fits(await api.get(path), "GET", SESSIONS + "/{id}") == made

    async def listed(**query: Any) -> bool:
        answer = await api.get(SESSIONS, params=query)
        found = fits(answer, "GET", SESSIONS)
        return made["session_id"] in [each["session_id"] for each in found]

    renamed = await api.patch(path, json={"title": "holidays"})
    assert fits(renamed, "PATCH", SESSIONS + "/{id}")["title"] == "holidays"
    archived = await api.patch(path, json={"archived": True})
    assert archived.json()["archived_at"] is not None
    assert archived.json()["title"] == "holidays"
    assert [await listed(), await listed(archived="true"), await listed(archived="any")] == [
        False,
        True,
        True,
    ]
    await api.patch(path, json={"archived": False})
    assert await listed()
    gone = await api.delete(path)
    assert (gone.status_code, gone.content) == (204, b"")
    problem_of(await api.get(path), 404, "not_found")
    problem_of(await api.patch(path, json={"title": "x"}), 404, "not_found")
    assert (await api.get(path, params={"include_deleted": True})).status_code == 200
    assert [await listed(), await listed(include_deleted=True)] == [False, True]
    back = await api.post(f"{path}/restore")
    assert fits(back, "POST", SESSIONS + "/{id}/restore")["deleted_at"] is None
    assert await listed()


@pytest.mark.parametrize(
    "query",
    [{"limit": 0}, {"limit": 201}, {"filter": "year"}, {"archived": "maybe"}, {"offset": -1}],
)
async def test_a_list_is_bounded(api: httpx2.AsyncClient, query: dict[str, Any]) -> None:
    """What does not fit is named."""
    problem = problem_of(await api.get(SESSIONS, params=query), 422, "invalid_params")
    assert [each["field"] for each in problem["errors"]] == list(query)


async def test_titles_are_bounded(api: httpx2.AsyncClient) -> None:
    """500 characters and not one more."""
    await make(api, title="x" * 500)
    problem_of(await api.post(SESSIONS, json={"title": "x" * 501}), 422, "invalid_params")
    made = await make(api)
    answer = await api.patch(f"{SESSIONS}/{made['session_id']}", json={})
    problem_of(answer, 422, "invalid_params")


async def test_saying_something_is_a_mission(api: httpx2.AsyncClient) -> None:
    """It goes through the tower like everything; both messages are in the session."""
    answer = await api.post(f"{MESSAGES}?wait_s=20", json={"message": "calculate 2 + 5"})
    said = fits(answer, "POST", MESSAGES)
    assert (answer.status_code, said["status"]) == (200, "completed")
    assert "7" in said["response"]
    path = f"{SESSIONS}/{said['session_id']}"
    assert (await api.get(path)).json()["title"] == "calculate 2 + 5"
    page = await api.get(f"{path}/messages")
    found = fits(page, "GET", SESSIONS + "/{id}/messages")
    assert page.headers["x-total-count"] == str(len(found))
    assert [(each["role"], each["mission_id"]) for each in found] == [
        ("user", said["request_id"]),
        ("assistant", said["request_id"]),
    ]
    assert found[0]["message_id"] == said["message_id"]
    later = await api.post(MESSAGES, json={"message": "count to 2"})
    assert (later.status_code, later.json()["status"]) == (202, "processing")


async def test_saying_something_answers_the_oldest_question(api: httpx2.AsyncClient) -> None:
    """A clarification, never a confirmation."""
    asked = (await api.post(f"{MESSAGES}?wait_s=20", json={"message": "ask me my name"})).json()
    assert (asked["status"], asked["clarification_needed"]) == ("waiting", True)
    body = {"message": "Ada", "session_id": asked["session_id"]}
    done = (await api.post(f"{MESSAGES}?wait_s=20", json=body)).json()
    assert done["request_id"] == asked["request_id"]
    assert (done["status"], "Ada" in done["response"]) == ("completed", True)


async def test_a_message_is_edited_and_deleted(api: httpx2.AsyncClient) -> None:
    """One's own only; the first text is kept."""
    said = (await api.post(f"{MESSAGES}?wait_s=20", json={"message": "calculate 1"})).json()
    path = f"{MESSAGES}/{said['message_id']}"
    for text in ("calculate one", "calculate 1.0"):
        edited = fits(await api.patch(path, json={"content": text}), "PATCH", MESSAGES + "/{id}")
        assert (edited["content"], edited["original_content"]) == (text, "calculate 1")
    for wrong in ({"content": ""}, {"content": "  "}, {"content": "x" * 10_001}, {}):
        problem_of(await api.patch(path, json=wrong), 422, "invalid_params")
    messages = f"{SESSIONS}/{said['session_id']}/messages"
    answer = (await api.get(messages)).json()[1]
    theirs = f"{MESSAGES}/{answer['message_id']}"
    problem_of(await api.patch(theirs, json={"content": "x"}), 403, "forbidden")
    problem_of(await api.delete(theirs), 403, "forbidden")
    assert (await api.delete(path)).status_code == 204
    assert [each["role"] for each in (await api.get(messages)).json()] == ["assistant"]
    problem_of(await api.patch(path, json={"content": "x"}), 404, "not_found")
    problem_of(await api.delete(f"{MESSAGES}/msg_none"), 404, "not_found")


async def test_sessions_in_short(api: httpx2.AsyncClient) -> None:
    """Each with its latest mission."""
    made = await api.post("/api/v1/sessions")
    fresh = fits(made, "POST", "/api/v1/sessions")
    assert (made.status_code, fresh["mission"], fresh["status"]) == (201, None, "new")
    await api.post(
        "/api/v1/execute", json={"mission": "calculate 8", "session_id": fresh["session_id"]}
    )
    listed = fits(await api.get("/api/v1/sessions?profile=dev"), "GET", "/api/v1/sessions")
    mine = next(each for each in listed if each["session_id"] == fresh["session_id"])
    assert set(mine) == {"session_id", "mission", "status", "created_at"}
    assert (mine["mission"], mine["status"]) == ("calculate 8", "completed")
    details = await api.get(f"/api/v1/sessions/{fresh['session_id']}")
    assert fits(details, "GET", "/api/v1/sessions/{id}")["state"] == "terminated"
    problem_of(await api.get("/api/v1/sessions/s_none"), 404, "not_found")


async def test_another_user_of_the_same_machine_is_another_user(
    api: httpx2.AsyncClient, opened: tuple[Running, httpx2.AsyncClient]
) -> None:
    """With auth off `local` may act for anybody, and what is made is theirs."""
    made = await make(api, user_id="ada")
    assert made["user_id"] == "ada"
    answer = await api.post(
        "/api/v1/requests?wait_s=20",
        json={"user_message": "calculate 3", "user_id": "ada", "session_id": made["session_id"]},
    )
    assert answer.status_code == 200
    block = await opened[0].services.store.mission(answer.json()["pid"])
    assert block is not None
    assert block.user_id == "ada"
    other = await api.post(
        "/api/v1/requests",
        json={"user_message": "x", "user_id": "bob", "session_id": made["session_id"]},
    )
    problem_of(other, 404, "not_found")
    urgent = {"user_message": "x", "user_id": "ada", "priority": "realtime"}
    problem_of(await api.post("/api/v1/requests", json=urgent), 403, "forbidden")
