"""The judge: holds the log against what the clients were told, saw, and did.

It reads the log through `/ws` like any operator, once everything has ended. What it compares with
comes from outside the server: the clients' ledger, what they received, the sink of side effects.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from websockets.asyncio.client import connect

from tests.faults.crowd import Follower, Regular
from tests.faults.line import REPLY_S
from tests.faults.people import Person
from tests.faults.scripts import result_of, streamed_by
from tests.faults.steps import histories_of, wrong_effects
from tests.faults.witness import TERMINAL, Event, Ledger, Sink, digest

AT_ONCE_S = 1.0
"""How long a mission may take to commit what it had in flight when its parent ended."""

TAKEN_OVER_S = 30.0
"""The same where its node was lost at just that moment: a takeover, and a busy machine."""

ENDS_OF_CHILDREN = {"interrupt.cancelled", "mission.cancelled"}

Log = list[tuple[Event, str]]
"""Every event with the text of the message that carried it, by offset."""


@dataclass(slots=True)
class Verdict:
    """What was counted, and what must not have been."""

    figures: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def table(self) -> str:
        """Return it for people."""
        width = max(map(len, self.figures), default=0)
        lines = [f"{name:<{width}}  {count}" for name, count in self.figures.items()]
        return "\n".join([*lines, f"{'wrong':<{width}}  {len(self.wrong)}", *self.wrong[:50]])


async def read_log(ws_url: str) -> Log:
    """Return the whole log, as an operator gets it by `subscribe` from the start."""
    log: Log = []
    call = {"topics": ["system"], "since": "start", "deltas": False}
    request = {"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": call}
    async with connect(ws_url, compression=None, max_size=None, proxy=None) as connection:
        await connection.send(json.dumps(request))
        async for text in connection:
            assert isinstance(text, str)
            event = json.loads(text).get("params")
            if event is None:
                continue
            if event["type"] == "replay.done":
                return log
            if "offset" in event:
                log.append((event, text))
    raise AssertionError(f"the log broke off, {REPLY_S}")


def judge(
    log: Log, people: Sequence[Person], ledger: Ledger, sink: Sink, *, many_nodes: bool = False
) -> Verdict:
    """Hold everything against everything.

    With ``many_nodes`` the start of a node begins no other life for missions elsewhere; and
    deltas, which have only the bus between nodes, may have got lost.
    """
    verdict = Verdict(wrong=list(ledger.wrong))
    events = [event for event, _ in log]
    missions = _by_mission(events)
    checks = (
        _gapless(events),
        _unchanged(log, ledger),
        *(_all_received(person, events) for person in people),
        _nothing_lost(events, missions, ledger),
        _answers_kept(events, ledger),
        _ends(missions),
        _families_of_many(missions) if many_nodes else _families(events, missions),
        _results(missions, ledger),
        _streams(people, missions, ledger, many_nodes=many_nodes),
        _queues(people, events),
    )
    for check in checks:
        verdict.wrong += check
    steps = histories_of(events)
    for history in steps.values():
        verdict.wrong += history.wrong
    verdict.wrong += wrong_effects(steps.values(), sink)
    verdict.figures |= _figures(events, people, ledger, sink)
    verdict.figures["steps"] = len(steps)
    return verdict


def _by_mission(events: Sequence[Event]) -> dict[str, list[Event]]:
    missions: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event["mission_id"] is not None:
            missions[event["mission_id"]].append(event)
    return missions


def _gapless(events: Sequence[Event]) -> Iterator[str]:
    for place, event in enumerate(events, 1):
        if event["offset"] != place:
            yield f"the log has offset {event['offset']} at place {place}"
            return


def _unchanged(log: Log, ledger: Ledger) -> Iterator[str]:
    now = {event["offset"]: digest(text) for event, text in log}
    for offset, mark in ledger.seen.items():
        if now.get(offset) != mark:
            yield f"the event seen at offset {offset} is not what the log has"


def _all_received(person: Person, events: Sequence[Event]) -> Iterator[str]:
    wanted = _due(person, events)
    got = set(person.received)
    missing = sorted(wanted - got)
    if missing:
        yield f"{person.name} missed {len(missing)} events: {missing[:10]}"
    more = sorted(got - wanted) if not isinstance(person, Follower) else []
    if more:
        yield f"{person.name} got {len(more)} events of others: {more[:10]}"
    if len(got) != len(person.received):
        yield f"{person.name} got events twice"


def _due(person: Person, events: Sequence[Event]) -> set[int]:
    """Return the offsets that a client must have received."""
    if isinstance(person, Regular):
        return {e["offset"] for e in events if e["session_id"] in person.sessions}
    if isinstance(person, Follower):
        return set(_followed(person, events))
    if person.topics == ["system"]:
        return {event["offset"] for event in events}
    return {event["offset"] for event in events if event["user_id"] == person.name}


def _followed(person: Follower, events: Sequence[Event]) -> Iterator[int]:
    """Yield what belongs to its missions, up to the end of each."""
    root_of: dict[str, str] = {}
    ended: set[str] = set()
    for event in events:
        pid = event["mission_id"]
        if pid is None or event["user_id"] != person.name:
            continue
        parent = event["data"].get("parent_id") if event["type"] == "mission.submitted" else None
        root = root_of.setdefault(pid, root_of[parent] if parent else pid)
        if root not in ended:
            yield event["offset"]
        if pid == root and event["type"] in TERMINAL:
            ended.add(root)


def _nothing_lost(
    events: Sequence[Event], missions: dict[str, list[Event]], ledger: Ledger
) -> Iterator[str]:
    submitted = Counter(
        json.loads(event["data"]["mission"])["key"]
        for event in events
        if event["type"] == "mission.submitted" and not event["data"].get("parent_id")
    )
    for key, reply in ledger.submitted.items():
        mine = missions.get(reply["mission_id"])
        if mine is None:
            yield f"the acknowledged submit {key} is lost"
        elif not 0 <= mine[0]["offset"] - reply["offset"] <= 1:  # a new session's event is first
            yield f"{key} was acknowledged at {reply['offset']}, where it is not"
    yield from (f"{key} was submitted {n} times" for key, n in submitted.items() if n != 1)
    yield from (f"{key} came from nowhere" for key in submitted.keys() - ledger.missions.keys())
    for pid in ledger.cancelled:
        if missions[pid][-1]["type"] not in TERMINAL:
            yield f"the acknowledged cancel of {pid} is lost"


def _answers_kept(events: Sequence[Event], ledger: Ledger) -> Iterator[str]:
    raised = Counter(e["data"]["interrupt_id"] for e in events if e["type"] == "interrupt.raised")
    closed: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event["type"] in {"interrupt.resolved", "interrupt.cancelled", "interrupt.expired"}:
            closed[event["data"]["interrupt_id"]].append(event)
    for ident, said in ledger.answered.items():
        if [event["type"] for event in closed[ident]] != ["interrupt.resolved"]:
            yield f"the acknowledged answer to {ident} is lost: {closed[ident]}"
            continue
        kept = closed[ident][0]["data"]
        for name in ("approved", "answer", "decision"):
            if name in said and kept.get(name) != said[name]:
                yield f"{ident} was answered {said[name]!r}, the log has {kept.get(name)!r}"
    for ident, count in raised.items():
        if count != 1 or len(closed[ident]) != 1:
            yield f"{ident} was raised {count} times and closed {len(closed[ident])} times"


def _ends(missions: dict[str, list[Event]]) -> Iterator[str]:
    for pid, mine in missions.items():
        ends = [event["type"] for event in mine if event["type"] in TERMINAL]
        if len(ends) != 1 or mine[-1]["type"] not in TERMINAL:
            yield f"{pid} has the ends {ends} and {mine[-1]['type']} last"
        if any(event["type"] == "mission.paused" and "error" in event["data"] for event in mine):
            yield f"{pid} met nondeterminism: {mine[-1]}"


def _families(events: Sequence[Event], missions: dict[str, list[Event]]) -> Iterator[str]:
    """Children end with their parent: at once, or as soon as the server is there again."""
    starts = [event["offset"] for event in events if event["type"] == "node.joined"]
    for pid, mine, end in _children(missions):
        life = next((start for start in starts if start > end["offset"]), len(events) + 1)
        late = {event["type"] for event in mine if event["offset"] > life}
        if late - ENDS_OF_CHILDREN:
            yield f"{pid} went on in another life than its parent's: {late}"
        if not late and _seconds(mine[-1]) - _seconds(end) > AT_ONCE_S:
            yield f"{pid} went on long after its parent's end"


def _families_of_many(missions: dict[str, list[Event]]) -> Iterator[str]:
    """Children end with their parent: at once, or as soon as another node has them."""
    for pid, mine, end in _children(missions):
        late = {e["type"] for e in mine if _seconds(e) - _seconds(end) > AT_ONCE_S}
        if late - ENDS_OF_CHILDREN:
            yield f"{pid} went on after its parent's end: {late}"
        if _seconds(mine[-1]) - _seconds(end) > TAKEN_OVER_S:
            yield f"{pid} ended long after its parent"


def _children(missions: dict[str, list[Event]]) -> Iterator[tuple[str, list[Event], Event]]:
    """Yield each child with its events and its parent's last one."""
    for pid, mine in missions.items():
        first = next(event for event in mine if event["type"] == "mission.submitted")
        if parent := first["data"].get("parent_id"):
            yield pid, mine, missions[parent][-1]


