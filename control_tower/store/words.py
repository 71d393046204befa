"""Words of a text, as they are searched for: without case and diacritics.

SQLite's index folds by itself, about so; for PostgreSQL this is what is indexed, so that one
search finds the same messages in both. A ``tsvector`` has bounds, which a message of a mebibyte
may pass: what is beyond them is not found.
"""

import re
import unicodedata
from collections.abc import Iterator

WORD = re.compile(r"[^\W_]+")

_LONGEST = 500
"""Characters of a word that count; a lexeme may have 2 046 bytes."""

_PLACES = 16_383
_PLACES_OF_ONE = 255
_MOST_BYTES = 700_000
"""Of a text's lexemes with their places; a ``tsvector`` may have 1 MiB."""


def folded(word: str) -> str:
    """Return a text without case and diacritics."""
    if word.isascii():
        return word.lower()
    decomposed = unicodedata.normalize("NFKD", word.casefold())
    return "".join(one for one in decomposed if not unicodedata.combining(one))


def words_of(text: str) -> Iterator[str]:
    """Return a text's words, folded."""
    for word in WORD.finditer(folded(text)):
        yield word.group()[:_LONGEST]


def vector_of(text: str) -> str:
    """Return a text as a ``tsvector`` is written: each word with its places."""
    places: dict[str, list[int]] = {}
    size = 0
    for place, word in enumerate(words_of(text), 1):
        known = places.get(word)
        if known is None:
            known = places[word] = []
            size += len(word.encode()) + 8
        if place <= _PLACES and len(known) < _PLACES_OF_ONE:
            known.append(place)
            size += 2
        if size > _MOST_BYTES:
            break
    return " ".join(
        f"'{word}':{','.join(map(str, known))}" if known else f"'{word}'"
        for word, known in places.items()
    )


def query_of(phrases: list[str]) -> str:
    """Return a ``tsquery`` for all of the phrases; the words of one must follow each other."""
    parts = (" <-> ".join(f"'{word}'" for word in words_of(phrase)) for phrase in phrases)
    return " & ".join(f"({part})" for part in parts if part)
