"""``react`` on a real server, over ``/ws``, with a model of a server that speaks a wire format."""

import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from tests.integration.conftest import MakeTower
from tests.integration.tower_process import Event, Refused, TowerProcess, Wire, wire
from tests.rig.model_api import KEY, Answer, ModelApi, Refusal, Request, Said, in_order, serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),  # the first turn imports a large library, maybe on a busy machine
    pytest.mark.asyncio(loop_scope="module"),
]

PROVIDERS = ("openai", "anthropic", "llamacpp")

SOON = {"retry-after-ms": "20"}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared_api() -> AsyncIterator[ModelApi]:
    """One server of models for the tests of the module."""
    async with serving([Said("unused")]) as api:
        yield api


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def react_tower(
    tmp_path_factory: pytest.TempPathFactory, shared_api: ModelApi
) -> AsyncIterator[TowerProcess]:
    """One tower, with a profile for each provider."""
    folder: Path = tmp_path_factory.mktemp("react")
    config = folder / "tower.toml"
    config.write_text("".join(f'[profiles.{p}]\nmodel = "{p}:tiny"\n' for p in PROVIDERS))
    settings = {k: v for p in PROVIDERS for k, v in shared_api.settings(p).items()}
    tower = TowerProcess(
        folder / "data", TOWER_CONFIG=str(config), TOWER_MODEL="openai:tiny", **settings
    ).start()
    yield tower
    tower.end()


@pytest.fixture
def api(shared_api: ModelApi) -> ModelApi:
    """The server of models, with nothing asked yet."""
    shared_api.requests.clear()
    return shared_api


def tidying(request: Request) -> Answer:
    """Return the turns of a model that tidies up, by how many were before."""
    return [
        Said(
            "I look around.",
            [
                ("workspace__write", {"name": "old.txt", "text": "old"}),
                ("calculator", {"expression": "6*7"}),
                ("clock", {}),
            ],
        ),
        Said("", [("ask_person", {"question": "Which file?", "options": ["old.txt", "none"]})]),
        Said("", [("workspace__list", {}), ("workspace__read", {"name": "old.txt"})]),
        Said("I tidy up.", [("workspace__delete", {"name": "old.txt"})]),
        Said("All is tidy now."),
    ][request.turns]


def streamed(events: Sequence[Event]) -> dict[str, str]:
    """Return the texts of steps as a client puts them together from deltas."""
    texts: dict[str, str] = {}
    attempts: dict[str, int] = {}
    for event in events:
        if event["type"] != "llm.delta":
            continue
        data, step = event["data"], event["data"]["step"]
        if data["attempt"] >= attempts.get(step, 0):
            attempts[step] = data["attempt"]
            texts[step] = texts.get(step, "")[: data["at"]] + data["text"]
    return texts


async def run(ws: Wire, **params: Any) -> Event:
    """Submit a mission; return its terminal event."""
    await ws.call("mission.submit", **{"mission": "Do it.", "agent": "react"} | params)
    return await ws.ended()


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
async def test_a_mission_of_six_calls_two_questions_and_a_kill(
    react_tower: TowerProcess, api: ModelApi, provider: str
) -> None:
    """Streaming, some calls side by side; killed while it waits, no turn is asked for twice."""
    api.model = tidying
    async with wire(react_tower.ws_url) as ws:
        ack = await ws.call("mission.submit", mission="Tidy up.", profile=provider)
        asked = await ws.event("interrupt.raised")
        assert (asked["data"]["kind"], asked["data"]["message"]) == (
            "clarification",
            "Which file?",
        )
        assert asked["data"]["options"] == ["old.txt", "none"]
        number = asked["data"]["interrupt_id"]
        await ws.call("clarify", clarification_id=number, answer="old.txt")
        asked = await ws.event("interrupt.raised")
        assert asked["data"]["tool"] == "workspace.delete"
        assert asked["data"]["arguments"] == {"name": "old.txt"}
        seen = ws.durable[-1]["offset"]
        assert streamed(ws.events)["3"] == "I look around. "
    assert len(api.requests) == 4
    react_tower.signal(signal.SIGKILL)
    react_tower.wait()
    react_tower.start()
    async with wire(react_tower.ws_url) as ws:
        await ws.call("subscribe", topics=[f"mission:{ack['mission_id']}"], since=seen)
        number = asked["data"]["interrupt_id"]
        await ws.call("confirm", confirmation_id=number, approved=True)
        last = await ws.ended()
        assert last["type"] == "mission.completed"
        assert last["data"]["result"] == "All is tidy now."
        assert "All is tidy now. " in streamed(ws.events).values()
    assert [request.turns for request in api.requests] == [0, 1, 2, 3, 4]
    usage = last["data"]["usage"]
    assert (usage["llm_calls"], usage["tool_calls"]) == (5, 6)
    assert (usage["input_tokens"], usage["output_tokens"]) == (55, 35)
    assert "old.txt" in str(api.requests[2].messages[-1])


async def test_a_turn_that_fails_for_a_while_is_made_again(
    react_tower: TowerProcess, api: ModelApi
) -> None:
    """Limited, then cut off in mid-stream: each attempt is shown, the text is the last one's."""
    api.model = in_order(
        [
            Refusal(429, "slow down", {"Retry-After": "1"}),
            Said("This is cut off", cut_after=3),
            Said("This is whole."),
        ]
    )
    async with wire(react_tower.ws_url) as ws:
        last = await run(ws)
        failed = [event["data"] for event in ws.events if event["type"] == "step.failed"]
        started = [event for event in ws.events if is_turn(event)]
        texts = streamed(ws.events)
    assert last["data"]["result"] == "This is whole."
    assert [each["will_retry"] for each in failed] == [True, True]
    assert failed[0]["error"]["message"] == "openai answered 429: slow down."
    assert [event["data"]["attempt"] for event in started] == [1, 2, 3]
    assert list(texts.values()) == ["This is whole. "]
    assert last["data"]["usage"]["llm_calls"] == len(api.requests) == 3


