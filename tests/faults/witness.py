"""What the tests know without asking the server: acknowledgements, events seen, traces left.

The ledger is a file, written and synced before a test goes on, as a careful client would keep it.
"""

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

Event = dict[str, Any]

TERMINAL = frozenset(
    {
        "mission.completed",
        "mission.failed",
        "mission.cancelled",
        "mission.timed_out",
        "mission.quota_exceeded",
    }
)


def digest(text: str) -> bytes:
    """Return what stands for a message: equal for equal bytes."""
    return blake2b(text.encode(), digest_size=16).digest()


@dataclass(slots=True)
class Sink:
    """The file of side effects."""

    path: Path

    def traces(self) -> list[dict[str, Any]]:
        """Return every trace, in the order in which they were left."""
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def has(self, label: str) -> bool:
        """Whether an effect has happened."""
        return any(trace["label"] == label for trace in self.traces())


@dataclass(slots=True)
class Ledger:
    """What was acknowledged to the clients, and what they saw.

    Attributes:
        submitted: acknowledged submits: key → the reply.
        missions: the text and agent of every submit, by key.
        answered: acknowledged answers: interrupt → what was said.
        failed: labels of effects of which a person said that they failed.
        decided: how many doubts were decided how.
        seen: offset → digest of the message that carried it, whoever saw it first.
        wrong: what must not be.
    """

    path: Path
    submitted: dict[str, dict[str, Any]] = field(default_factory=dict)
    missions: dict[str, tuple[str, str]] = field(default_factory=dict)
    answered: dict[str, dict[str, Any]] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    decided: Counter[str] = field(default_factory=Counter)
    seen: dict[int, bytes] = field(default_factory=dict)
    resent: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def write(self, kind: str, **facts: object) -> None:
        """Keep a fact for good."""
        line = json.dumps({"kind": kind, **facts}) + "\n"
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, line.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def saw(self, who: str, offset: int, text: str) -> None:
        """A client received an event: it must be what anybody saw at that offset before."""
        mark = digest(text)
        if self.seen.setdefault(offset, mark) != mark:
            self.wrong.append(f"{who} saw another event at offset {offset}: {text[:300]}")

    def keep_seen(self) -> None:
        """Write down how far the clients have seen, before a kill."""
        self.write("seen", offsets=len(self.seen), head=max(self.seen, default=0))
