"""The bridge from the kernel to the fan-out: where committed and ephemeral events are handed over.

It is the writer's :class:`events.log.Publish` and the kernel's ``Publisher``. Which processes hear
of the events is the bus's business.
"""

from collections.abc import Sequence

from events.bus import Bus
from events.types import Committed, Ephemeral


class Bridge:
    """Hands events to the bus, in the order in which it is called.

    Attributes:
        bus: may be another one as long as nothing was handed over.
    """

    def __init__(self, bus: Bus) -> None:
        self.bus = bus

    def publish(self, events: Sequence[Committed], after: Sequence[Ephemeral] = ()) -> None:
        """Send the events of one committed unit, then its ephemeral ones."""
        if events or after:
            self.bus.send(events, after)

    def publish_ephemeral(self, event: Ephemeral) -> None:
        """Send an ephemeral event at once."""
        self.bus.send_ephemeral(event)
