"""The runtime of missions in one object, under the names that the seed's integrations use."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agents.executor import Executor
from agents.llm.mock import MockProvider
from agents.llm.provider import Provider
from agents.llm.table import ModelTable
from agents.registry import Registry
from agents.workspace import Files
from control_tower.errors import ModelFailed
from control_tower.ports import Clock
from control_tower.records import FileRecord


class ConfigRegistry:
    """Values by name, for integrations that configure parts at run time."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def register(self, name: str, value: Any) -> None:
        """Keep ``value`` under ``name``, replacing what was there."""
        self._values[name] = value

    def get(self, name: str, default: Any = None) -> Any:
        """Return what is kept under ``name``, else ``default``."""
        return self._values.get(name, default)


@dataclass(slots=True)
class MissionRuntime:
    """What missions run on.

    Attributes:
        persistence: the store; None keeps nothing beyond the process.
        tool_executor: plans and runs tools.
        settings: as given.
        config_registry: values by name.
        llm_provider_factory: returns the provider of a name, as ``openai``.
        mock_provider: the scripted provider, when the mock is used.
    """

    persistence: Any
    tool_executor: Executor
    settings: Any
    config_registry: Any
    llm_provider_factory: Callable[[str], Provider]
    mock_provider: MockProvider | None = None
    models: ModelTable = field(default_factory=lambda: ModelTable([]))


class _NoFiles:
    """A store without files, for a runtime without persistence."""

    async def files(self, session_id: str) -> list[FileRecord]:  # noqa: ARG002 - there are none
        """Return none."""
        return []

    async def file(self, session_id: str, name: str) -> FileRecord | None:  # noqa: ARG002
        """Return None."""
        return None


class _WallClock:
    """The machine's clock."""

    def now(self) -> float:
        """Return Unix seconds."""
        return time.time()


def create_mission_runtime(
    tool_registry: Registry,
    persistence: Any = None,
    settings: Any = None,
    use_mock: bool = False,
    config_registry: Any = None,
) -> MissionRuntime:
    """Put the runtime of missions together.

    Args:
        tool_registry: the tools that missions may call.
        persistence: a store with ``files`` and ``file``; None for one without files.
        settings: anything with ``model``; the environment's ``TOWER_MODEL`` without it.
        use_mock: answer every model turn with the scripted provider.
        config_registry: kept if given, else a fresh one.
    """
    files: Files = _NoFiles() if persistence is None else persistence
    clock: Clock = _WallClock()
    environ: Mapping[str, str] = os.environ
    model = getattr(settings, "model", None) or environ.get("TOWER_MODEL")
    mock = MockProvider() if use_mock else None
    models = (
        ModelTable([mock], "mock:echo", tool_registry)
        if mock is not None
        else ModelTable.from_settings(model, environ, tool_registry)
    )

    def provider_of(name: str) -> Provider:
        found = mock if mock is not None else models.provider(name)
        if found is None:
            raise ModelFailed(f"There is no provider {name}.")
        return found

    return MissionRuntime(
        persistence=persistence,
        tool_executor=Executor(tool_registry, files, clock),
        settings=settings,
        config_registry=ConfigRegistry() if config_registry is None else config_registry,
        llm_provider_factory=provider_of,
        mock_provider=mock,
        models=models,
    )