def _seconds(event: Event) -> float:
    return datetime.fromisoformat(event["at"]).timestamp()


def _results(missions: dict[str, list[Event]], ledger: Ledger) -> Iterator[str]:
    for key, reply in ledger.submitted.items():
        pid = reply["mission_id"]
        if pid not in missions:
            continue
        last = missions[pid][-1]
        if last["type"] == "mission.completed":
            wanted = result_of(*ledger.missions[key], ledger.failed)
            if last["data"]["result"] != wanted:
                yield f"{key} ({pid}) came to {last['data']['result']}, not {wanted}"
        elif last["type"] != "mission.cancelled" or pid not in ledger.cancelled:
            yield f"{key} ({pid}) ended so: {last['type']} {last['data']}"


def _streams(
    people: Sequence[Person],
    missions: dict[str, list[Event]],
    ledger: Ledger,
    *,
    many_nodes: bool,
) -> Iterator[str]:
    """Deltas are not durable: a kill may take the last of them, but never one in the middle.

    Between nodes a broken bus may; what is behind such a hole proves nothing.
    """
    for person in people:
        for key, reply in ledger.submitted.items():
            pid = reply["mission_id"]
            text = person.streams.get(pid)
            if text is None or missions[pid][-1]["type"] != "mission.completed":
                continue
            if many_nodes and pid in person.holed:
                continue
            wanted = streamed_by(*ledger.missions[key], ledger.failed)
            whole = pid in person.unbroken and not many_nodes
            if text != wanted and (whole or not wanted.startswith(text)):
                yield f"{person.name} put {pid} together as {text!r}, not {wanted!r}"


