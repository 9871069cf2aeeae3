"""Push channels: who tells us of changes, until when."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "channel",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("replica_id", sa.Integer(), nullable=False),
        sa.Column("remote_id", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("expires", sa.Text()),
        sa.Column("error", sa.Text()),
        sa.Column("due", sa.Text(), nullable=False),
        sa.CheckConstraint("state IN ('planned','open','refused')", name="channel_state"),
        sa.CheckConstraint("(state = 'refused') = (error IS NOT NULL)", name="channel_error"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_channel_account_id", "channel", ["account_id"])
    op.create_index("ix_channel_replica_id", "channel", ["replica_id"])
