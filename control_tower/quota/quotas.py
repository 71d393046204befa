"""What a mission may use, and what it has used."""

from typing import Annotated, Literal

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Amount = Annotated[float, msgspec.Meta(ge=0, le=1e15)]


class ResourceQuota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of one mission with its children; None is no limit. Defaults: tower.md."""

    max_llm_calls: Count | None = 50
    max_tool_calls: Count | None = 100
    max_input_tokens: Count | None = 500_000
    max_output_tokens: Count | None = 100_000
    max_cost_usd: Amount | None = None
    max_children: Count | None = 32
    max_events: Count | None = 20_000
    timeout_seconds: Amount | None = 3600.0
    on_limit: Literal["ask", "fail"] = "ask"


class ResourceUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What a mission has used so far. ``elapsed_seconds`` is running time."""

    llm_calls: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    children: int = 0
    events: int = 0
    elapsed_seconds: float = 0.0

    def plus(self, other: "ResourceUsage") -> "ResourceUsage":
        """Return the sum."""
        return ResourceUsage(
            **{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__}
        )


def eventless(usage: ResourceUsage) -> ResourceUsage:
    """Return a usage without its events, which are counted as they are made."""
    return msgspec.structs.replace(usage, events=0)
