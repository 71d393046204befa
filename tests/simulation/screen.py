"""What clients are shown: every event once and in order, and deltas in their place."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from events.payloads import TERMINAL_TYPES
from events.types import Committed, Ephemeral

if TYPE_CHECKING:
    from tests.simulation.auditor import Auditor


class Screen:
    """``events.log.Publish`` and ``ports.Publisher``; judges what passes.

    Attributes:
        events: durable events as shown; what a crash kept back is in the log alone.
        deltas: ephemeral ones, each with the offset ``after`` which it was shown.
        ended: missions whose terminal event was shown.
        upto: the last offset shown.
    """

    def __init__(self, auditor: "Auditor") -> None:
        self._auditor = auditor
        self.events: list[dict[str, Any]] = []
        self.deltas: list[dict[str, Any]] = []
        self.ended: set[str] = set()
        self.upto = 0
        self._started: set[tuple[str, str, int]] = set()
        self._at: dict[tuple[int, str, str | None, int], int] = {}
        self._said: dict[tuple[int, str], dict[int, str]] = {}

    def begin_life(self, head: int) -> None:
        """A server begins; clients read what they missed from the log."""
        self.upto = head

    def publish(self, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
        """``events.log.Publish``."""
        for event in events:
            if event.offset != self.upto + 1:
                self._auditor.breach(f"showed {event.offset} after {self.upto}")
            if event.offset > self._auditor.head:
                self._auditor.breach(f"showed {event.offset}, which is not committed")
            self.upto = event.offset
            self._show(json.loads(event.body)["params"])
        for delta in after:
            self.publish_ephemeral(delta)

    def _show(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        pid, data = event["mission_id"], event["data"]
        if event["type"] == "step.started":
            self._started.add((pid, data["step"], data["attempt"]))
        if event["type"] in TERMINAL_TYPES:
            self.ended.add(pid)

    def publish_ephemeral(self, event: Ephemeral) -> None:
        """``ports.Publisher``."""
        params = json.loads(event.body)["params"]
        params["after"] = self.upto
        self.deltas.append(params)
        pid, data = params["mission_id"], params["data"]
        if pid in self.ended:
            self._auditor.breach(f"{pid}: a delta after its terminal event")
        if data["step"] is None:
            self._judge_saying(pid, data)
        else:
            self._judge_streaming(pid, data)

    def _judge_streaming(self, pid: str, data: dict[str, Any]) -> None:
        step, attempt = data["step"], data["attempt"]
        if (pid, step, attempt) not in self._started:
            self._auditor.breach(f"{pid}: a delta of step {step}.{attempt} before its step.started")
        key = (self._auditor.world.life.number, pid, step, attempt)
        if data["at"] != self._at.get(key, 0):
            self._auditor.breach(
                f"{pid}: a delta of step {step} at {data['at']}, not {self._at.get(key)}"
            )
        self._at[key] = data["at"] + len(data["text"])

    def says(self, pid: str, at: int, text: str) -> None:
        """A program is about to stream ``text``, ``at`` characters into this run."""
        said = self._said.setdefault((self._auditor.world.life.number, pid), {})
        said.update(enumerate(text, at))

    def _judge_saying(self, pid: str, data: dict[str, Any]) -> None:
        said, at, text = (
            self._said.get((self._auditor.world.life.number, pid), {}),
            data["at"],
            data["text"],
        )
        if "".join(said.get(place, "?") for place in range(at, at + len(text))) != text:
            self._auditor.breach(f"{pid}: streamed {text!r} at {at}, said {said}")
