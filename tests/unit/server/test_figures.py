"""Figures: requests by route, models' turns, the line of a mission, and Prometheus' text."""

from collections.abc import Mapping, Sequence

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from control_tower.errors import ModelFailed
from control_tower.ports import EffectContext, ModelRequest, ModelTurn
from control_tower.quota.quotas import ResourceUsage
from events.payloads import JsonObject, MissionFailed
from events.types import Committed, Scope, draft
from server.figures.http_figures import BOUNDS_S, HttpFigures
from server.figures.metrics import CountedModels, Counts, prometheus_text
from server.figures.mission_line import say_ended


class Models:
    """Models that answer, or fail when the model is called so."""

    def plan(
        self,
        messages: Sequence[JsonObject],
        model: str | None,
        tools: Sequence[object],
        settings: Mapping[str, object],
    ) -> ModelRequest:
        """See ``ports.Models``."""
        return ModelRequest(model=model or "", messages=messages)

    def priced(self, model: str) -> bool:
        """See ``ports.Models``."""
        return True

    def turn_usage(self, model: str, input_tokens: int, output_tokens: int) -> ResourceUsage:
        """See ``ports.Models``."""
        raise NotImplementedError

    def estimate(self, request: ModelRequest) -> ResourceUsage:
        """See ``ports.Models``."""
        return ResourceUsage()

    async def run(self, request: ModelRequest, effect: EffectContext) -> ModelTurn:
        """See ``ports.Models``."""
        if request.model == "broken":
            raise ModelFailed("no")
        return ModelTurn({}, ResourceUsage(llm_calls=1, input_tokens=7, output_tokens=3))


def effect() -> EffectContext:
    """What an attempt is given."""
    return EffectContext("m", "s", "u", "1", 1, "k", lambda _: None)


async def test_turns_are_counted_as_they_end() -> None:
    """A failed one too: it was made."""
    counts = Counts()
    models = CountedModels(Models(), counts)
    await models.run(models.plan([], "good", (), {}), effect())
    with pytest.raises(ModelFailed):
        await models.run(models.plan([], "broken", (), {}), effect())
    assert counts.used == ResourceUsage(llm_calls=2, input_tokens=7, output_tokens=3)


def test_requests_are_counted_by_what_the_table_knows() -> None:
    """A method that a client made up gets no label of its own."""
    figures = HttpFigures()
    for number in range(100):
        figures.note(f"BREW{number}", "/x", 405, 0.002)
    figures.note("GET", "/x", 200, BOUNDS_S[0])
    figures.note("GET", "/x", 200, 60.0)
    parsed = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(prometheus_text(figures).decode())
        for sample in family.samples
    }
    name = "tower_http_requests_total"
    other = (("method", "OTHER"), ("route", "/x"), ("status", "405"))
    good = (("method", "GET"), ("route", "/x"), ("status", "200"))
    assert (parsed[name, *other], parsed[name, *good]) == (100, 2)
    took = "tower_http_request_duration_seconds"
    buckets = [parsed[f"{took}_bucket", ("le", str(le)), ("route", "/x")] for le in BOUNDS_S]
    assert (buckets[0], buckets[1], buckets[-1]) == (1, 101, 101)
    assert parsed[f"{took}_bucket", ("le", "+Inf"), ("route", "/x")] == 102
    assert parsed[f"{took}_count", ("route", "/x")] == 102


def test_a_mission_gets_one_line() -> None:
    """Who, what became of it and what it cost; neither the question nor the answer."""
    scope = Scope("s_1", "ada", ("m_0", "m_1"), "demo")
    data = MissionFailed(
        usage={"tool_calls": 2, "elapsed_seconds": 1.25},
        duration_ms=12.5,
        error={"code": "tool_failed", "message": "the secret of ada"},
    )
    body = draft(data, scope, 100.0).body(7)
    with structlog.testing.capture_logs() as lines:
        say_ended(Committed(7, "mission.failed", scope, body))
    (line,) = lines
    assert line["event"] == "mission.ended"
    assert (line["pid"], line["parent_pid"], line["user_id"]) == ("m_1", "m_0", "ada")
    assert (line["outcome"], line["error"], line["tool_calls"]) == ("failed", "tool_failed", 2)
    assert "secret" not in str(line)