def is_turn(event: Event) -> bool:
    """Whether an attempt at a turn of a model began."""
    return (event["type"], event["data"].get("kind")) == ("step.started", "llm")


CLOCK = Said("", [("clock", {})])
WELL: list[tuple[str, list[Answer], str]] = [
    ("an unknown tool", [Said("", [("fly", {"to": "Mars"})]), Said("I can't.")], "I can't."),
    ("invalid arguments", [Said("", [("calculator", {"x": 1})]), Said("Hm.")], "Hm."),
    ("broken arguments", [Said("", [("clock", '{"zo')], "length"), Said("Hm.")], "Hm."),
    ("an empty answer", [Said(""), Said("Here.")], "Here."),
    ("a cut answer", [Said("one", finish="length"), Said("two")], "one two"),
]
BADLY: list[tuple[str, list[Answer], str]] = [
    ("no answer at all", [Said("")], "The model gave no answer, though it was asked again."),
    ("a refusal", [Said("", finish="refusal")], "The model refused to answer."),
    ("a bad key", [Refusal(401, f"bad key {KEY}")], "answered 401: bad key ["),
    ("a bad request", [Refusal(400, "too many tokens")], "answered 400: too many tokens."),
    ("down for good", [Refusal(503, "down", SOON)], "answered 503: down."),
    ("overloaded for good", [Refusal(529, "overloaded", SOON)], "answered 529: overloaded."),
    ("down in the middle", [CLOCK, Refusal(500, "oops", SOON)], "answered 500: oops."),
]


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
async def test_whatever_a_model_does_the_mission_ends_in_words(
    react_tower: TowerProcess, api: ModelApi, provider: str
) -> None:
    """What it did wrong is an observation, what its provider did is a failure; no traceback."""
    async with wire(react_tower.ws_url) as ws:
        for what, answers, said in WELL:
            api.model = in_order(answers)
            last = await run(ws, profile=provider)
            assert (last["type"], last["data"]["result"]) == ("mission.completed", said), what
        for what, answers, said in BADLY:
            api.model = in_order(answers)
            last = await run(ws, profile=provider)
            assert last["type"] == "mission.failed", what
            assert last["data"]["error"]["code"] == "model_failed", what
            assert said in last["data"]["error"]["message"], what
        assert "Traceback" not in str(ws.messages)
        assert KEY not in str(ws.messages)
    assert KEY not in react_tower.log.read_text()


async def test_its_quota_is_its_bound(react_tower: TowerProcess, api: ModelApi) -> None:
    """It fails, or a person is asked; a price that nobody knows cannot be limited."""
    api.model = in_order([Said("Looking.", [("clock", {})])])
    async with wire(react_tower.ws_url) as ws:
        last = await run(ws, quota={"max_llm_calls": 3, "on_limit": "fail"})
        assert last["type"] == "mission.quota_exceeded"
        assert len(api.requests) == 3
        await ws.call("mission.submit", mission="Do it.", quota={"max_tool_calls": 2})
        asked = await ws.event("interrupt.raised")
        assert asked["data"]["kind"] == "resource_exhausted"
        number = asked["data"]["interrupt_id"]
        await ws.call("interrupt.answer", interrupt_id=number, decision="finish")
        last = await ws.ended()
        assert (last["type"], last["data"]["result"]) == ("mission.completed", "Looking.")
        before = len(api.requests)
        last = await run(ws, profile="llamacpp", quota={"max_cost_usd": 1})
        assert last["type"] == "mission.failed"
        assert "price of llamacpp:tiny is not known" in last["data"]["error"]["message"]
        assert len(api.requests) == before


async def test_a_silent_model_is_no_reason_to_hang(
    react_tower: TowerProcess, api: ModelApi
) -> None:
    """Its mission can be cancelled at once, and the server still answers."""
    api.model = in_order([Said("late", first_s=60)])
    async with wire(react_tower.ws_url) as ws:
        ack = await ws.call("mission.submit", mission="Do it.")
        await ws.event(is_turn)
        await ws.call("mission.cancel", mission_id=ack["mission_id"])
        last = await ws.ended()
        assert last["type"] == "mission.cancelled"
        assert last["data"]["unfinished"][0]["step"] == "3"
        with pytest.raises(Refused):
            await ws.call("mission.pause", mission_id=ack["mission_id"])


async def test_a_model_without_its_key_degrades_readiness(make_tower: MakeTower) -> None:
    """Named by the variable that is missing; the server takes missions all the same."""
    tower = make_tower(TOWER_MODEL="openai:tiny", OPENAI_API_KEY="")
    ready = httpx2.get(f"{tower.url}/ready")
    assert ready.status_code == 200
    component = ready.json()["components"]["llm"]
    assert (component["status"], component["message"]) == (
        "degraded",
        "openai: OPENAI_API_KEY must be set",
    )
    async with wire(tower.ws_url) as ws:
        last = await run(ws)
        assert "OPENAI_API_KEY must be set" in last["data"]["error"]["message"]
