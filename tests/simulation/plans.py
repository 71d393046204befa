"""Programs as data: what a generated agent does, drawn from the seed before the world begins."""

from dataclasses import dataclass
from typing import TypeAlias

from control_tower.quota.quotas import ResourceQuota
from tests.simulation.chance import Chance

AGENTS = 9
"""Agents ``a0`` … ``a8``; a program bears only agents with a lower number, so families end."""


@dataclass(slots=True, frozen=True)
class Say:
    """Stream text."""

    text: str


@dataclass(slots=True, frozen=True)
class Work:
    """``ctx.step``."""

    name: str
    idempotent: bool
    threaded: bool


@dataclass(slots=True, frozen=True)
class Use:
    """``ctx.tool``."""

    tool: str
    n: int
    bad: bool = False


@dataclass(slots=True, frozen=True)
class Think:
    """``ctx.llm``."""

    words: int
    model: str | None = None


@dataclass(slots=True, frozen=True)
class Ask:
    """``ctx.clarify``."""

    options: tuple[str, ...] | None
    strict: bool


@dataclass(slots=True, frozen=True)
class Approve:
    """``ctx.confirm``."""

    n: int


@dataclass(slots=True, frozen=True)
class Nap:
    """``ctx.sleep``."""

    seconds: float


@dataclass(slots=True, frozen=True)
class Tell:
    """``ctx.emit``."""

    n: int


@dataclass(slots=True, frozen=True)
class Waver:
    """Do something else each time the program is run, until somebody mends it."""


@dataclass(slots=True, frozen=True)
class Keep:
    """``ctx.artifact``."""

    n: int


@dataclass(slots=True, frozen=True)
class Draw:
    """``now``, ``random`` and ``uuid``, seen by the program and decided upon."""

    low: "Ops"
    high: "Ops"


@dataclass(slots=True, frozen=True)
class Recall:
    """``ctx.history``."""

    limit: int


@dataclass(slots=True, frozen=True)
class Fork:
    """``ctx.parallel``."""

    branches: tuple["Ops", ...]


@dataclass(slots=True, frozen=True)
class Bear:
    """``ctx.spawn``; ``join`` is ``now``, ``late`` (at the program's end) or ``never``."""

    agent: str
    quota: ResourceQuota | None
    join: str


@dataclass(slots=True, frozen=True)
class Idle:
    """Await something of one's own between calls."""

    seconds: float


@dataclass(slots=True, frozen=True)
class Guarded:
    """Catch what ``ops`` raise: ``agent`` errors, any ``Exception``, or ``everything``."""

    ops: "Ops"
    catch: str


@dataclass(slots=True, frozen=True)
class Throw:
    """Raise."""

    kind: str


@dataclass(slots=True, frozen=True)
class Cut:
    """Calls under ``asyncio.timeout``, which no journal knows of."""

    after_s: float
    ops: "Ops"


Op: TypeAlias = (
    Say
    | Work
    | Use
    | Think
    | Ask
    | Approve
    | Nap
    | Tell
    | Waver
    | Keep
    | Draw
    | Recall
    | Fork
    | Bear
    | Idle
    | Guarded
    | Throw
    | Cut
)
Ops: TypeAlias = tuple[Op, ...]


@dataclass(slots=True, frozen=True)
class Plan:
    """A whole program: what it does, and how it returns (``text``, ``json``, ``pair``, ``odd``)."""

    name: str
    ops: Ops
    returns: str


LEAVES = {
    "say": 2.0,
    "work": 4.0,
    "use": 5.0,
    "think": 2.5,
    "ask": 1.2,
    "approve": 1.0,
    "nap": 2.0,
    "tell": 1.5,
    "waver": 0.15,
    "keep": 0.6,
    "recall": 0.7,
    "idle": 0.7,
    "throw": 0.15,
}
NODES = {"draw": 0.8, "fork": 1.3, "bear": 1.3, "guarded": 2.0, "cut": 0.15}
THROWS = ("value", "key", "agent", "quota", "surrogate", "mute", "base", "exit", "timeout")


def plans(chance: Chance) -> list[Plan]:
    """Return the world's programs."""
    return [_plan(chance.of("plan", number), number) for number in range(AGENTS)]


