"""Words of the demo's language: courtesies, numbers, spans of time, file names, quotes. A core."""

import json
import re
from collections.abc import Mapping

_COUNTED = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen"),
    *("eighteen", "nineteen", "twenty"),
)
_NUMBER_WORDS = {word: value for value, word in enumerate(_COUNTED)} | {
    "a": 1,
    "an": 1,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "hundred": 100,
}

NUMBER = r"\d{1,3}(?:,\d{3})+|\d{1,15}(?:\.\d{1,15})?|" + "|".join(
    sorted(_NUMBER_WORDS, key=len, reverse=True)
)
"""The pattern of a number, in digits or as a word."""

_COURTESY = re.compile(
    r"(?:please|kindly|now|then|first|next|finally|also|and|so|ok|okay|hey|hello|hi|tower|demo|"
    r"(?:can|could|would|will)\s+you|i\s+want\s+you\s+to|i\s+would\s+like\s+you\s+to|"
    r"i'd\s+like\s+you\s+to|let's)\b[\s,:!]+",
    re.IGNORECASE,
)
_COURTESY_BEHIND = re.compile(
    r"(?:[\s,.!?:]+|(?:^|[\s,]+)(?:please|thanks|thank\s+you|for\s+me|now))$", re.IGNORECASE
)
_OPERATOR_WORDS = (
    (re.compile(r"\s*\bdivided\s+by\b\s*", re.IGNORECASE), " / "),
    (re.compile(r"\s*\b(?:times|multiplied\s+by)\b\s*", re.IGNORECASE), " * "),
    (re.compile(r"\s*\bplus\b\s*", re.IGNORECASE), " + "),
    (re.compile(r"\s*\bminus\b\s*", re.IGNORECASE), " - "),
    (re.compile(r"\s*\b(?:to\s+the\s+power\s+of)\b\s*", re.IGNORECASE), " ** "),
    (re.compile(r"(?<=[\d)])\s*x\s*(?=[\d(])", re.IGNORECASE), " * "),
)
_SECONDS = {"m": 60.0, "h": 3600.0, "d": 86_400.0}
_QUOTES = "\"'`“”‘’«»"


def without_courtesy(text: str, *, behind: bool = False) -> str:
    """Return ``text`` without what people say out of politeness before a command, or behind it."""
    pattern = _COURTESY_BEHIND if behind else _COURTESY
    text = text.strip()
    while found := (pattern.search(text) if behind else pattern.match(text)):
        text = text[: found.start()] if behind else text[found.end() :]
    return text


def number(text: str) -> float:
    """Return what :data:`NUMBER` matched."""
    word = _NUMBER_WORDS.get(text.lower())
    return float(text.replace(",", "")) if word is None else float(word)


def seconds(found: Mapping[str, str]) -> float:
    """Return the span of a match that has ``number`` and ``unit``."""
    unit = found["unit"].lower()
    if unit.startswith(("ms", "milli")):
        return number(found["number"]) / 1000
    return number(found["number"]) * _SECONDS.get(unit[0], 1.0)


def expression(text: str) -> str:
    """Return arithmetic in signs where it is said in words."""
    for pattern, sign in _OPERATOR_WORDS:
        text = pattern.sub(sign, text)
    return text.strip().rstrip("=?").strip()


def file_name(text: str) -> str:
    """Return a file name without the quotes around it."""
    return text.strip().strip(_QUOTES).strip()


def quoted(text: str) -> str:
    """Return ``text`` as a quoted text of the language."""
    return json.dumps(text, ensure_ascii=False)


def unquoted(text: str) -> str:
    """Return a text without its quotes, if all of it is one quoted text."""
    stripped = text.strip()
    if len(stripped) >= 2 and stripped[0] == stripped[-1] == '"':
        try:
            read = json.loads(stripped)
        except ValueError:
            return stripped
        if isinstance(read, str):
            return read
    return stripped
