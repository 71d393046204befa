"""The first schema.

Revision: 0001, the first. It spells its tables out and does not import them: what it makes must
stay the same when ``tables.py`` moves on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NO = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "api_keys",
        sa.Column("no", NO, nullable=False),
        sa.Column("key_sha256", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("revoked_at", sa.Float()),
        sa.PrimaryKeyConstraint("no"),
        sa.UniqueConstraint("key_sha256"),
    )
    op.create_table(
        "artifacts",
        sa.Column("mission_no", NO, autoincrement=False, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("session_no", NO, nullable=False),
        sa.Column("media_type", TEXT, nullable=False),
        sa.Column("size", NO, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("mission_no", "name"),
    )
    op.create_table(
        "events",
        sa.Column("offset", NO, autoincrement=False, nullable=False),
        sa.Column("session_no", NO, nullable=False),
        sa.Column("mission_no", NO),
        sa.Column("root_no", NO),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("offset"),
    )
    op.create_index("events_line", "events", ["session_no", "offset"])
    op.create_table(
        "files",
        sa.Column("session_no", NO, autoincrement=False, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("media_type", TEXT, nullable=False),
        sa.Column("size", NO, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("session_no", "name"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("user_no", NO, autoincrement=False, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("body_sha256", TEXT, nullable=False),
        sa.Column("mission_id", TEXT),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("reply", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("user_no", "key"),
    )
    op.create_table(
        "interrupts",
        sa.Column("no", NO, nullable=False),
        sa.Column("interrupt_id", TEXT, nullable=False),
        sa.Column("mission_no", NO, nullable=False),
        sa.Column("session_no", NO, nullable=False),
        sa.Column("user_no", NO, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("no"),
        sa.UniqueConstraint("interrupt_id"),
    )
    op.create_index("interrupts_mission", "interrupts", ["mission_no"])
    op.create_index("interrupts_status", "interrupts", ["status", "user_no"])
    op.create_table(
        "messages",
        sa.Column("no", NO, nullable=False),
        sa.Column("message_id", TEXT, nullable=False),
        sa.Column("session_no", NO, nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("content", TEXT, nullable=False),
        sa.Column("mission_id", TEXT),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("edited_at", sa.Float()),
        sa.Column("original_content", TEXT),
        sa.Column("deleted_at", sa.Float()),
        sa.PrimaryKeyConstraint("no"),
        sa.UniqueConstraint("message_id"),
    )
    op.create_index("messages_session", "messages", ["session_no"])
    op.create_table(
        "meta",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", TEXT, nullable=False),
        sa.Column("head", NO, nullable=False),
        sa.Column("floor", NO, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "missions",
        sa.Column("no", NO, nullable=False),
        sa.Column("pid", TEXT, nullable=False),
        sa.Column("session_no", NO, nullable=False),
        sa.Column("user_no", NO, nullable=False),
        sa.Column("root_no", NO, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("outcome", TEXT),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("token", NO, nullable=False),
        sa.Column("first_offset", NO, nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("no"),
        sa.UniqueConstraint("pid"),
    )
    op.create_index(
        "missions_live",
        "missions",
        ["pid"],
        sqlite_where=sa.text("outcome IS NULL"),
        postgresql_where=sa.text("outcome IS NULL"),
    )
    op.create_index("missions_session", "missions", ["session_no"])
    op.create_index("missions_user", "missions", ["user_no"])
    op.create_table(
        "nodes",
        sa.Column("node", TEXT, nullable=False),
        sa.Column("token", NO, nullable=False),
        sa.Column("joined_at", sa.Float(), nullable=False),
        sa.Column("lease_until", sa.Float(), nullable=False),
        sa.Column("left_at", sa.Float()),
        sa.PrimaryKeyConstraint("node"),
    )
    op.create_table(
        "sessions",
        sa.Column("no", NO, nullable=False),
        sa.Column("session_id", TEXT, nullable=False),
        sa.Column("user_no", NO, nullable=False),
        sa.Column("title", TEXT),
        sa.Column("message_count", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("last_activity", sa.Float(), nullable=False),
        sa.Column("archived_at", sa.Float()),
        sa.Column("deleted_at", sa.Float()),
        sa.Column("floor", NO, server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("no"),
        sa.UniqueConstraint("session_id"),
    )
    op.create_index("sessions_activity", "sessions", ["user_no", "last_activity"])
    op.create_table(
        "steps",
        sa.Column("no", NO, nullable=False),
        sa.Column("mission_no", NO, nullable=False),
        sa.Column("step", TEXT, nullable=False),
        sa.Column("offset", NO),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("no"),
        sa.UniqueConstraint("mission_no", "step"),
    )
    op.create_table(
        "tool_calls",
        sa.Column("no", NO, nullable=False),
        sa.Column("tool", TEXT, nullable=False),
        sa.Column("pid", TEXT, nullable=False),
        sa.Column("step", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("latency_ms", sa.Float(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("error", TEXT),
        sa.PrimaryKeyConstraint("no"),
    )
    op.create_index("tool_calls_tool", "tool_calls", ["tool"])
    op.create_table(
        "user_usage",
        sa.Column("user_no", NO, autoincrement=False, nullable=False),
        sa.Column("day", TEXT, nullable=False),
        sa.Column("missions", sa.Integer(), nullable=False),
        sa.Column("llm_calls", NO, nullable=False),
        sa.Column("tool_calls", NO, nullable=False),
        sa.Column("input_tokens", NO, nullable=False),
        sa.Column("output_tokens", NO, nullable=False),
        sa.Column("cost_usd", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("user_no", "day"),
    )
    op.create_table(
        "users",
        sa.Column("no", NO, nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("floor", NO, server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("no"),
        sa.UniqueConstraint("user_id"),
    )
    op.execute("INSERT INTO meta (id, epoch, head, floor) VALUES (1, '', 0, 0)")
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE VIRTUAL TABLE messages_text USING fts5("
            "content, content='', tokenize='unicode61 remove_diacritics 2')"
        )
    else:
        op.execute("CREATE TABLE messages_text (place bigint PRIMARY KEY, words tsvector NOT NULL)")
        op.execute("CREATE INDEX messages_text_words ON messages_text USING gin (words)")
        op.execute(
            "CREATE TABLE seat (id integer PRIMARY KEY CHECK (id = 1), token bigint NOT NULL,"
            " turn bigint NOT NULL, node varchar NOT NULL, url varchar NOT NULL,"
            " lease_until double precision NOT NULL)"
        )
        op.execute("INSERT INTO seat VALUES (1, 0, 0, '', '', 0)")


def downgrade() -> None:
    """There is nothing before the first schema.

    Raises:
        NotImplementedError: always.
    """
    raise NotImplementedError("there is nothing before the first schema")
