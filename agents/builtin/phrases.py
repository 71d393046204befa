"""The demo agent's language: sentences in, commands out. A core.

A mission is one or more commands, separated by ``then`` or a semicolon. Free text (of a file, a
reminder, a question) goes on until a semicolon or a ``then`` behind which a command begins;
quoted as in JSON, it may hold anything.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from agents.builtin.words import (
    NUMBER,
    expression,
    file_name,
    number,
    quoted,
    seconds,
    unquoted,
    without_courtesy,
)


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

_FLAGS = re.IGNORECASE | re.DOTALL
_UNIT = r"(?P<unit>ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hours?|days?)"
_SPAN = rf"(?P<number>{NUMBER})\s*{_UNIT}\b"
_WRITE = (
    r"(?:write|save|create)\s++(?:(?:to|into)\s++)?(?:(?:the|a)\s++)?(?:file\s++)?(?:called\s++)?"
    r"(?P<name>[^:\s][^:\n]{0,300}?)\s*+:\s*+"
)
_REMIND = rf"remind\s+me\s+in\s+{_SPAN}\s*,?\s*(?:(?:to|that|about|of)\b|:)?\s*"
_ASK = r"ask\s+me\b[\s:,]*"
_SEARCH = r"search\b(?:\s+(?:the|my))?(?:\s+(?:history|messages|chats?))?(?:\s+for\b)?(?:\s|:)+"

MAX_CLOSED_CHARACTERS = 1_000
"""Longer pieces are no command without text of one's own; keeps matching cheap."""

_Build = Callable[[dict[str, str]], Command]
_FREE: tuple[tuple[re.Pattern[str], _Build], ...] = tuple(
    (re.compile(pattern, _FLAGS), build)
    for pattern, build in (
        (
            _WRITE + r"(?P<text>.*)",
            lambda found: Write(file_name(found["name"]), unquoted(found["text"])),
        ),
        (
            _REMIND + r"(?P<text>.+)",
            lambda found: Remind(seconds(found), unquoted(found["text"])),
        ),
        (
            rf"remind\s+me\s+(?:to|that|about|of)\s++(?P<text>\S.*?)(?<!\s)\s++in\s++{_SPAN}\W*",
            lambda found: Remind(seconds(found), unquoted(found["text"])),
        ),
        (_ASK + r"(?P<text>.*)", lambda found: Ask(unquoted(found["text"]))),
        (_SEARCH + r"(?P<text>.+)", lambda found: Search(unquoted(found["text"]))),
    )
)
"""Commands that end in text of one's own."""

_CLOSED: tuple[tuple[re.Pattern[str], _Build], ...] = tuple(
    (re.compile(pattern, _FLAGS), build)
    for pattern, build in (
        (
            r"(?:calculate|calc|compute|evaluate)\b[\s:]*(?P<expression>.*)",
            lambda found: Calculate(expression(found["expression"])),
        ),
        (
            r"(?:what\s+is|what's|how\s+much\s+is)\s+(?P<expression>[-(\d.].*)",
            lambda found: Calculate(expression(found["expression"])),
        ),
        (
            r"(?P<expression>(?=.*\d)(?=.*[\d)]\s*[-+*/%^×÷])[-+*/%()^.\d\s×÷]+)",
            lambda found: Calculate(expression(found["expression"])),
        ),
        (
            r"(?:list|show|display)(?:\s+me)?(?:\s+all)?(?:\s+(?:the|my|your))?\s+files|ls|"
            r"what\s+files\s+are\s+there",
            lambda _: ListFiles(),
        ),
        (
            r"(?:read|open|cat)(?:\s+me)?(?:\s+the)?(?:\s+file)?\s+(?P<name>\S.*)",
            lambda found: Read(file_name(found["name"])),
        ),
        (
            r"(?:delete|remove|erase|rm)(?:\s+the)?(?:\s+file)?\s+(?P<name>\S.*)",
            lambda found: Delete(file_name(found["name"])),
        ),
        (rf"(?:wait|sleep)(?:\s+for)?\s+{_SPAN}", lambda found: Wait(seconds(found))),
        (
            rf"count(?:\s+up)?\s+to\s+(?P<number>{NUMBER})",
            lambda found: Count(int(number(found["number"]))),
        ),
        (
            rf"(?:do\s+)?work(?:\s+for)?\s+(?P<number>{NUMBER})(?:\s+steps?)?",
            lambda found: Work(int(number(found["number"]))),
        ),
        (
            r"(?:what(?:\s+is|'s)\s+the\s+time|what\s+time\s+is\s+it|(?:tell\s+me\s+)?the\s+time|"
            r"time)(?:\s+now)?",
            lambda _: Time(),
        ),
        (
            r"help(?:\s+me)?|hi|hello|hey|good\s+(?:morning|day|evening)|what\s+can\s+you\s+do|"
            r"who\s+are\s+you",
            lambda _: Help(),
        ),
    )
)
"""Commands whose end is plain to see."""

