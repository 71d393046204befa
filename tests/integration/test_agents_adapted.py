"""Agents of other frameworks on a real server, killed in mid-run, with a real server of models."""

from pathlib import Path

import pytest

from tests.integration.conftest import MakeTower
from tests.integration.tower_process import ROOT, eventually, wire
from tests.rig.model_api import Answer, Request, Said, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

APP = str(ROOT / "tests/integration/adapted_app.py")


class Payer:
    """A model that pays, and then says so; the first time it takes for ever to say it."""

    def __init__(self) -> None:
        self.late = True

    def __call__(self, request: Request) -> Answer:
        """Return the next turn."""
        if request.turns == 0:
            return Said("I will pay.", [("pay", {"euros": 5})], tokens=(1_000, 100))
        late, self.late = self.late, False
        return Said("It is paid.", first_s=60 if late else 0, tokens=(2_000, 200))


@pytest.mark.parametrize("agent", ["assistant", "graph"])
async def test_killed_twice_it_asks_no_model_and_pays_no_bill_again(
    make_tower: MakeTower, tmp_path: Path, agent: str
) -> None:
    """Once while a person is asked, once while its model is; what is journaled stays done."""
    async with serving(Payer()) as api:
        paid = tmp_path / "paid"
        settings = {"MODEL_URL": f"{api.url}/v1", "PAID": str(paid)}
        tower = make_tower(APP, **settings)
        async with wire(tower.ws_url) as ws:
            ack = await ws.call("mission.submit", mission="Pay 5 euros.", agent=agent)
            asked = await ws.event("interrupt.raised")
            assert asked["data"]["kind"] == "confirmation"
            assert asked["data"]["arguments"] == {"tool": "pay", "arguments": {"euros": 5}}
            texts = [e["data"]["text"] for e in ws.events if e["type"] == "llm.delta"]
            assert "".join(texts) == "I will pay. "
            seen = ws.durable[-1]["offset"]
        tower.kill()
        tower.start()
        async with wire(tower.ws_url) as ws:
            number = asked["data"]["interrupt_id"]
            await ws.call("confirm", confirmation_id=number, approved=True)
            await eventually(lambda: len(api.requests) == 2, timeout_s=60)
        tower.kill()
        tower.start()
        async with wire(tower.ws_url) as ws:
            await ws.call("subscribe", topics=[f"mission:{ack['mission_id']}"], since=seen)
            last = await ws.ended()
        assert (last["type"], last["data"]["result"]) == ("mission.completed", "It is paid. ")
        assert [request.turns for request in api.requests] == [0, 1, 1]
        assert paid.read_text() == "5\n"
        usage = last["data"]["usage"]
        # The turn that was cut is charged by its estimate, so there is more than was told.
        assert usage["llm_calls"] == 3
        assert usage["input_tokens"] >= 3_000
        assert usage["cost_usd"] > 0
