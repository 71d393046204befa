"""`?soft=false`, and the same on `/ws`: what is erased answers as if it had never been."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
import pytest_asyncio

from server.app import Running
from tests.contract.rest_app import open_app, problem_of
from tests.contract.test_rest_auth import SECRET, signed

pytestmark = pytest.mark.asyncio(loop_scope="module")

SESSIONS = "/api/v1/chat/sessions"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[Running, httpx2.AsyncClient]]:
    """A tower that wants credentials."""
    folder = tmp_path_factory.mktemp("rest") / "data"
    async with open_app(folder, auth="jwt", jwt_secret=SECRET) as both:
        yield both


async def asked(api: httpx2.AsyncClient, user: str, text: str) -> dict[str, str]:
    """A mission of a user that ended, or asks."""
    body = {"user_message": text}
    answer = await api.post("/api/v1/requests?wait_s=20", json=body, headers=signed(user))
    found: dict[str, str] = answer.json()
    return found


async def test_an_erased_session_is_gone_from_every_door(api: httpx2.AsyncClient) -> None:
    """With a mission that still asked, its files, its search hits and its events."""
    ada = signed("ada")
    first = await asked(api, "ada", "write notes.txt: quokka; delete notes.txt")
    other = await asked(api, "ada", "calculate 2 + 2")
    session_id, pid = first["session_id"], first["pid"]
    hits = await api.get("/api/v1/chat/search?query=quokka", headers=ada)
    assert len(hits.json()) > 0
    erase = f"{SESSIONS}/{session_id}?soft=false"
    problem_of(await api.delete(erase, headers=signed("bob")), 404, "not_found")
    problem_of(await api.delete(erase, headers=signed("vic", "viewer")), 403, "forbidden")
    assert (await api.delete(erase, headers=ada)).status_code == 204
    for path in (
        f"{SESSIONS}/{session_id}",
        f"{SESSIONS}/{session_id}?include_deleted=true",
        f"{SESSIONS}/{session_id}/messages",
        f"{SESSIONS}/{session_id}/export?format=json",
        f"/api/v1/sessions/{session_id}",
        f"/api/v1/missions/{pid}",
        f"/api/v1/missions/{pid}/events",
        f"/api/v1/requests/{pid}/status",
        f"/api/v1/events?topic=session:{session_id}",
        f"/api/v1/interrupts/{first['confirmation_id']}",
    ):
        if path.startswith("/api/v1/interrupts"):
            answer = await api.post(path, json={"approved": True}, headers=ada)
        else:
            answer = await api.get(path, headers=ada)
        problem_of(answer, 404, "not_found")
    problem_of(await api.delete(erase, headers=ada), 404, "not_found")
    assert (await api.post(f"{SESSIONS}/{session_id}/restore", headers=ada)).status_code == 404
    assert (await api.get("/api/v1/chat/search?query=quokka", headers=ada)).json() == []
    everything = await api.get("/api/v1/events?limit=1000", headers=signed("root", "operator"))
    assert session_id not in everything.text
    assert "quokka" not in everything.text
    events = everything.json()["events"]
    assert [event["offset"] for event in events] == list(range(1, events[-1]["offset"] + 1))
    assert "event.erased" in {event["type"] for event in events}
    mine = (await api.get("/api/v1/events?topic=user:ada&limit=1000", headers=ada)).json()["events"]
    assert {event["session_id"] for event in mine} == {other["session_id"]}
    listed = (await api.get(f"{SESSIONS}?include_deleted=true", headers=ada)).json()
    assert [each["session_id"] for each in listed] == [other["session_id"]]


async def test_a_session_deleted_softly_is_erased_too(api: httpx2.AsyncClient) -> None:
    """An empty one, and by an operator."""
    made = (await api.post(SESSIONS, json={}, headers=signed("eve"))).json()["session_id"]
    assert (await api.delete(f"{SESSIONS}/{made}", headers=signed("eve"))).status_code == 204
    erase = f"{SESSIONS}/{made}?soft=false"
    assert (await api.delete(erase, headers=signed("root", "operator"))).status_code == 204
    kept = await api.get(f"{SESSIONS}/{made}?include_deleted=true", headers=signed("eve"))
    assert kept.status_code == 404


async def test_an_operator_erases_a_user(
    api: httpx2.AsyncClient, opened: tuple[Running, httpx2.AsyncClient]
) -> None:
    """Their sessions, keys and spending; nobody else may, and nobody else is touched."""
    running, _ = opened
    carol = await asked(api, "carol", "calculate 3 + 3")
    dan = await asked(api, "dan", "calculate 4 + 4")
    root = signed("root", "operator")
    body = {"user_id": "carol", "name": "bot"}
    assert (await api.post("/api/v1/keys", json=body, headers=root)).status_code == 201
    for nobody in (signed("carol"), signed("vic", "viewer")):
        problem_of(await api.delete("/api/v1/users/carol", headers=nobody), 403, "forbidden")
    assert (await api.delete("/api/v1/users/carol", headers=root)).status_code == 204
    problem_of(await api.delete("/api/v1/users/carol", headers=root), 404, "not_found")
    assert (await api.get(f"/api/v1/missions/{carol['pid']}", headers=root)).status_code == 404
    assert (await api.get(f"/api/v1/missions/{dan['pid']}", headers=root)).status_code == 200
    assert (await api.get("/api/v1/keys", headers=root)).json() == []
    usage = (await api.get("/api/v1/governance/usage", headers=root)).json()
    assert "carol" not in {each["user_id"] for each in usage}
    await running.services.eraser.scrubbed()


async def test_erasing_while_it_runs(api: httpx2.AsyncClient) -> None:
    """Many at once, with missions in flight: all go, nothing of them comes back."""
    root = signed("root", "operator")
    given = [
        (await api.post("/api/v1/requests", json={"user_message": text}, headers=signed("fay")))
        for text in ("wait 5", "calculate 1 + 1", "write a.txt: x; delete a.txt") * 3
    ]
    sessions = [each.json()["session_id"] for each in given]
    answers = await asyncio.gather(
        *(api.delete(f"{SESSIONS}/{each}?soft=false", headers=signed("fay")) for each in sessions)
    )
    assert {each.status_code for each in answers} == {204}
    assert (await api.get("/api/v1/missions?user_id=fay", headers=root)).json() == []
    await asyncio.sleep(0.2)
    text = (await api.get("/api/v1/events?limit=1000", headers=root)).text
    assert not [each for each in sessions if each in text]
