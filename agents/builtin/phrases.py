"""The demo agent's language: sentences in, commands out. A core.

A mission is one or more commands, separated by ``then`` or a semicolon. Free text (of a file, a
reminder, a question) goes on until a semicolon or a ``then`` behind which a command begins;
quoted as in JSON, it may hold anything.
"""

import re
from collections.abc import Iterator

from agents.builtin.commands import Command, Help, Unknown
from agents.builtin.grammar import ASK, CLOSED, FLAGS, FREE, REMIND, SEARCH, WRITE
from agents.builtin.words import without_courtesy

MAX_CLOSED_CHARACTERS = 1_000
"""Longer pieces are no command without text of one's own; keeps matching cheap."""

_CUT = re.compile(r"[;\n]|(?<!\S)then(?=[\s,:]|$)", FLAGS)
_FREE_HEAD = re.compile(rf"(?:{WRITE}|remind\s+me\b|{ASK}|{SEARCH})".replace("?P<name>", ""), FLAGS)
_QUOTE_HEAD = re.compile(
    rf"(?:{WRITE}|{REMIND}|{ASK}|{SEARCH})"
    r"(?P<quote>\"(?:[^\"\\]|\\.)*+\")(?=\s*(?:[;,]|(?:and\s+)?then\b|$))",
    FLAGS,
)
_JOINT_BEFORE = re.compile(r"(?:(?:,?\s+|(?<!\S))and|,)$", FLAGS)
"""Looked for in the last characters only, which hold all of ``, and``."""

_JOINT_BEHIND = re.compile(r"(?:[\s,:]+|(?:and|then)(?=[\s,:]))+", FLAGS)
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
    at = _behind_quote(mission, start)
    while (cut := _CUT.search(mission, at)) is not None:
        behind = _JOINT_BEHIND.match(mission, cut.end())
        at = behind.end() if behind else cut.end()
        piece = mission[start : cut.start()].rstrip()
        if cut.group() not in ";\n" and (joint := _JOINT_BEFORE.search(piece[-6:])):
            piece = piece[: len(piece) - len(joint.group())].rstrip()
        if _separates(piece, cut.group(), mission[at:]):
            return start + len(piece), at
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
    for pattern, build in FREE:
        if found := pattern.fullmatch(polite):
            return build(found.groupdict(default=""))
    if len(polite) > MAX_CLOSED_CHARACTERS:
        return Unknown(piece.strip())
    closed = without_courtesy(polite, behind=True)
    for pattern, build in CLOSED:
        if found := pattern.fullmatch(closed):
            return build(found.groupdict(default=""))
    return Unknown(piece.strip())
