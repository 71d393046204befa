"""Full-text search over messages, ranked (SQLite by bm25, PostgreSQL by ``ts_rank``).

Both engines find the same messages; in which order unequally good ones come is the engine's.

What a person types is words, never query syntax: each is quoted, and what holds no letter or
digit is left out. Of equally good messages the newest comes first. Ranking costs about 1 µs a
match, so of messages that hold a very common word only the newest :data:`MOST_RANKED` are ranked.
(Without the lengths of messages, ``columnsize=0``, it would cost a tenth; but SQLite's bm25 then
ranks wrongly where messages are short.)
"""

import html
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec
from sqlalchemy import bindparam, func, select

from control_tower.records import MessageHit
from control_tower.store import numbers, text_index
from control_tower.store.statements import Connection, Query, engine_of, one_of
from control_tower.store.tables import messages, sessions
from control_tower.store.words import WORD, folded, query_of

MOST_RANKED = 25_000
_MOST_WORDS = 32
_MOST_LISTED = 10_000
_SPARE = 50
"""Candidates beyond the page, in place of those whose session is deleted."""

_LAST_PLACE = (1 << 63) - 1


@dataclass(slots=True, frozen=True)
class _Words:
    """How an engine is asked. Both take (match, lowest place, highest place, …)."""

    count: str
    ranked: str


# Sorting by bm25() takes half as long as sorting by the hidden column ``rank``.
_SQLITE = _Words(
    "SELECT count(*) FROM messages_text WHERE messages_text MATCH ? AND rowid BETWEEN ? AND ?",
    """
    SELECT rowid FROM messages_text
    WHERE messages_text MATCH ? AND rowid BETWEEN ? AND ? AND rowid & 4294967295 > ?
    ORDER BY bm25(messages_text), rowid & 4294967295 DESC LIMIT ?
    """,
)
_POSTGRES = _Words(
    """
    SELECT count(*) FROM messages_text
    WHERE words @@ CAST(%s AS tsquery) AND place BETWEEN %s AND %s
    """,
    """
    SELECT place FROM messages_text, CAST(%s AS tsquery) AS asked
    WHERE words @@ asked AND place BETWEEN %s AND %s AND place & 4294967295 > %s
    ORDER BY ts_rank(words, asked) DESC, place & 4294967295 DESC LIMIT %s
    """,
)
assert text_index.MESSAGE_MASK == 4_294_967_295  # noqa: S101 - as the statements spell it
_NEWEST = Query(select(func.max(messages.c.no)))
_KEPT = Query(
    select(messages.c.no)
    .join(sessions, sessions.c.no == messages.c.session_no)
    .where(one_of(messages.c.no, "found"), sessions.c.deleted_at.is_(None))
)
_HIT = Query(
    select(
        messages.c.message_id,
        sessions.c.session_id,
        sessions.c.title,
        messages.c.role,
        messages.c.content,
        messages.c.created_at,
    )
    .join(sessions, sessions.c.no == messages.c.session_no)
    .where(messages.c.no == bindparam("no"))
)

_WORDS_BEFORE = 8
_CHARACTERS_SHOWN = 240


def search(
    connection: Connection, text: str, user_id: str | None, limit: int, offset: int
) -> list[MessageHit]:
    """Return the messages that hold every word of ``text``, the best first.

    ``user_id`` None is everyone's. Deleted messages and messages of deleted sessions are left
    out. A text without a word finds nothing.
    """
    asked, match = _asked(connection, text)
    if not match:
        return []
    span = _span(connection, user_id)
    beyond = _oldest_ranked(connection, asked.count, (match, *span))
    wanted = min(offset, _MOST_LISTED) + limit
    most = wanted + _SPARE
    while True:
        places = connection.execute(asked.ranked, (match, *span, beyond, most)).fetchall()
        nos = _kept(connection, [text_index.message_no(place) for (place,) in places])
        if len(nos) >= wanted or len(places) < most:
            return list(_hits(connection, nos[offset:wanted], text))
        most *= 4


