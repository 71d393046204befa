"""The commands of the demo agent, and a sentence for each. A core."""

from dataclasses import dataclass
from typing import TypeAlias, assert_never

from agents.builtin.words import quoted


@dataclass(frozen=True, slots=True)
class Calculate:
    """``calculate 6 * 7``."""

    expression: str


@dataclass(frozen=True, slots=True)
class ListFiles:
    """``list files``."""


@dataclass(frozen=True, slots=True)
class Read:
    """``read notes.txt``."""

    name: str


@dataclass(frozen=True, slots=True)
class Write:
    """``write notes.txt: buy milk``."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Delete:
    """``delete notes.txt``."""

    name: str


@dataclass(frozen=True, slots=True)
class Remind:
    """``remind me in 5 seconds to drink``."""

    seconds: float
    text: str


@dataclass(frozen=True, slots=True)
class Wait:
    """``wait 2 seconds``."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Ask:
    """``ask me my name``."""

    about: str


@dataclass(frozen=True, slots=True)
class Count:
    """``count to 10``."""

    to: int


@dataclass(frozen=True, slots=True)
class Work:
    """``work 20 steps``."""

    steps: int


@dataclass(frozen=True, slots=True)
class Time:
    """``what time is it``."""


@dataclass(frozen=True, slots=True)
class Search:
    """``search for milk``."""

    query: str


@dataclass(frozen=True, slots=True)
class Help:
    """``help``, or a greeting."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Anything else."""

    text: str


Command: TypeAlias = (
    Calculate
    | ListFiles
    | Read
    | Write
    | Delete
    | Remind
    | Wait
    | Ask
    | Count
    | Work
    | Time
    | Search
    | Help
    | Unknown
)


def spell(command: Command) -> str:  # noqa: C901, PLR0912 - an arm for each command
    """Return a sentence that :func:`parse` reads as ``command``."""
    match command:
        case Calculate(expression=text):
            return f"calculate {text}"
        case ListFiles():
            return "list files"
        case Read(name=name):
            return f"read {name}"
        case Write(name=name, text=text):
            return f"write {name}: {quoted(text)}"
        case Delete(name=name):
            return f"delete {name}"
        case Remind(seconds=span, text=text):
            return f"remind me in {span:.15g} seconds to {quoted(text)}"
        case Wait(seconds=span):
            return f"wait {span:.15g} seconds"
        case Ask(about=text):
            return f"ask me {quoted(text)}"
        case Count(to=to):
            return f"count to {to}"
        case Work(steps=steps):
            return f"work {steps} steps"
        case Time():
            return "what time is it"
        case Search(query=text):
            return f"search for {quoted(text)}"
        case Help():
            return "help"
        case Unknown(text=text):
            return text
        case never:
            assert_never(never)
