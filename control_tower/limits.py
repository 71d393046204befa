"""The tower's own settings, as the kernel needs them."""

from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class TowerLimits:
    """Bounds and times; the defaults are settings.md's. None is no limit."""

    max_running: int = 256
    max_running_per_user: int | None = None
    max_queued_per_user: int | None = 10_000
    missions_per_day: int | None = None
    tokens_per_day: int | None = None
    cost_per_day_usd: float | None = None
    park_after_s: float = 60.0
    confirmation_ttl_s: float = 3600.0
    clarification_ttl_s: float = 86_400.0
    resource_exhausted_ttl_s: float = 86_400.0
