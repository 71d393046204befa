"""Sessions out of the server and into it."""

import json
from typing import Any

import httpx2
import pytest

from tests.contract.rest_app import open_app, problem_of
from tests.contract.test_rest_auth import SECRET, signed
from tests.contract.test_rest_missions import fits

pytestmark = pytest.mark.asyncio(loop_scope="module")

SESSIONS = "/api/v1/chat/sessions"


async def talked(api: httpx2.AsyncClient) -> str:
    """A session in which something was said, edited and deleted."""
    session_id = ""
    for text in ("calculate 2 + 5", 'write zebra.txt: "stripes" \\ \u2028 💩', "count to 3"):
        body: dict[str, Any] = {"message": text} | (
            {"session_id": session_id} if session_id else {}
        )
        answer = await api.post("/api/v1/chat/messages?wait_s=20", json=body)
        assert answer.json()["status"] == "completed"
        session_id = answer.json()["session_id"]
    messages = (await api.get(f"{SESSIONS}/{session_id}/messages")).json()
    own = [each["message_id"] for each in messages if each["role"] == "user"]
    await api.patch(f"/api/v1/chat/messages/{own[0]}", json={"content": "calculate 3 + 4"})
    await api.delete(f"/api/v1/chat/messages/{own[2]}")
    await api.patch(f"{SESSIONS}/{session_id}", json={"title": "zebras", "archived": True})
    return session_id


@pytest.mark.parametrize(
    ("kind", "media"),
    [
        ("json", "application/json"),
        ("md", "text/markdown; charset=utf-8"),
        ("txt", "text/plain; charset=utf-8"),
    ],
)
async def test_a_session_is_exported_whole(api: httpx2.AsyncClient, kind: str, media: str) -> None:
    """As a file to save, with all that was said and not deleted."""
    session_id = await talked(api)
    answer = await api.get(f"{SESSIONS}/{session_id}/export", params={"format": kind})
    assert (answer.status_code, answer.headers["content-type"]) == (200, media)
    assert answer.headers["content-disposition"] == f'attachment; filename="{session_id}.{kind}"'
    assert "zebras" in answer.text
    assert "calculate 3 + 4" in answer.text
    assert "count to 3" not in answer.text
    if kind == "json":
        messages = await api.get(f"{SESSIONS}/{session_id}/messages")
        assert answer.json()["messages"] == messages.json()
        assert answer.json()["session"] == (await api.get(f"{SESSIONS}/{session_id}")).json()


async def test_a_format_that_does_not_exist_is_named(api: httpx2.AsyncClient) -> None:
    """And a session that does not exist is not exported."""
    problem = problem_of(
        await api.get(f"{SESSIONS}/s_none/export", params={"format": "pdf"}), 422, "invalid_params"
    )
    assert [each["field"] for each in problem["errors"]] == ["format"]
    problem_of(await api.get(f"{SESSIONS}/s_none/export"), 404, "not_found")


AS_JSON = {"Content-Type": "application/json"}


def without_ids(text: dict[str, Any]) -> dict[str, Any]:
    """An export, but for what is new in an import of it."""
    messages = [
        {k: v for k, v in each.items() if not k.endswith("_id")} for each in text["messages"]
    ]
    session = {k: v for k, v in text["session"].items() if not k.endswith("_id")}
    return text | {"session": session, "messages": messages}


async def exported(api: httpx2.AsyncClient, session_id: str, **headers: str) -> dict[str, Any]:
    """A session as JSON."""
    answer = await api.get(f"{SESSIONS}/{session_id}/export", headers=headers)
    assert answer.status_code == 200
    text: dict[str, Any] = answer.json()
    return text


def long_export(count: int, **session: Any) -> dict[str, Any]:
    """An export of many messages."""
    at = "2026-11-21T20:12:03.123Z"
    return {
        "format": "control-tower/session",
        "version": 1,
        "session": {"title": "long", "created_at": at, "last_activity": at} | session,
        "messages": [
            {"role": "user", "content": f"albatross {number}", "created_at": at}
            for number in range(count)
        ],
    }


async def test_an_import_of_an_export_is_the_same_but_for_ids(api: httpx2.AsyncClient) -> None:
    """Messages, texts, times, titles; both sessions stand side by side."""
    session_id = await talked(api)
    first = await exported(api, session_id)
    answer = await api.post(f"{SESSIONS}/import", json=first)
    assert answer.status_code == 201
    made = fits(answer, "POST", f"{SESSIONS}/import")
    assert answer.headers["location"] == f"{SESSIONS}/{made['session_id']}"
    second = await exported(api, made["session_id"])
    assert without_ids(second) == without_ids(first)
    assert second["session"] == made
    ids = {each["message_id"] for text in (first, second) for each in text["messages"]}
    assert len(ids) == 2 * len(first["messages"])
    assert await exported(api, session_id) == first


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 1234])
async def test_a_long_session_is_imported_whole(api: httpx2.AsyncClient, count: int) -> None:
    """In order, counted, listed, found, however many units it takes."""
    made = (await api.post(f"{SESSIONS}/import", json=long_export(count))).json()
    text = await exported(api, made["session_id"])
    assert [each["content"] for each in text["messages"]] == [
        f"albatross {number}" for number in range(count)
    ]
    assert text["session"] == made
    assert (made["message_count"], made["title"], made["deleted_at"]) == (count, "long", None)
    found = await api.get("/api/v1/chat/search", params={"query": f"albatross {count - 1}"})
    assert (made["session_id"] in [hit["session_id"] for hit in found.json()]) == (count > 0)


