"""Towers that share a database: their seats, their users' homes, what they tell each other.

Revision: 0003, after 0002. No tower may serve while this is done (``tower db upgrade`` looks), so
the old seat's row says nothing worth keeping but its token: none is used twice.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NO = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables, columns and the index."""
    op.add_column("meta", sa.Column("removals", NO, server_default="0", nullable=False))
    op.add_column("meta", sa.Column("last_token", NO, server_default="0", nullable=False))
    op.drop_table("nodes")
    op.create_table(
        "nodes",
        sa.Column("token", NO, autoincrement=False, nullable=False),
        sa.Column("node", TEXT, nullable=False),
        sa.Column("url", TEXT, nullable=False),
        sa.Column("mode", TEXT, nullable=False),
        sa.Column("runs_missions", sa.Integer(), nullable=False),
        sa.Column("load", sa.Integer(), nullable=False),
        sa.Column("turn", NO, nullable=False),
        sa.Column("joined_at", sa.Float(), nullable=False),
        sa.Column("lease_until", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("token"),
        sa.UniqueConstraint("node"),
    )
    op.create_table(
        "homes",
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("token", NO, nullable=False),
        sa.PrimaryKeyConstraint("user_id"),
    )
    op.create_index("homes_token", "homes", ["token"])
    op.create_index(
        "missions_live_of_user",
        "missions",
        ["user_no", "pid"],
        sqlite_where=sa.text("outcome IS NULL"),
        postgresql_where=sa.text("outcome IS NULL"),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("UPDATE meta SET last_token = (SELECT token FROM seat)")
        op.execute("DROP TABLE seat")


def downgrade() -> None:
    """Older programs are not served: a restored backup brings them back.

    Raises:
        NotImplementedError: always.
    """
    raise NotImplementedError("restore a backup made before the upgrade")