def _queues(people: Sequence[Person], events: Sequence[Event]) -> Iterator[str]:
    """Missions of a session begin in the order in which they were submitted."""
    for person in people:
        for session in person.sessions if isinstance(person, Regular) else ():
            mine = [e for e in events if e["session_id"] == session]
            roots = [
                e["mission_id"]
                for e in mine
                if e["type"] == "mission.submitted" and not e["data"].get("parent_id")
            ]
            paused = {e["mission_id"] for e in mine if e["type"] == "mission.paused"}
            began = [e["mission_id"] for e in mine if e["type"] == "mission.started"]
            queued = [pid for pid in roots if pid in began and pid not in paused]
            if [pid for pid in began if pid in queued] != queued:
                yield f"{session} began its missions out of turn"


def _figures(
    events: Sequence[Event],
    people: Sequence[Person],
    ledger: Ledger,
    sink: Sink,
) -> dict[str, int]:
    types = Counter(event["type"] for event in events)
    figures = {
        "missions": types["mission.submitted"],
        "submits acknowledged": len(ledger.submitted),
        "submits sent again": ledger.resent["mission.submit"],
        "of which known already": sum(r["duplicate"] for r in ledger.submitted.values()),
        "answers acknowledged": len(ledger.answered),
        "answers sent again": sum(
            ledger.resent[method] for method in ("confirm", "clarify", "interrupt.answer")
        ),
        "events": len(events),
        "events received": sum(len(person.received) for person in people),
        "connections": sum(person.connections for person in people),
        "effects": len(sink.traces()),
        "in doubt": sum(ledger.decided.values()),
        "streams with a hole": sum(len(person.holed) for person in people),
    }
    figures |= {f"in doubt: {what}": count for what, count in ledger.decided.items()}
    shown = ("mission.recovered", "mission.preempted", "mission.cancelled", "mission.paused")
    return figures | {name: types[name] for name in shown}
