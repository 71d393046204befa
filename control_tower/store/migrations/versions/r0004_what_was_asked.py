"""What a session or a user was asked is found by them, beside however much others were asked.

Revision: 0004, after 0003.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the indexes."""
    op.create_index("interrupts_session", "interrupts", ["session_no", "no"])
    op.create_index("interrupts_user", "interrupts", ["user_no", "no"])


def downgrade() -> None:
    """Older programs are not served: a restored backup brings them back.

    Raises:
        NotImplementedError: always.
    """
    raise NotImplementedError("restore a backup made before the upgrade")
