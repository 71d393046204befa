"""Agents of other frameworks on a real server, killed in mid-run, with a real server of models."""

from pathlib import Path

import pytest

from tests.integration.conftest import MakeTower
from tests.integration.tower_process import ROOT, TERMINAL, Event, eventually, wire
from tests.rig.model_api import Answer, ModelApi, Request, Said, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

APP = str(ROOT / "tests/integration/adapted_app.py")
AGENTS = ("assistant", "graph")


def asker(request: Request) -> str:
    """Return which of the app's agents asks: only one of them offers tools."""
    return "assistant" if request.body.get("tools") else "graph"


class Payer:
    """A model that pays, and then says so; the first time it takes for ever to say it."""

    def __init__(self) -> None:
        self.late = set(AGENTS)

    def __call__(self, request: Request) -> Answer:
        """Return the next turn."""
        if request.turns == 0:
            return Said("I will pay.", [("pay", {"euros": 5})], tokens=(1_000, 100))
        late = asker(request) in self.late
        self.late.discard(asker(request))
        return Said("It is paid.", first_s=120 if late else 0, tokens=(2_000, 200))


def turns_of(api: ModelApi, agent: str) -> list[int]:
    """Return which turns an agent asked for, by how many were before."""
    return [request.turns for request in api.requests if asker(request) == agent]


async def test_killed_twice_they_ask_no_model_and_pay_no_bill_again(
    make_tower: MakeTower, tmp_path: Path
) -> None:
    """Once while a person is asked, once while a model is; what is journaled stays done."""
    async with serving(Payer()) as api:
        paid = tmp_path / "paid"
        tower = make_tower(APP, MODEL_URL=f"{api.url}/v1", PAID=str(paid))
        pids, questions = {}, []
        async with wire(tower.ws_url) as ws:
            for agent in AGENTS:
                ack = await ws.call("mission.submit", mission="Pay 5 euros.", agent=agent)
                pids[ack["mission_id"]] = agent
                asked = (await ws.event("interrupt.raised"))["data"]
                assert asked["kind"] == "confirmation"
                assert asked["arguments"] == {"tool": "pay", "arguments": {"euros": 5}}
                questions.append(asked["interrupt_id"])
            for pid in pids:
                deltas = [e for e in ws.events if e["type"] == "llm.delta"]
                texts = [e["data"]["text"] for e in deltas if e["mission_id"] == pid]
                assert "".join(texts) == "I will pay. "
            seen = ws.durable[-1]["offset"]
        tower.kill()
        tower.start()
        async with wire(tower.ws_url) as ws:
            for question in questions:
                await ws.call("confirm", confirmation_id=question, approved=True)
            await eventually(lambda: len(api.requests) == 4, timeout_s=60)
        tower.kill()
        tower.start()
        ends: dict[str, Event] = {}
        async with wire(tower.ws_url) as ws:
            await ws.call("subscribe", topics=[f"mission:{pid}" for pid in pids], since=seen)
            while len(ends) < len(pids):
                last = await ws.event(lambda event: event["type"] in TERMINAL)
                ends[pids[last["mission_id"]]] = last
        assert paid.read_text() == "5\n5\n"
        for agent in AGENTS:
            last = ends[agent]
            assert (last["type"], last["data"]["result"]) == ("mission.completed", "It is paid. ")
            assert turns_of(api, agent) == [0, 1, 1]
            usage = last["data"]["usage"]
            # The turn that was cut is charged by its estimate, so there is more than was told.
            assert usage["llm_calls"] == 3
            assert usage["input_tokens"] >= 3_000
            assert usage["cost_usd"] > 0