_CUT = re.compile(r"[;\n]|(?<!\S)then(?=[\s,:]|$)", _FLAGS)
_FREE_HEAD = re.compile(
    rf"(?:{_WRITE}|remind\s+me\b|{_ASK}|{_SEARCH})".replace("?P<name>", ""), _FLAGS
)
_QUOTE_HEAD = re.compile(
    rf"(?:{_WRITE}|{_REMIND}|{_ASK}|{_SEARCH})"
    r"(?P<quote>\"(?:[^\"\\]|\\.)*+\")(?=\s*(?:[;,]|(?:and\s+)?then\b|$))",
    _FLAGS,
)
_JOINT_BEFORE = re.compile(r"(?:,|(?<!\S)and)$", _FLAGS)
_JOINT_BEHIND = re.compile(r"(?:[\s,:]+|(?:and|then)(?=[\s,:]))+", _FLAGS)
_HEAD_CHARACTERS = 500


def parse(mission: str) -> list[Command]:
    """Return the commands of ``mission``, in order; never raises."""
    return [_command(piece) for piece in _pieces(mission)] or [Help()]


def _pieces(mission: str) -> Iterator[str]:
    """Yield the parts of a mission between its separators; quoted texts stay whole."""
    start = 0
    while start < len(mission):
        end, following = _end_of_piece(mission, start)
        piece = mission[start:end].strip()
        if piece:
            yield piece
        start = following


def _end_of_piece(mission: str, start: int) -> tuple[int, int]:
    """Return where the piece that begins at ``start`` ends, and where the next one begins."""
    for cut in _CUT.finditer(mission, _behind_quote(mission, start)):
        behind = _JOINT_BEHIND.match(mission, cut.end())
        following = behind.end() if behind else cut.end()
        piece = mission[start : cut.start()].rstrip()
        joint = None if cut.group() in ";\n" else _JOINT_BEFORE.search(piece)
        if joint is not None:
            piece = piece[: joint.start()].rstrip()
        if _separates(piece, cut.group(), mission[following:]):
            return start + len(piece), following
    return len(mission), len(mission)


def _behind_quote(mission: str, start: int) -> int:
    """Return the end of the quoted text that is the piece's own, else ``start``."""
    head = without_courtesy(mission[start:])
    found = _QUOTE_HEAD.match(head) if '"' in head[:_HEAD_CHARACTERS] else None
    return start if found is None else len(mission) - len(head) + found.end("quote")


def _separates(piece: str, separator: str, rest: str) -> bool:
    """Whether a separator ends ``piece``: a ``then`` or a new line may be part of a text."""
    if separator == ";" or not piece:
        return True
    if _begins_command(rest):
        return True
    if _FREE_HEAD.match(without_courtesy(piece[:_HEAD_CHARACTERS])):
        return False
    return not isinstance(_command(piece), Unknown)


def _begins_command(rest: str) -> bool:
    cut = _CUT.search(rest)
    command = _command(rest[: cut.start()] if cut else rest)
    return not isinstance(command, Unknown | Help) or rest[:4].lower() == "help"


def _command(piece: str) -> Command:
    polite = without_courtesy(piece)
    for pattern, build in _FREE:
        if found := pattern.fullmatch(polite):
            return build(found.groupdict(default=""))
    if len(polite) > MAX_CLOSED_CHARACTERS:
        return Unknown(piece.strip())
    closed = without_courtesy(polite, behind=True)
    for pattern, build in _CLOSED:
        if found := pattern.fullmatch(closed):
            return build(found.groupdict(default=""))
    return Unknown(piece.strip())


def spell(command: Command) -> str:
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
