"""The sentences of the demo agent's language, as tables of patterns. A core.

Patterns are written so that matching stays cheap whatever the text: a repeated part is possessive
or bounded where two of them could divide the same spaces in many ways.
"""

import re
from collections.abc import Callable

from agents.builtin.commands import (
    Ask,
    Calculate,
    Command,
    Count,
    Delete,
    Help,
    ListFiles,
    Read,
    Remind,
    Search,
    Time,
    Wait,
    Work,
    Write,
)
from agents.builtin.words import NUMBER, expression, file_name, number, seconds, unquoted

FLAGS = re.IGNORECASE | re.DOTALL
_UNIT = r"(?P<unit>ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hours?|days?)"
_SPAN = rf"(?P<number>{NUMBER})\s*{_UNIT}\b"
WRITE = (
    r"(?:write|save|create)\s++(?:(?:to|into)\s++)?(?:(?:the|a)\s++)?(?:file\s++)?(?:called\s++)?"
    r"(?P<name>[^:\s][^:\n]{0,300}?)\s*+:\s*+"
)
REMIND = rf"remind\s+me\s+in\s+{_SPAN}\s*,?\s*(?:(?:to|that|about|of)\b|:)?\s*"
ASK = r"ask\s+me\b[\s:,]*"
SEARCH = r"search\b(?:\s+(?:the|my))?(?:\s+(?:history|messages|chats?))?(?:\s+for\b)?(?:\s|:)+"

_Build = Callable[[dict[str, str]], Command]
FREE: tuple[tuple[re.Pattern[str], _Build], ...] = tuple(
    (re.compile(pattern, FLAGS), build)
    for pattern, build in (
        (
            WRITE + r"(?P<text>.*)",
            lambda found: Write(file_name(found["name"]), unquoted(found["text"])),
        ),
        (
            REMIND + r"(?P<text>.+)",
            lambda found: Remind(seconds(found), unquoted(found["text"])),
        ),
        (
            rf"remind\s+me\s+(?:to|that|about|of)\s++(?P<text>\S.*?)(?<!\s)\s++in\s++{_SPAN}\W*",
            lambda found: Remind(seconds(found), unquoted(found["text"])),
        ),
        (ASK + r"(?P<text>.*)", lambda found: Ask(unquoted(found["text"]))),
        (SEARCH + r"(?P<text>.+)", lambda found: Search(unquoted(found["text"]))),
    )
)
"""Commands that end in text of one's own."""

CLOSED: tuple[tuple[re.Pattern[str], _Build], ...] = tuple(
    (re.compile(pattern, FLAGS), build)
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
            r"(?:(?:list|show|display)(?:\s+me)?(?:\s+all)?(?:\s+(?:the|my|your))?\s+files|ls)",
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
            r"(?:what(?:\s+is|'s)\s+the\s+time|what\s+time\s+is\s+it|the\s+time|time)(?:\s+now)?",
            lambda _: Time(),
        ),
        (
            r"help(?:\s+me)?|hi|hello|hey|good\s+(?:morning|day|evening)|what\s+can\s+you\s+do",
            lambda _: Help(),
        ),
    )
)
"""Commands whose end is plain to see."""
