"""Tokens of the API, and its answers to requests that may come twice."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "token",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("signing", sa.Text(), nullable=False),
        sa.Column("created", sa.Text(), nullable=False),
        sa.Column("last_used", sa.Text()),
        sa.Column("revoked", sa.Text()),
        sa.CheckConstraint("scope IN ('read','write','admin')", name="token_scope"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("hash"),
    )
    op.create_table(
        "reply",
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("headers", sa.Text()),
        sa.Column("body", sa.LargeBinary()),
        sa.Column("at", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "(status IS NULL) = (headers IS NULL) AND (status IS NULL) = (body IS NULL)", name="reply_whole"
        ),
        sa.PrimaryKeyConstraint("caller", "key"),
    )
    op.create_index("reply_at", "reply", ["at"])
