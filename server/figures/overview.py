"""What ``tower.status`` shows: the kernel's processes, and what this server does around them."""

import msgspec

from events.payloads import JsonObject
from server.figures.metrics import Counts
from server.figures.throughput import Throughput
from server.services import Services
from server.wire.ws import Sockets


class Overview:
    """Everything at a glance, for operators and viewers.

    Attributes:
        counts: of this process.
    """

    def __init__(self, services: Services, sockets: Sockets, counts: Counts) -> None:
        self._services = services
        self._sockets = sockets
        self.counts = counts
        self._throughput = Throughput(sockets.now(), self._counted())

    def note(self) -> None:
        """Remember how the counts stand; to be called every few seconds."""
        self._throughput.note(self._sockets.now(), self._counted())

    async def status(self) -> JsonObject:
        """Return the result of ``tower.status`` where this server is alone."""
        return self.part()

    def part(self) -> JsonObject:
        """Return what this server itself is and does."""
        status = self._services.tower.status()
        clients = [msgspec.to_builtins(each.status()) for each in self._sockets.connections]
        return {
            **status,
            "rates": self._throughput.rates(self._sockets.now(), self._counted()),
            "nodes": [status["node"]],
            "offset": self._services.hub.head,
            "clients": clients,
        }

    def _counted(self) -> dict[str, int]:
        return {
            "events": self.counts.events,
            "deliveries": self._services.hub.figures().written.deliveries,
            "missions": self.counts.missions,
        }
