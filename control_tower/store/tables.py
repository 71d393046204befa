"""The tables, as one SQLAlchemy metadata that every engine shares.

The log is ``events``; everything else is a projection of it, written in the same transaction.
Rows point at each other by small integers (``no``): three text indexes would cost 22 of the 29 µs
of an event's row. A number is given by the writer and never shown outside.

- ``events.session_no`` is the line an event belongs to: a session's number; minus a user's number
  for an event of a user outside any session; 0 for the tower's own. One index,
  ``(session_no, offset)``, serves every topic.
- ``messages_text``, the full-text index, differs by engine: see ``text_index.py``.
- ``nodes`` and ``homes`` have rows only where towers share a database: see ``seat.py``.
- A column that SQL filters, sorts or fences by stands for itself; the rest of a mission, step or
  interrupt is its ``record``: the whole record in JSON, as msgspec writes it. The column is the
  record's index, never the other way round.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

metadata = MetaData()

_No = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite makes only a column declared INTEGER the alias of its rowid."""

_Text = String().with_variant(String(collation="C"), "postgresql")
"""Sorted by code points, as SQLite does: ids and names come in the same order from both."""

meta = Table(
    "meta",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1"), primary_key=True, autoincrement=False),
    Column("epoch", _Text, nullable=False),
    Column("head", _No, nullable=False),
    Column("floor", _No, nullable=False),
    Column("unscrubbed", Integer, nullable=False, server_default="0"),
    Column("removals", _No, nullable=False, server_default="0"),
    Column("last_token", _No, nullable=False, server_default="0"),
)
"""One row. ``head`` is the last offset given, never ``max + 1``; the schema's version is
alembic's own table, so that it cannot differ from what was applied. ``unscrubbed`` is 1 while
traces of what was erased may still be in the file (see ``scrubbing.py``). ``removals`` counts
what ledgers of other towers must hear of, ``last_token`` is the last one given to a tower."""

