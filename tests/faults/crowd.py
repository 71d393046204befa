"""The clients of the kill tests that are not like the others: one of each kind of resuming."""

from random import Random
from typing import Any

from tests.faults.line import Line, Lost
from tests.faults.people import Person, Shared
from tests.faults.witness import Event


class Watcher(Person):
    """Sees everything, and does nothing about it."""

    def react(self, event: Event) -> None:
        """Only look."""


class Follower(Person):
    """Follows only the missions that it submits, each from its own last offset."""

    def __init__(self, name: str, shared: Shared, in_flight: int) -> None:
        super().__init__(name, shared, [], in_flight)
        self.roots: dict[str, str] = {}
        self.last: dict[str, int] = {}
        self._unfollowed: set[str] = set()

    async def catch_up(self, line: Line) -> None:
        """Subscribe each open mission from its own last offset."""
        for pid in [pid for pid in self.open.values() if pid is not None]:
            await self._resume(line, [f"mission:{pid}"], self.last.get(pid, 0))

    def take(self, event: Event) -> bool:
        """Keep an event's offset; it must be the next of its family."""
        pid, offset = event["mission_id"], event["offset"]
        parent = event["data"].get("parent_id") if event["type"] == "mission.submitted" else None
        root = self.roots.setdefault(pid, self.roots.get(parent, parent) if parent else pid)
        if offset <= self.last.get(root, 0):
            self._wrong(f"offset {offset} of {root} came after {self.last[root]}")
            return False
        self.last[root] = offset
        self.received.append(offset)
        return True

    def repeated(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Submit again without following: what the mission said meanwhile must come first."""
        if method != "mission.submit":
            return {}
        self._unfollowed.add(params["idempotency_key"])
        return {"subscribe": False}

    async def acknowledged(self, key: str, reply: dict[str, Any]) -> None:
        """Follow a mission that a repeated submit did not."""
        pid = reply["mission_id"]
        if key in self.open:
            self.open[key] = pid
        if key in self._unfollowed and self._line is not None:
            try:
                await self._resume(self._line, [f"mission:{pid}"], self.last.get(pid, 0))
            except Lost:
                return  # the next connection begins with it


class Regular(Person):
    """Works in three sessions of its own, where missions queue up."""

    def __init__(self, name: str, shared: Shared, in_flight: int) -> None:
        super().__init__(name, shared, [], in_flight)
        self.sessions: list[str] = []

    async def catch_up(self, line: Line) -> None:
        """Make the sessions on the first connection; then follow them all."""
        while len(self.sessions) < 3:
            session = await line.call("session.create", title=f"{self.name}'s")
            self.sessions.append(session["session_id"])
            self.topics.append(f"session:{session['session_id']}")
        await super().catch_up(line)

    def placement(self, random: Random) -> dict[str, Any]:
        """Queue up in a session."""
        return {"session_id": random.choice(self.sessions), "on_busy": "enqueue"}
