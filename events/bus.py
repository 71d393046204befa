"""The bus between processes: what one node commits, every node's hub is told, in order."""

from collections.abc import Sequence
from typing import Protocol

from events.types import Committed, Ephemeral


class Receiver(Protocol):
    """Who is told; a hub."""

    def publish(self, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
        """Take the events of one unit, then its ephemeral ones."""

    def publish_ephemeral(self, event: Ephemeral) -> None:
        """Take an ephemeral event."""


class Bus(Protocol):
    """Carries units from the process that committed them to all."""

    def send(self, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
        """Send the events of one unit, then its ephemeral ones. Never blocks."""

    def send_ephemeral(self, event: Ephemeral) -> None:
        """Send an ephemeral event. Never blocks."""


class LocalBus:
    """The bus of a process that is alone: a call."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def send(self, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
        """Hand the events of one unit over, then its ephemeral ones."""
        self._receiver.publish(events, after)

    def send_ephemeral(self, event: Ephemeral) -> None:
        """Hand an ephemeral event over."""
        self._receiver.publish_ephemeral(event)