def is_indexed(connection: Connection, placed: int, text: str) -> bool | None:
    """Return whether the message at ``placed`` is found by its text; None: that has no word."""
    asked, match = _asked(connection, text)
    if not match:
        return None
    return bool(connection.execute(asked.count, (match, placed, placed)).fetchone()[0])


def _asked(connection: Connection, text: str) -> tuple[_Words, str | None]:
    if engine_of(connection) == "sqlite":
        return _SQLITE, match_expression(text)
    return _POSTGRES, query_of(_phrases(text))


def _phrases(text: str) -> list[str]:
    """Return what of ``text`` stands between spaces and holds a word, each once."""
    plain = text.replace("\x00", " ").encode("utf-8", "replace").decode()
    phrases = [phrase.replace('"', "") for phrase in plain.split()]
    return list(dict.fromkeys([one for one in phrases if WORD.search(one)][:_MOST_WORDS]))


def match_expression(text: str) -> str | None:
    """Return an FTS5 expression for all words of ``text``; None if there is none."""
    return " ".join(f'"{phrase}"' for phrase in _phrases(text)) or None


def _span(connection: Connection, user_id: str | None) -> tuple[int, int]:
    if user_id is None:
        return 0, _LAST_PLACE
    user_no = numbers.user_no(connection, user_id)
    return text_index.place(user_no, 0), text_index.place(user_no + 1, 0) - 1


def _oldest_ranked(connection: Connection, count: str, asked: tuple[str, int, int]) -> int:
    """Return the message number beyond which about :data:`MOST_RANKED` messages match.

    As if matches came evenly: a user's share of the messages is not known, and need not be.
    """
    matches = connection.execute(count, asked).fetchone()[0]
    if matches <= MOST_RANKED:
        return 0
    newest = _NEWEST.one(connection)
    return int((newest[0] if newest else 0) * (1 - MOST_RANKED / matches))


def _kept(connection: Connection, nos: list[int]) -> list[int]:
    """Return those of the messages whose session is not deleted, in their order."""
    kept = {no for (no,) in _KEPT.all(connection, found=msgspec.json.encode(nos).decode())}
    return [no for no in nos if no in kept]


def _hits(connection: Connection, nos: list[int], text: str) -> Iterator[MessageHit]:
    words = {folded(word) for word in WORD.findall(text)}
    for no in nos:
        row = _HIT.one(connection, no=no)
        if row is None:  # erased since it was found
            continue
        message_id, session_id, title, role, content, created_at = row
        yield MessageHit(
            message_id=message_id,
            session_id=session_id,
            session_title=title,
            role=role,
            snippet=snippet(content, words),
            created_at=created_at,
        )


def snippet(content: str, words: Iterable[str]) -> str:
    """Return a stretch of the text around the first of the folded ``words``, as HTML.

    The text is escaped; words found stand in ``<mark>``. Ellipses show what was cut.
    """
    wanted = set(words)
    before: deque[int] = deque([0], maxlen=_WORDS_BEFORE)
    start = 0
    for word in WORD.finditer(content):
        if folded(word.group()) in wanted:
            start = max(before[0], word.start() - _CHARACTERS_SHOWN // 2)
            break
        before.append(word.start())
    end = min(len(content), start + _CHARACTERS_SHOWN)
    marked = "".join(_marked(content, start, end, wanted))
    return f"{'…' if start else ''}{marked}{'…' if end < len(content) else ''}"


def _marked(content: str, start: int, end: int, wanted: set[str]) -> Iterator[str]:
    at = start
    for word in WORD.finditer(content, start, end):
        yield html.escape(content[at : word.start()])
        text = html.escape(word.group())
        yield f"<mark>{text}</mark>" if folded(word.group()) in wanted else text
        at = word.end()
    yield html.escape(content[at:end])
