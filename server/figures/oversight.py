"""What governance looks at: how the tools are, what was seen of their calls, and what was counted.

Alone, this process's own executor is all there is (:class:`OwnOversight`). Where missions run on
several nodes, :class:`server.figures.cluster_oversight.ClusterOversight` asks them all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from agents.breaker import BreakerState
from agents.health import HealthBook
from agents.witness import Sighting
from events.payloads import JsonObject

if TYPE_CHECKING:
    from server.services import Services


@dataclass(slots=True, frozen=True)
class Standing:
    """How a tool stands at a node, or over several.

    Attributes:
        failures: of the last five minutes.
        retry_at: when the next trial may be made, in Unix seconds; None while closed.
        trouble: why it can't work at all; None when it can.
        nodes: of several, the names of those at which its breaker is not closed.
    """

    breaker: BreakerState = BreakerState.CLOSED
    failures: int = 0
    retry_at: float | None = None
    trouble: str | None = None
    nodes: tuple[str, ...] = ()


@dataclass(slots=True, frozen=True)
class Seen:
    """All tools at one moment.

    Attributes:
        now: Unix seconds.
        health: how their calls went.
        standing: returns how a tool that is registered stands.
        unanswered: the names of nodes of which this tells nothing.
    """

    now: float
    health: HealthBook
    standing: Callable[[str], Standing]
    unanswered: Sequence[str] = ()


class Oversight(Protocol):
    """Looks at the tools of the whole system.

    Attributes:
        health: how their calls went, as far as it was looked.
    """

    health: HealthBook

    async def tools(self) -> Seen:
        """Return how the tools are now."""

    async def sightings(self) -> Sequence[Sighting]:
        """Return the newest attempts that executors made, oldest first of each."""

    async def figures(self) -> JsonObject:
        """Return what ``/api/v1/metrics`` shows."""


def standing_here(services: "Services", name: str) -> Standing:
    """Return how a tool stands in this process."""
    breaker = services.tools.breaker(name)
    return Standing(
        breaker.state,
        breaker.failures(services.clock.now()),
        breaker.retry_at,
        services.registry.tools[name].trouble(),
    )


class OwnOversight:
    """The :class:`Oversight` of a server that is alone."""

    def __init__(self, services: "Services") -> None:
        self._services = services
        self.health = services.tools.health

    async def tools(self) -> Seen:
        """Return how the tools are now."""
        services = self._services
        return Seen(services.clock.now(), self.health, lambda name: standing_here(services, name))

    async def sightings(self) -> Sequence[Sighting]:
        """Return the newest attempts, oldest first."""
        return list(self._services.tools.witness)

    async def figures(self) -> JsonObject:
        """Return what this process counted."""
        return self._services.figures() | {"nodes": 1, "unanswered": []}
