"""Search in messages over HTTP, and by the agent's tool."""

from typing import Any

import httpx2
import pytest

from tests.contract.rest_app import open_app, problem_of
from tests.contract.test_rest_auth import SECRET, signed
from tests.contract.test_rest_missions import fits

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEARCH = "/api/v1/chat/search"


async def say(api: httpx2.AsyncClient, message: str, **headers: str) -> dict[str, Any]:
    """Say something, and wait for the answer."""
    answer = await api.post(
        "/api/v1/chat/messages?wait_s=20", json={"message": message}, headers=headers
    )
    assert answer.status_code == 200
    said: dict[str, Any] = answer.json()
    return said


async def test_a_message_is_found_by_its_words(api: httpx2.AsyncClient) -> None:
    """With its session, and the words marked in a text that is safe to show."""
    said = await say(api, "write <b>plum</b>.txt: quixotic stripes")
    answer = await api.get(SEARCH, params={"query": "STRIPES quixotic"})
    hits = fits(answer, "GET", SEARCH)
    assert [(hit["message_id"], hit["role"]) for hit in hits] == [(said["message_id"], "user")]
    assert hits[0]["session_id"] == said["session_id"]
    assert hits[0]["session_title"].startswith("write <b>plum")
    assert "<mark>quixotic</mark> <mark>stripes</mark>" in hits[0]["snippet"]
    assert "<b>" not in hits[0]["snippet"]
    assert (await api.get(SEARCH, params={"query": "stripes neverwritten"})).json() == []


async def test_pages_of_hits_do_not_overlap(api: httpx2.AsyncClient) -> None:
    """Limit and offset walk through all of them."""
    said = {(await say(api, f"note wolverine number {n}"))["message_id"] for n in range(3)}
    pages = [
        await api.get(SEARCH, params={"query": "wolverine number", "limit": 1, "offset": n})
        for n in range(8)
    ]
    found = [hit["message_id"] for page in pages for hit in page.json()]
    assert len(found) == len(set(found))
    assert said <= set(found)


@pytest.mark.parametrize("query", ['"', "a AND", "NEAR(", "* OR -", "x'; --", "co:lon", "💩", " "])
async def test_no_query_is_bad_syntax(api: httpx2.AsyncClient, query: str) -> None:
    """What a person types are words, whatever it looks like."""
    assert (await api.get(SEARCH, params={"query": query})).status_code == 200


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "query"),
        ({"query": ""}, "query"),
        ({"query": "x" * 501}, "query"),
        ({"query": "x", "limit": 0}, "limit"),
        ({"query": "x", "limit": 201}, "limit"),
        ({"query": "x", "offset": -1}, "offset"),
    ],
)
async def test_a_search_is_bounded(
    api: httpx2.AsyncClient, query: dict[str, Any], field: str
) -> None:
    """What does not fit is named."""
    problem = problem_of(await api.get(SEARCH, params=query), 422, "invalid_params")
    assert [each["field"] for each in problem["errors"]] == [field]


async def test_an_agent_finds_what_was_said_earlier(api: httpx2.AsyncClient) -> None:
    """The tool `search_history` searches the same index."""
    await say(api, "write melon.txt: aubergine & rice")
    found = await say(api, "search aubergine")
    assert "melon.txt: aubergine & rice" in found["response"]


async def test_users_find_their_own_messages_only(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """By the endpoint and by the tool; an operator finds everybody's."""
    folder = tmp_path_factory.mktemp("rest") / "data"
    async with open_app(folder, auth="jwt", jwt_secret=SECRET) as (_, api):
        await say(api, "write a.txt: zeppelin", **signed("ada"))
        found = {}
        for name, headers in {
            "ada": signed("ada"),
            "bob": signed("bob"),
            "op": signed("op", "operator"),
        }.items():
            answer = await api.get(SEARCH, params={"query": "zeppelin"}, headers=headers)
            found[name] = len(answer.json())
        assert found == {"ada": 1, "bob": 0, "op": 1}
        told = await say(api, "search zeppelin", **signed("bob"))
        assert "a.txt" not in told["response"]
