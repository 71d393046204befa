"""Topics and filters: which events a subscription is about.

A topic is ``system`` (everything) or ``session:``, ``mission:`` or ``user:`` with an id; an event
carries the topics that match it in its scope, so that matching is a lookup. A :class:`Filter` is a
topic with what narrows it. Filters are values: equal ones are interchangeable, and a set of them
names a view.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from events.errors import BadFilter, BadTopic
from events.payloads import LlmDelta
from events.types import Scope

KINDS: Final = ("session", "mission", "user")
SYSTEM: Final = "system"
WHERE_KEYS: Final = ("user_id", "agent", "priority")
MAX_GLOBS: Final = 50
MAX_STARS: Final = 4

_ID = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
_GLOB = re.compile(r"[a-z0-9_.*]{1,64}")


def parse_topic(text: str) -> tuple[str, str | None]:
    """Return the kind of a topic and its id (None for ``system``).

    Raises:
        BadTopic: if it is not a topic.
    """
    if text == SYSTEM:
        return SYSTEM, None
    kind, colon, ident = text.partition(":")
    if not colon or kind not in KINDS or not _ID.fullmatch(ident):
        raise BadTopic("A topic is system, session:<id>, mission:<id> or user:<id>.")
    return kind, ident


class Filter(msgspec.Struct, frozen=True):
    """A topic, narrowed.

    Attributes:
        topic: as in a scope's ``topics``.
        types: globs over event types; empty is every type.
        deltas: whether ``llm.delta`` is wanted.
        where: pairs of a scope's field and its value, all of which must hold; ``system`` only.
    """

    topic: str
    types: tuple[str, ...] = ()
    deltas: bool = True
    where: tuple[tuple[str, str], ...] = ()

    @property
    def is_of_mission(self) -> bool:
        """Whether the topic is one mission's."""
        return self.topic.startswith("mission:")

    @property
    def plain(self) -> bool:
        """Whether every durable event of the topic matches."""
        return not self.types and not self.where

    @property
    def wants_text(self) -> bool:
        """Whether any ``llm.delta`` passes."""
        return self.deltas and (not self.types or type_matches(self.types, LlmDelta.TYPE))

    def accepts(self, event_type: str, scope: Scope) -> bool:
        """Whether an event of the topic passes; the topic itself is the caller's to match."""
        if not self.deltas and event_type == LlmDelta.TYPE:
            return False
        if self.types and not type_matches(self.types, event_type):
            return False
        if not self.where:
            return True
        return all(getattr(scope, key) == value for key, value in self.where)

    def matches(self, event_type: str, scope: Scope) -> bool:
        """Whether an event is about the topic, and passes."""
        return self.topic in scope.topics and self.accepts(event_type, scope)


@lru_cache(maxsize=4096)
def type_matches(globs: tuple[str, ...], event_type: str) -> bool:
    """Whether any of ``globs`` matches ``event_type``; ``*`` is any run of characters."""
    return any(_pattern(glob).fullmatch(event_type) for glob in globs)


@lru_cache(maxsize=1024)
def _pattern(glob: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in glob.split("*")))


def build_filters(
    topics: Sequence[str],
    types: Sequence[str] | None = None,
    deltas: bool = True,
    where: Mapping[str, str] | None = None,
) -> tuple[Filter, ...]:
    """Return the filters of one call of subscribe, one for each different topic, in order.

    Raises:
        BadTopic: if one of the topics is not a topic, or there is none.
        BadFilter: if a glob or a condition can't be understood.
    """
    if not topics:
        raise BadTopic("Name at least one topic.")
    for topic in topics:
        parse_topic(topic)
    globs = _checked_globs(types)
    pairs = _checked_where(where, topics)
    return tuple(Filter(topic, globs, deltas, pairs) for topic in dict.fromkeys(topics))


def _checked_globs(types: Sequence[str] | None) -> tuple[str, ...]:
    globs = tuple(sorted(set(types or ())))
    if types is not None and not globs:
        raise BadFilter("Name at least one type, or leave types out.", field="types")
    if len(globs) > MAX_GLOBS:
        raise BadFilter(f"At most {MAX_GLOBS} types.", field="types")
    for glob in globs:
        # Few stars, since each one multiplies the ways in which a pattern can fail to match.
        if not _GLOB.fullmatch(glob) or glob.count("*") > MAX_STARS:
            raise BadFilter("A type is a name such as mission.started or mission.*.", field="types")
    return () if "*" in globs else globs


def _checked_where(
    where: Mapping[str, str] | None, topics: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    if not where:
        return ()
    if any(topic != SYSTEM for topic in topics):
        raise BadFilter("where belongs to the topic system only.", field="where")
    unknown = sorted(set(where) - set(WHERE_KEYS))
    if unknown:
        raise BadFilter(
            f"where has no {unknown[0]}; it has {', '.join(WHERE_KEYS)}.", field="where"
        )
    return tuple(sorted(where.items()))
