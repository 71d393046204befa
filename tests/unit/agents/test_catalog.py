"""The catalog: agents and profiles, and the runtime that bundles what missions need."""

from types import SimpleNamespace
from typing import Any

import pytest

from agents.catalog import AgentCatalog, default_agent
from agents.errors import ModelFailed, RegistrationError
from agents.llm.mock import MockProvider
from agents.registry import Registry
from agents.runtime import create_mission_runtime
from control_tower.ports import EffectContext, Profile
from control_tower.quota.quotas import ResourceQuota


def test_the_default_agent_depends_on_having_a_model() -> None:
    """Without one, the demo serves."""
    assert default_agent(None) == "demo"
    assert default_agent("mock:echo") == "react"


def test_dev_always_exists(registry: Registry) -> None:
    """It is the default agent, unless it is configured."""
    catalog = AgentCatalog(registry)
    assert catalog.default_agent == "demo"
    assert catalog.profile("dev") == Profile("dev", "demo")
    assert catalog.profile("other") is None
    configured = AgentCatalog(registry, {"dev": {"agent": "echo"}}, "react")
    assert configured.profile("dev") == Profile("dev", "echo")


def test_profiles_are_read_from_tables(registry: Registry) -> None:
    """As tower.toml has them."""
    catalog = AgentCatalog(
        registry,
        {
            "careful": {
                "agent": "react",
                "quota": {"max_tool_calls": 3},
                "model": "mock:echo",
                "system_prompt": "Be careful.",
                "tools": ["clock"],
            },
            "given": Profile("given", "echo"),
            "empty": {},
        },
        "react",
    )
    assert catalog.profile("careful") == Profile(
        "careful",
        "react",
        quota=ResourceQuota(max_tool_calls=3),
        model="mock:echo",
        system_prompt="Be careful.",
        tools=("clock",),
    )
    assert catalog.profile("given") == Profile("given", "echo")
    assert catalog.profile("empty") == Profile("empty", "react")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"agnet": "x"}, "has agnet"),
        ({"agent": 5}, "is not right"),
        ({"tools": "clock"}, "is not right"),
        ({"quota": {"max_tools": 3}}, "is not right"),
    ],
)
def test_a_wrong_profile_is_named(registry: Registry, table: dict[str, Any], said: str) -> None:
    """At the start, not at the first request."""
    with pytest.raises(RegistrationError, match=f"The profile mine {said}"):
        AgentCatalog(registry, {"mine": table})


def test_programs_are_found_also_when_registered_later(registry: Registry) -> None:
    """The catalog is a view of the registry."""
    catalog = AgentCatalog(registry)
    assert catalog.program("late") is None

    async def late(ctx: Any) -> None:
        """Come late."""

    registry.agent("late")(late)
    program = catalog.program("late")
    assert program is not None
    assert program.name == "late"


async def test_a_runtime_with_the_mock(registry: Registry, files: Any) -> None:
    """Its tools and models work; its parts have the seed's names."""
    runtime = create_mission_runtime(registry, persistence=files, use_mock=True)
    assert runtime.persistence is files
    assert runtime.mock_provider is runtime.llm_provider_factory("openai")
    plan = runtime.tool_executor.plan("calculator", {"expression": "6*7"})
    effect = EffectContext("m", "s", "u", "1", 1, "key", lambda _: None)
    assert await runtime.tool_executor.run(plan, effect) == "42"
    request = runtime.models.plan([{"role": "user", "content": "x"}], None, (), {})
    assert request.model == "mock:echo"


async def test_a_runtime_without_anything(registry: Registry) -> None:
    """There are no files, and the provider is found by name."""
    runtime = create_mission_runtime(registry, settings=SimpleNamespace(model="mock:echo"))
    assert runtime.mock_provider is None
    assert isinstance(runtime.llm_provider_factory("mock"), MockProvider)
    with pytest.raises(ModelFailed, match="no provider nobody"):
        runtime.llm_provider_factory("nobody")
    effect = EffectContext("m", "s", "u", "1", 1, "key", lambda _: None)
    plan = runtime.tool_executor.plan("workspace.list", {})
    assert await runtime.tool_executor.run(plan, effect) == []


def test_the_config_registry_keeps_values(registry: Registry) -> None:
    """Under a name, replacing what was there; a given one is used."""
    runtime = create_mission_runtime(registry)
    runtime.config_registry.register("k", 1)
    runtime.config_registry.register("k", 2)
    assert runtime.config_registry.get("k") == 2
    assert runtime.config_registry.get("none") is None
    own = object()
    assert create_mission_runtime(registry, config_registry=own).config_registry is own
