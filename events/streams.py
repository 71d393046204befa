"""The text so far of everything that is streaming: what a newcomer missed of ``llm.delta``.

A delta is ephemeral, so whoever joins in the middle needs the text before it. A stream is a step
(or the time outside of any step) of a mission; a higher attempt starts it anew, and it ends with
the step's ``step.completed`` or ``step.failed``, or with its mission.

Deltas come by the ten thousand a second and are hardly ever asked for. So they are kept as the
JSON they are, and read only when somebody asks or when there are many of one mission.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from events.payloads import TERMINAL_TYPES, LlmDelta, StepCompleted, StepFailed
from events.topics import Filter
from events.types import Committed, Ephemeral, Scope

_STEP_ENDS = frozenset({StepCompleted.TYPE, StepFailed.TYPE})
_FOLD_AT = 128


class _DeltaData(msgspec.Struct):
    step: str | None = None
    attempt: int = 0
    at: int = 0
    text: str = ""


class _Params(msgspec.Struct):
    type: str
    data: _DeltaData


class _Message(msgspec.Struct):
    params: _Params


_decode = msgspec.json.Decoder(_Message).decode


class StreamText(msgspec.Struct, frozen=True):
    """A stream as it stands."""

    scope: Scope
    step: str | None
    attempt: int
    text: str


@dataclass(slots=True)
class _Stream:
    """One stream; not ``whole`` when its beginning is not known, which only ``at: 0`` mends."""

    attempt: int
    pieces: list[str] = field(default_factory=list)
    length: int = 0
    whole: bool = True

    def add(self, delta: _DeltaData) -> None:
        if delta.attempt < self.attempt:
            return
        if delta.attempt > self.attempt or delta.at == 0:
            self.attempt, self.pieces, self.length, self.whole = delta.attempt, [], 0, True
        if not self.whole or delta.at > self.length:
            self.give_up()
            return
        if delta.at < self.length:
            self.pieces = [self.text()[: delta.at]]
            self.length = delta.at
        self.pieces.append(delta.text)
        self.length += len(delta.text)

    def give_up(self) -> None:
        self.pieces, self.length, self.whole = [], 0, False

    def text(self) -> str:
        if len(self.pieces) > 1:
            self.pieces = ["".join(self.pieces)]
        return self.pieces[0] if self.pieces else ""


@dataclass(slots=True)
class _MissionStreams:
    scope: Scope
    raw: list[bytes] = field(default_factory=list)
    streams: dict[str | None, _Stream] = field(default_factory=dict)
    size: int = 0

    def fold(self, stream_bytes: int) -> None:
        """Read what came since the last time; a stream over its bound is given up."""
        raw, self.raw = self.raw, []
        for body in raw:
            message = _decode(body).params
            if message.type in _STEP_ENDS:
                self.streams.pop(message.data.step, None)
                continue
            # The newest last: partial_text takes the stream that moved last.
            stream = self.streams.pop(message.data.step, None) or _Stream(message.data.attempt)
            stream.add(message.data)
            self.streams[message.data.step] = stream
            if stream.length > stream_bytes:
                stream.give_up()
        self.size = sum(stream.length for stream in self.streams.values())


@dataclass(slots=True, frozen=True)
class StreamBounds:
    """Bytes kept at most: of one stream, and of all together."""

    stream_bytes: int = 1 << 20
    total_bytes: int = 64 << 20


class Streams:
    """Every live stream, by mission."""

    __slots__ = ("_bounds", "_by_topic", "_missions", "_size")

    def __init__(self, bounds: StreamBounds | None = None) -> None:
        self._bounds = bounds or StreamBounds()
        self._missions: dict[str, _MissionStreams] = {}
        self._by_topic: dict[str, dict[str, None]] = {}
        self._size = 0

    @property
    def size_bytes(self) -> int:
        """What is kept, about."""
        return self._size

    def delta(self, event: Ephemeral) -> None:
        """Take note of an ``llm.delta``."""
        pid = event.scope.mission_id
        if pid is None:
            return
        mission = self._missions.get(pid)
        if mission is None:
            mission = self._missions[pid] = _MissionStreams(event.scope)
            for topic in event.scope.topics:
                self._by_topic.setdefault(topic, {})[pid] = None
        self._note(mission, event.body)

    def durable(self, event: Committed) -> None:
        """Take note of a durable event: it may end streams."""
        if not self._missions:
            return
        pid = event.scope.mission_id
        mission = self._missions.get(pid) if pid is not None else None
        if mission is None or pid is None:
            return
        if event.type in TERMINAL_TYPES:
            self._drop(pid)
        elif event.type in _STEP_ENDS:
            self._note(mission, event.body)

    def of_mission(self, mission_id: str) -> list[StreamText]:
        """Return the live streams of a mission, the one that moved last at the end."""
        mission = self._missions.get(mission_id)
        if mission is None:
            return []
        self._fold(mission)
        return [
            StreamText(mission.scope, step, stream.attempt, stream.text())
            for step, stream in mission.streams.items()
            if stream.whole and stream.length
        ]

    def wanted_by(self, filters: Iterable[Filter]) -> Iterator[StreamText]:
        """Return the live streams whose deltas any of ``filters`` matches, each once."""
        found: dict[str, None] = {}
        for one in filters:
            for pid in self._by_topic.get(one.topic, ()):
                if one.accepts(LlmDelta.TYPE, self._missions[pid].scope):
                    found[pid] = None
        for pid in found:
            yield from self.of_mission(pid)

    def _note(self, mission: _MissionStreams, body: bytes) -> None:
        mission.raw.append(body)
        mission.size += len(body)
        self._size += len(body)
        if len(mission.raw) >= _FOLD_AT:
            self._fold(mission)
        if self._size > self._bounds.total_bytes:
            self._shrink()

    def _fold(self, mission: _MissionStreams) -> None:
        before = mission.size
        mission.fold(self._bounds.stream_bytes)
        self._size += mission.size - before

    def _shrink(self) -> None:
        for mission in self._missions.values():
            self._fold(mission)
        # Some way under the bound, so that the next delta does not fold everything again.
        while self._size > self._bounds.total_bytes * 3 // 4:
            self._drop(next(iter(self._missions)))

    def _drop(self, pid: str) -> None:
        mission = self._missions.pop(pid)
        self._size -= mission.size
        for topic in mission.scope.topics:
            row = self._by_topic[topic]
            del row[pid]
            if not row:
                del self._by_topic[topic]
