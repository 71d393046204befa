"""Sessions out of the server and into it."""

from typing import Any

import httpx2
import pytest

from tests.contract.rest_app import problem_of

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
