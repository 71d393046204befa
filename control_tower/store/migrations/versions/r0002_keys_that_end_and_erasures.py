"""API keys that expire and say when they were used, and marks of erasures under way.

Revision: 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; every row that is there already has none of it."""
    op.add_column("api_keys", sa.Column("expires_at", sa.Float()))
    op.add_column("api_keys", sa.Column("last_used_at", sa.Float()))
    op.add_column("sessions", sa.Column("erased_at", sa.Float()))
    op.add_column("users", sa.Column("erased_at", sa.Float()))
    op.add_column("meta", sa.Column("unscrubbed", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    """Older programs are not served: a restored backup brings them back.

    Raises:
        NotImplementedError: always.
    """
    raise NotImplementedError("restore a backup made before the upgrade")
