"""What may be run: the registry's agents, and profiles as presets of a request."""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from agents.errors import RegistrationError
from agents.program import AgentProgram
from agents.registry import Registry
from control_tower.ports import Profile
from control_tower.quota.quotas import ResourceQuota

DEFAULT_PROFILE = "dev"
WITHOUT_MODEL = "demo"
WITH_MODEL = "react"
_FIELDS = frozenset({"agent", "quota", "model", "system_prompt", "tools"})


def default_agent(model: str | None) -> str:
    """Return the agent that serves where a request names none: it depends on having a model."""
    return WITH_MODEL if model else WITHOUT_MODEL


class AgentCatalog:
    """Implements :class:`control_tower.ports.Catalog` over a registry.

    Attributes:
        profiles: every profile by name; ``dev`` is always there.
    """

    def __init__(
        self,
        registry: Registry,
        profiles: "Mapping[str, Profile | Mapping[str, Any]] | None" = None,
        default_agent: str | None = None,
    ) -> None:
        """Read the profiles.

        Args:
            registry: where agents are found; what is registered later is found, too.
            profiles: by name, as :class:`Profile` or as the tables of ``tower.toml``.
            default_agent: ``demo`` by default.

        Raises:
            RegistrationError: for a profile with unknown or ill-typed fields.
        """
        self._registry = registry
        self._default = default_agent or WITHOUT_MODEL
        tables: dict[str, Profile | Mapping[str, Any]] = {DEFAULT_PROFILE: {}}
        tables.update(profiles or {})
        self.profiles: dict[str, Profile] = {
            name: self._profile(name, table) for name, table in tables.items()
        }

    @property
    def default_agent(self) -> str:
        """The agent of a request that names none."""
        return self._default

    @property
    def agents(self) -> Collection[str]:
        """The names of all agents."""
        return self._registry.agents.keys()

    def program(self, name: str) -> AgentProgram | None:
        """Return the agent called ``name``."""
        return self._registry.agents.get(name)

    def profile(self, name: str) -> Profile | None:
        """Return the profile called ``name``."""
        return self.profiles.get(name)

    def _agent_for(self, table: "Mapping[str, Any]") -> str:
        return WITH_MODEL if table.get("model") else self._default

    def _profile(self, name: str, table: "Profile | Mapping[str, Any]") -> Profile:
        if isinstance(table, Profile):
            return table
        unknown = sorted(set(table) - _FIELDS)
        if unknown:
            raise RegistrationError(
                f"The profile {name} has {', '.join(unknown)}; it may have "
                f"{', '.join(sorted(_FIELDS))}."
            )
        quota, tools = table.get("quota"), table.get("tools")
        try:
            return Profile(
                name=name,
                agent=msgspec.convert(table.get("agent", self._agent_for(table)), str),
                quota=None if quota is None else msgspec.convert(quota, ResourceQuota),
                model=msgspec.convert(table.get("model"), str | None),
                system_prompt=msgspec.convert(table.get("system_prompt"), str | None),
                tools=None if tools is None else tuple(msgspec.convert(tools, list[str])),
            )
        except msgspec.ValidationError as error:
            raise RegistrationError(f"The profile {name} is not right: {error}.") from error
