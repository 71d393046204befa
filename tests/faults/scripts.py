"""Random scripts for the missions of the kill tests, and what each must come to.

See ``apps/ledgered.py`` for who plays them. Every call has a label that is used nowhere else, so
that its traces, its questions and its place in the result can be told apart.
"""

import itertools
import json
from collections.abc import Mapping
from random import Random
from typing import Any

Script = list[list[Any]]

ONCE = ("charge", "charge_in_thread", "book", "refund")
"""What must not run twice without a person saying so."""

IN_THREAD = ("charge_in_thread",)
"""What a node that wakes in the middle of it can't hold."""

ACTS = (*ONCE, "notify", "look_up")
ASKS = ("ask", "confirm")
REST = ("sleep", "instant", "emit", "file", "artifact", "llm", "history")
TOOLS_ONLY = ("charge", "charge_in_thread", "notify", "refund")


class Author:
    """Writes scripts. ``key`` begins every label."""

    def __init__(self, random: Random, key: str) -> None:
        self._random = random
        self._numbers = itertools.count(1)
        self._key = key

    def mission(self, agent: str) -> str:
        """Return a mission's text for an agent."""
        if agent == "plain":
            script = [self._act(self._random.choice(TOOLS_ONLY)) for _ in range(4)]
        else:
            script = self.script(self._random.randint(3, 8), depth=0, teller=agent == "teller")
        return json.dumps({"key": self._key, "script": script})

    def script(self, length: int, depth: int, *, teller: bool = False) -> Script:
        """Return calls, one after the other; nested ones only near the top."""
        return [self._call(depth, teller=teller) for _ in range(length)]

    def _label(self) -> str:
        return f"{self._key}-{next(self._numbers)}"

    def _call(self, depth: int, *, teller: bool) -> list[Any]:
        dice = self._random.random()
        if dice < 0.5:
            return self._act(self._random.choice(ACTS))
        if dice < 0.65:
            return [self._random.choice(ASKS), self._label()]
        if depth < 2 and dice < 0.78:
            return self._nest(depth)
        if depth == 0 and dice < 0.81:
            return ["work", self._label(), self._random.randint(20, 80)]
        if depth == 0 and not teller and dice < 0.86:
            return ["say", self._label(), self._random.randint(3, 20)]
        return self._small(self._random.choice(REST))

    def _act(self, name: str) -> list[Any]:
        return [name, self._label(), self._random.randint(0, 60), self._random.randint(0, 60)]

    def _small(self, name: str) -> list[Any]:
        if name == "sleep":
            return [name, self._label(), round(self._random.uniform(0.01, 0.4), 3)]
        return [name, self._label()]

    def _nest(self, depth: int) -> list[Any]:
        name = self._random.choice(("parallel", "parallel", "child", "leave"))
        if name == "parallel":
            branches = range(self._random.randint(2, 4))
            return [name, *(self.script(self._random.randint(1, 3), depth + 1) for _ in branches)]
        return [name, self._label(), self.script(self._random.randint(1, 3), depth + 1)]


def approves(label: str) -> bool:
    """Whether a person agrees to what is called ``label``."""
    return sum(label.encode()) % 3 > 0


def words_for(label: str) -> str:
    """What a person answers to a question."""
    return f"words for {label}"


def outcomes(script: Script, failed: Mapping[str, object]) -> list[Any]:
    """Return what the calls of a script must come to.

    Args:
        script: the calls.
        failed: labels of effects in doubt of which a person said that they failed.
    """
    return [outcome(call, failed) for call in script]


def outcome(call: list[Any], failed: Mapping[str, object]) -> Any:
    """Return what one call must come to."""
    name, *arguments = call
    match name:
        case "parallel":
            return [outcomes(each, failed) for each in arguments]
        case "child":
            return outcomes(arguments[1], failed)
        case "ask":
            return words_for(arguments[0])
        case "confirm":
            return approves(arguments[0])
        case "llm":
            return True
        case "refund" if not approves(arguments[0]):
            return "refused"
        case _ if name in ACTS:
            return "failed" if arguments[0] in failed else f"{arguments[0]} done"
        case _:
            return arguments[0]


def result_of(mission: str, agent: str, failed: Mapping[str, object]) -> str:
    """Return the result that a mission must have."""
    results = outcomes(json.loads(mission)["script"], failed)
    if agent == "teller":
        return "".join(json.dumps(result) + "\n" for result in results)
    return json.dumps(results)


def streamed_by(mission: str, agent: str, failed: Mapping[str, object]) -> str:
    """Return the text that a mission must have streamed outside its steps."""
    if agent == "teller":
        return result_of(mission, agent, failed)
    said = [call for call in json.loads(mission)["script"] if call[0] == "say"]
    return "".join(f"{call[1]}.{number} " for call in said for number in range(call[2]))