async def test_one_can_go_on_in_an_imported_session(api: httpx2.AsyncClient) -> None:
    """It is a session like any other."""
    made = (await api.post(f"{SESSIONS}/import", json=long_export(501))).json()
    answer = await api.post(
        "/api/v1/chat/messages?wait_s=20",
        json={"message": "calculate 2 + 2", "session_id": made["session_id"]},
    )
    assert answer.json()["status"] == "completed"
    count = (await api.get(f"{SESSIONS}/{made['session_id']}")).json()["message_count"]
    assert count == 503


async def test_times_to_come_are_now(api: httpx2.AsyncClient) -> None:
    """Or a session would stay on top of the list for a thousand years."""
    at = "3026-11-21T20:12:03Z"
    made = (await api.post(f"{SESSIONS}/import", json=long_export(1, last_activity=at))).json()
    assert made["last_activity"] < "3000"


BAD = [
    ({"version": 2}, "version"),
    ({"format": "chat"}, "format"),
    ({"session": {"created_at": "2026-11-21T20:12:03Z"}}, "session.last_activity"),
    ({"messages": [{"role": "user", "content": "x", "created_at": "soon"}]}, "created_at"),
    ({"messages": [{"role": "system", "content": "x"}]}, "messages.0.role"),
    ({"messages": [{"surprise": 1}]}, "messages.0.surprise"),
    ({"messages": [{"content": "a\0b"}]}, None),
]


@pytest.mark.parametrize(("change", "field"), BAD)
async def test_what_does_not_fit_is_named_and_leaves_nothing(
    api: httpx2.AsyncClient, change: dict[str, Any], field: str | None
) -> None:
    """Whichever message it is in."""
    before = (await api.get(SESSIONS, params={"include_deleted": True, "limit": 200})).json()
    answer = await api.post(f"{SESSIONS}/import", json=long_export(2) | change)
    problem = problem_of(answer, 422, "invalid_params")
    if field is not None:
        assert any(each["field"].endswith(field) for each in problem["errors"])
    after = (await api.get(SESSIONS, params={"include_deleted": True, "limit": 200})).json()
    assert after == before


async def test_a_late_mistake_is_found_before_anything_is_made(api: httpx2.AsyncClient) -> None:
    """The whole upload is checked first."""
    before = (await api.get(SESSIONS, params={"include_deleted": True, "limit": 200})).json()
    text = long_export(1500)
    text["messages"][1400]["role"] = "robot"
    problem = problem_of(await api.post(f"{SESSIONS}/import", json=text), 422, "invalid_params")
    assert [each["field"] for each in problem["errors"]] == ["messages.1400.role"]
    after = (await api.get(SESSIONS, params={"include_deleted": True, "limit": 200})).json()
    assert after == before


async def test_a_session_with_long_messages_is_imported(api: httpx2.AsyncClient) -> None:
    """More than an ordinary body may have; long ones share no unit."""
    text = long_export(4)
    for number, message in enumerate(text["messages"]):
        message["content"] = f"{number} " + 'ü"\\\n' * 300_000
    content = json.dumps(text).encode()
    assert len(content) > 4 * 1024 * 1024
    answer = await api.post(f"{SESSIONS}/import", content=content, headers=AS_JSON)
    assert answer.status_code == 201
    found = await exported(api, answer.json()["session_id"])
    contents = [each["content"] for each in found["messages"]]
    assert contents == [each["content"] for each in text["messages"]]


async def test_an_import_is_the_importers(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whoever's it was; a viewer imports nothing, and nobody exports another's."""
    folder = tmp_path_factory.mktemp("rest") / "data"
    async with open_app(folder, auth="jwt", jwt_secret=SECRET) as (_, api):
        ada, bob = signed("ada"), signed("bob")
        made = await api.post(f"{SESSIONS}/import", json=long_export(1, user_id="bob"), headers=ada)
        assert made.json()["user_id"] == "ada"
        path = f"{SESSIONS}/{made.json()['session_id']}/export"
        assert (await api.get(path, headers=ada)).status_code == 200
        problem_of(await api.get(path, headers=bob), 404, "not_found")
        refused = await api.post(
            f"{SESSIONS}/import", json=long_export(1), headers=signed("vic", "viewer")
        )
        problem_of(refused, 403, "forbidden")
