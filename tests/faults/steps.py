"""The life of each step as the log tells it, what must not be in it, and what came of it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.faults.scripts import ONCE, approves
from tests.faults.witness import TERMINAL, Event, Sink


@dataclass(slots=True)
class StepHistory:
    """A step, event by event.

    Attributes:
        phase: ``new``, ``asked``, ``approved``, ``open`` (an attempt is under way), ``doubt``,
            ``decided`` (a person said what became of it), ``done``.
        attempts: the attempts that were begun.
    """

    pid: str
    step: str
    name: str = ""
    label: str = ""
    phase: str = "new"
    attempts: list[int] = field(default_factory=list)
    completed: bool = False
    wrong: list[str] = field(default_factory=list)

    def take(self, event: Event) -> None:
        """Take the step's next event."""
        kind, data = event["type"], event["data"]
        if self.phase == "done":
            self._say(f"{kind} after its outcome")
        elif kind == "step.started":
            self._started(data)
        elif kind in {"step.completed", "step.failed"}:
            self._ended(kind, data)
        elif kind == "interrupt.raised":
            self._asked(data)
        elif kind == "interrupt.resolved":
            self.phase = "decided"

    def ended(self) -> None:
        """The mission has ended."""
        self.phase = "done"

    def _say(self, what: str) -> None:
        self.wrong.append(f"{self.pid} step {self.step} ({self.name} {self.label}): {what}")

    def _name(self, name: str, arguments: Any) -> None:
        self.name = self.name or name
        if isinstance(arguments, dict) and isinstance(arguments.get("label"), str):
            self.label = arguments["label"]
        elif isinstance(arguments, list) and arguments and isinstance(arguments[0], str):
            self.label = arguments[0]

    def _started(self, data: dict[str, Any]) -> None:
        self._name(data["name"], data["input"])
        if data["kind"] in {"confirm", "clarify"}:
            return  # says that the question is put, which is raised beside it
        if self.phase == "open" and self.name in ONCE:
            self._say(f"attempt {data['attempt']} began while its last one was open")
        if self.phase in {"doubt", "asked"}:
            self._say("began before a person decided")
        first = 1 if data["kind"] != "history" else data["attempt"]  # said when it is done
        if data["attempt"] != (self.attempts[-1] + 1 if self.attempts else first):
            self._say(f"attempt {data['attempt']} after the attempts {self.attempts}")
        self.attempts.append(data["attempt"])
        self.phase = "open"

    def _ended(self, kind: str, data: dict[str, Any]) -> None:
        if data.get("will_retry"):
            return
        if self.phase == "doubt":
            self._say(f"{kind} before a person decided")
        self.completed = kind == "step.completed"
        self.phase = "done"

    def _asked(self, data: dict[str, Any]) -> None:
        self._name(data.get("tool") or self.name, data.get("arguments"))
        if data["kind"] == "unknown_outcome":
            if self.phase != "open":
                self._say(f"was doubted while it was {self.phase}")
            if self.name not in ONCE:
                self._say("was doubted, though it may run again")
            self.phase = "doubt"
        else:
            self.phase = "asked"


def histories_of(events: Iterable[Event]) -> dict[tuple[str, str], StepHistory]:
    """Return the life of every step, by mission and step."""
    steps: dict[str, dict[str, StepHistory]] = defaultdict(dict)
    step_of: dict[str, str] = {}
    for event in events:
        pid, kind, data = event["mission_id"], event["type"], event["data"]
        if kind in TERMINAL:
            for history in steps[pid].values():
                history.ended()
        if kind == "interrupt.raised":
            step_of[data["interrupt_id"]] = data["step"]
        if kind.startswith(("step.", "interrupt.")):
            step = data["step"] if "step" in data else step_of[data["interrupt_id"]]
            steps[pid].setdefault(step, StepHistory(pid, step)).take(event)
    return {(pid, step): one for pid, mine in steps.items() for step, one in mine.items()}


def wrong_effects(histories: Iterable[StepHistory], sink: Sink) -> Iterator[str]:
    """Yield effects without a committed intent, made twice, or said to be what they are not.

    People say *retry* only for what has left no trace, so nothing may leave two.
    """
    steps = {history.label: history for history in histories if history.label}
    traces: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for trace in sink.traces():
        traces[trace["label"]].append(trace)
    for label in traces.keys() - steps.keys():
        yield f"{label} acted without a step"
    for label, step in steps.items():
        if step.name in ONCE:
            yield from _wrong_with(step, traces[label])


def _wrong_with(step: StepHistory, traces: Sequence[dict[str, Any]]) -> Iterator[str]:
    if len(traces) > 1:
        yield f"{step.label} acted {len(traces)} times"
    if step.completed and not traces:
        yield f"{step.label} is said to have happened, and did not"
    if traces and step.name == "refund" and not approves(step.label):
        yield f"{step.label} acted although it was refused"
    acted_in = Counter(trace["attempt"] for trace in traces if "attempt" in trace)
    for attempt in acted_in.keys() - set(step.attempts):
        yield f"{step.label} acted in attempt {attempt}, which was never begun"