def _plan(chance: Chance, number: int) -> Plan:
    ops = _ops(chance, number, 0, chance.number(1, 4 if number < 4 else 7))
    if chance.happens(0.5):
        ops = (Guarded(ops, chance.weighed({"agent": 3, "exception": 2, "everything": 1.5})),)
        ops += _ops(chance, number, 1, chance.number(0, 2))
    returns = chance.weighed({"text": 5, "json": 3, "pair": 1, "odd": 0.2})
    return Plan(f"a{number}", ops, returns)


def _ops(chance: Chance, number: int, depth: int, count: int) -> Ops:
    return tuple(_op(chance, number, depth) for _ in range(count))


def _op(chance: Chance, number: int, depth: int) -> Op:
    weights = dict(LEAVES) if depth >= 3 else {**LEAVES, **NODES}
    if number < 2:
        weights.pop("bear", None)
    return _make(chance, chance.weighed(weights), number, depth + 1)


def _make(chance: Chance, kind: str, number: int, depth: int) -> Op:
    match kind:
        case "fork":
            size = chance.number(0 if chance.happens(0.1) else 2, 3)
            return Fork(
                tuple(_ops(chance, number, depth, chance.number(1, 3)) for _ in range(size))
            )
        case "guarded":
            catch = chance.weighed({"agent": 3, "exception": 2, "everything": 1})
            return Guarded(_ops(chance, number, depth, chance.number(1, 3)), catch)
        case "draw":
            low = _ops(chance, number, depth, chance.number(0, 2))
            return Draw(low, _ops(chance, number, depth, chance.number(0, 2)))
        case "bear":
            quota = small_quota(chance) if chance.happens(0.4) else None
            join = chance.weighed({"now": 4, "late": 2, "never": 1})
            return Bear(f"a{chance.number(0, number - 1)}", quota, join)
        case "cut":
            ops = _ops(chance, number, depth, chance.number(1, 3))
            return Cut(chance.pick((0.01, 1.0, 5.0)), ops)
        case _:
            return _leaf(chance, kind)


def _leaf(chance: Chance, kind: str) -> Op:  # noqa: C901, PLR0912  # one case an operation
    match kind:
        case "say":
            return Say("".join(chance.random.choices("abcdé\U0001f600", k=chance.number(1, 9))))
        case "work":
            return Work(f"w{chance.number(0, 3)}", chance.happens(0.5), chance.happens(0.3))
        case "use":
            tools = {
                "lookup": 4,
                "charge": 4,
                "wipe": 2,
                "publish": 1,
                "note": 1,
                "ask": 1,
                "nosuch": 0.3,
            }
            return Use(chance.weighed(tools), chance.number(0, 9), bad=chance.happens(0.05))
        case "think":
            return Think(chance.number(1, 4), "missing" if chance.happens(0.05) else None)
        case "ask":
            options = ("red", "blue") if chance.happens(0.5) else None
            return Ask(options, strict=chance.happens(0.5))
        case "approve":
            return Approve(chance.number(0, 9))
        case "nap":
            return Nap(chance.pick((0.0, 0.01, 0.5, 3.0, 3.0, 20.0)))
        case "tell":
            return Tell(chance.number(0, 9))
        case "waver":
            return Waver()
        case "keep":
            return Keep(chance.number(0, 3))
        case "recall":
            return Recall(chance.number(1, 5))
        case "idle":
            return Idle(chance.pick((0.0, 0.001, 0.05, 2.0)))
        case _:
            return Throw(chance.pick(THROWS))


def small_quota(chance: Chance) -> ResourceQuota:
    """Return a quota that is soon used up."""
    return ResourceQuota(
        max_llm_calls=chance.pick((None, 1, 2, 50)),
        max_tool_calls=chance.pick((None, 0, 1, 2, 4, 100)),
        max_input_tokens=chance.pick((None, 40, 500_000)),
        max_output_tokens=chance.pick((None, 40, 100_000)),
        max_children=chance.pick((None, 0, 1, 3, 32)),
        max_events=chance.pick((20_000, 20_000, 12, 40)),
        timeout_seconds=chance.pick((3600, 3600, 5, 60)),
        on_limit=chance.pick(("ask", "ask", "fail")),
    )