events = Table(
    "events",
    metadata,
    Column("offset", _No, primary_key=True, autoincrement=False),
    Column("session_no", _No, nullable=False),
    Column("mission_no", _No),
    Column("root_no", _No),
    Column("type", _Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("events_line", "session_no", "offset"),
)
"""``body`` is the whole frame, offset included, ready to be sent."""

users = Table(
    "users",
    metadata,
    Column("no", _No, primary_key=True),
    Column("user_id", _Text, nullable=False, unique=True),
    Column("floor", _No, nullable=False, server_default="0"),
    Column("erased_at", Float),
)
"""``erased_at`` here and in ``sessions``: its erasure has begun and must be brought to its end."""

sessions = Table(
    "sessions",
    metadata,
    Column("no", _No, primary_key=True),
    Column("session_id", _Text, nullable=False, unique=True),
    Column("user_no", _No, nullable=False),
    Column("title", _Text),
    Column("message_count", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("last_activity", Float, nullable=False),
    Column("archived_at", Float),
    Column("deleted_at", Float),
    Column("floor", _No, nullable=False, server_default="0"),
    Column("erased_at", Float),
    Index("sessions_activity", "user_no", "last_activity"),
)

missions = Table(
    "missions",
    metadata,
    Column("no", _No, primary_key=True),
    Column("pid", _Text, nullable=False, unique=True),
    Column("session_no", _No, nullable=False),
    Column("user_no", _No, nullable=False),
    Column("root_no", _No, nullable=False),
    Column("state", _Text, nullable=False),
    Column("outcome", _Text),
    Column("attempt", Integer, nullable=False),
    Column("token", _No, nullable=False),
    Column("first_offset", _No, nullable=False),
    Column("record", LargeBinary, nullable=False),
    Index("missions_session", "session_no"),
    Index("missions_user", "user_no"),
)
"""``first_offset`` is where the mission's events begin: a replay of it starts there."""
Index(
    "missions_live",
    missions.c.pid,
    sqlite_where=missions.c.outcome.is_(None),
    postgresql_where=missions.c.outcome.is_(None),
)
Index(
    "missions_live_of_user",
    missions.c.user_no,
    missions.c.pid,
    sqlite_where=missions.c.outcome.is_(None),
    postgresql_where=missions.c.outcome.is_(None),
)

steps = Table(
    "steps",
    metadata,
    Column("no", _No, primary_key=True),
    Column("mission_no", _No, nullable=False),
    Column("step", _Text, nullable=False),
    Column("offset", _No),
    Column("record", LargeBinary, nullable=False),
    UniqueConstraint("mission_no", "step"),
)
"""``no`` keeps the order in which calls were first recorded; replacing a step leaves it."""

interrupts = Table(
    "interrupts",
    metadata,
    Column("no", _No, primary_key=True),
    Column("interrupt_id", _Text, nullable=False, unique=True),
    Column("mission_no", _No, nullable=False),
    Column("session_no", _No, nullable=False),
    Column("user_no", _No, nullable=False),
    Column("kind", _Text, nullable=False),
    Column("status", _Text, nullable=False),
    Column("record", LargeBinary, nullable=False),
    Index("interrupts_mission", "mission_no"),
    Index("interrupts_status", "status", "user_no"),
    # What a session or a user was asked ever: in the order of a page, the newest at either end.
    Index("interrupts_session", "session_no", "no"),
    Index("interrupts_user", "user_no", "no"),
)

messages = Table(
    "messages",
    metadata,
    Column("no", _No, primary_key=True),
    Column("message_id", _Text, nullable=False, unique=True),
    Column("session_no", _No, nullable=False),
    Column("role", _Text, nullable=False),
    Column("content", _Text, nullable=False),
    Column("mission_id", _Text),
    Column("created_at", Float, nullable=False),
    Column("edited_at", Float),
    Column("original_content", _Text),
    Column("deleted_at", Float),
    Index("messages_session", "session_no"),
)

tool_calls = Table(
    "tool_calls",
    metadata,
    Column("no", _No, primary_key=True),
    Column("tool", _Text, nullable=False),
    Column("pid", _Text, nullable=False),
    Column("step", _Text, nullable=False),
    Column("status", _Text, nullable=False),
    Column("latency_ms", Float, nullable=False),
    Column("at", Float, nullable=False),
    Column("error", _Text),
    Index("tool_calls_tool", "tool"),
)

files = Table(
    "files",
    metadata,
    Column("session_no", _No, primary_key=True, autoincrement=False),
    Column("name", _Text, primary_key=True),
    Column("media_type", _Text, nullable=False),
    Column("size", _No, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("updated_at", Float, nullable=False),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("mission_no", _No, primary_key=True, autoincrement=False),
    Column("name", _Text, primary_key=True),
    Column("session_no", _No, nullable=False),
    Column("media_type", _Text, nullable=False),
    Column("size", _No, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("updated_at", Float, nullable=False),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("user_no", _No, primary_key=True, autoincrement=False),
    Column("key", _Text, primary_key=True),
    Column("body_sha256", _Text, nullable=False),
    Column("mission_id", _Text),
    Column("created_at", Float, nullable=False),
    Column("reply", LargeBinary, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("no", _No, primary_key=True),
    Column("key_sha256", _Text, nullable=False, unique=True),
    Column("name", _Text, nullable=False),
    Column("user_id", _Text, nullable=False),
    Column("role", _Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("revoked_at", Float),
    Column("expires_at", Float),
    Column("last_used_at", Float),
)

nodes = Table(
    "nodes",
    metadata,
    Column("token", _No, primary_key=True, autoincrement=False),
    Column("node", _Text, nullable=False, unique=True),
    Column("url", _Text, nullable=False),
    Column("mode", _Text, nullable=False),
    Column("runs_missions", Integer, nullable=False),
    Column("load", Integer, nullable=False),
    Column("turn", _No, nullable=False),
    Column("joined_at", Float, nullable=False),
    Column("lease_until", Float, nullable=False),
)

homes = Table(
    "homes",
    metadata,
    Column("user_id", _Text, primary_key=True),
    Column("token", _No, nullable=False),
    Index("homes_token", "token"),
)

user_usage = Table(
    "user_usage",
    metadata,
    Column("user_no", _No, primary_key=True, autoincrement=False),
    Column("day", _Text, primary_key=True),
    Column("missions", Integer, nullable=False),
    Column("llm_calls", _No, nullable=False),
    Column("tool_calls", _No, nullable=False),
    Column("input_tokens", _No, nullable=False),
    Column("output_tokens", _No, nullable=False),
    Column("cost_usd", Float, nullable=False),
)
"""What each user spent on each UTC day (``2026-11-21``)."""
