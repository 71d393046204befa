"""Full-text search over messages, ranked (SQLite by bm25, PostgreSQL by ``ts_rank``).

Both engines find the same messages; in which order unequally good ones come is the engine's.

What a person types is words, never query syntax: each is quoted, and what holds no letter or
digit is left out. Of equally good messages the newest comes first. Ranking costs about 0.7 µs a
match, finding one 0.04, so of messages that hold a very common word only the newest are ranked,
about :data:`MOST_RANKED`. (Without the lengths of messages, ``columnsize=0``, ranking would cost a
tenth; but SQLite's bm25 then ranks wrongly where messages are short.)
"""

import html
import sqlite3
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice

import msgspec
from sqlalchemy import bindparam, select

from control_tower.records import MessageHit
from control_tower.store import numbers, text_index
from control_tower.store.statements import Connection, Query, engine_of, one_of
from control_tower.store.tables import messages, sessions
from control_tower.store.words import WORD, folded, query_of

MOST_RANKED = 25_000
_SAMPLED = 800
"""Matches by whose age the newest :data:`MOST_RANKED` are told; 3 to 4 % more or fewer, then."""

_MOST_WORDS = 32
_MOST_LISTED = 10_000
_SPARE = 50
"""Candidates beyond the page, in place of those whose session is deleted."""

_CHUNK = 1_000
"""Candidates looked up at a time, where those were not enough."""

_LAST_PLACE = (1 << 63) - 1


@dataclass(slots=True, frozen=True)
class _Words:
    """How an engine is asked. Each takes (match, lowest place, highest place, …).

    Attributes:
        count: how many match.
        sampled: … (one message in, rank by age): the number of the match of that rank.
        ranked: … (message number): what is newer than it, the best first.
        best: the same … (limit), in a third less time where the limit is small.
    """

    count: str
    sampled: str
    ranked: str
    best: str


# Sorting by bm25() takes half as long as sorting by the hidden column ``rank``.
_SQLITE_RANKED = """
    SELECT rowid FROM messages_text
    WHERE messages_text MATCH ? AND rowid BETWEEN ? AND ? AND rowid & 4294967295 > ?
    ORDER BY bm25(messages_text), rowid & 4294967295 DESC
    """
_SQLITE = _Words(
    count="""
    SELECT count(*) FROM messages_text WHERE messages_text MATCH ? AND rowid BETWEEN ? AND ?
    """,
    sampled="""
    SELECT rowid & 4294967295 FROM messages_text
    WHERE messages_text MATCH ? AND rowid BETWEEN ? AND ? AND (rowid & 4294967295) % ? = 0
    ORDER BY 1 DESC LIMIT 1 OFFSET ?
    """,
    ranked=_SQLITE_RANKED,
    best=f"{_SQLITE_RANKED} LIMIT ?",
)
_POSTGRES_RANKED = """
    SELECT place FROM messages_text, CAST(%s AS tsquery) AS asked
    WHERE words @@ asked AND place BETWEEN %s AND %s AND place & 4294967295 > %s
    ORDER BY ts_rank(words, asked) DESC, place & 4294967295 DESC
    """
_POSTGRES = _Words(
    count="""
    SELECT count(*) FROM messages_text
    WHERE words @@ CAST(%s AS tsquery) AND place BETWEEN %s AND %s
    """,
    sampled="""
    SELECT place & 4294967295 FROM messages_text
    WHERE words @@ CAST(%s AS tsquery) AND place BETWEEN %s AND %s
    AND (place & 4294967295) %% %s = 0
    ORDER BY 1 DESC LIMIT 1 OFFSET %s
    """,
    ranked=_POSTGRES_RANKED,
    best=f"{_POSTGRES_RANKED} LIMIT %s",
)
assert text_index.MESSAGE_MASK == 4_294_967_295  # noqa: S101 - as the statements spell it
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
    wanted = min(offset, _MOST_LISTED) + limit
    with _at_one_moment(connection):
        about = (match, *_span(connection, user_id))
        nos = _best(connection, asked, about, wanted)
        return list(_hits(connection, nos[offset:], text))


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


@contextmanager
def _at_one_moment(connection: Connection) -> Iterator[None]:
    """Let SQLite answer from one commit; its ranking, a look-up a match, is a tenth faster so."""
    if not isinstance(connection, sqlite3.Connection) or connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.rollback()  # nothing, if an error of the disk has ended it


def _best(
    connection: Connection, asked: _Words, about: tuple[str, int, int], wanted: int
) -> list[int]:
    """Return the numbers of the best ``wanted`` messages whose session is not deleted."""
    beyond = _newest_unranked(connection, asked, about)
    most = wanted + _SPARE
    places = connection.execute(asked.best, (*about, beyond, most)).fetchall()
    nos = _kept(connection, places)
    if len(nos) >= wanted or len(places) < most:
        return nos[:wanted]
    ranked = iter(connection.execute(asked.ranked, (*about, beyond)))
    chunks = iter(lambda: list(islice(ranked, _CHUNK)), [])
    kept = chain.from_iterable(_kept(connection, chunk) for chunk in chunks)
    return list(islice(kept, wanted))


def _newest_unranked(connection: Connection, asked: _Words, about: tuple[str, int, int]) -> int:
    """Return the message number beyond which about :data:`MOST_RANKED` messages match.

    A sample of the matches tells, wherever in time they lie.
    """
    matches = connection.execute(asked.count, about).fetchone()[0]
    if matches <= MOST_RANKED:
        return 0
    one_in = MOST_RANKED // _SAMPLED | 1  # odd, as people and agents speak by turns
    sampled = (*about, one_in, MOST_RANKED // one_in)
    row = connection.execute(asked.sampled, sampled).fetchone()
    return int(row[0]) if row else 0


def _kept(connection: Connection, places: list[tuple[int]]) -> list[int]:
    """Return the numbers of the messages whose session is not deleted, in their order."""
    nos = [text_index.message_no(place) for (place,) in places]
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
