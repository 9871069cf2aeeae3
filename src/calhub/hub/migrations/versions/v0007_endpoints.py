"""Endpoints, which are told of changes, and the messages to them."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "endpoint",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("public_only", sa.Integer(), nullable=False),
        sa.Column("every", sa.Integer(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("previous", sa.Text()),
        sa.Column("previous_until", sa.Text()),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), server_default="active", nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("failing_since", sa.Text()),
        sa.Column("rests_until", sa.Text()),
        sa.Column("created", sa.Text(), nullable=False),
        sa.CheckConstraint("public_only IN (0,1) AND every IN (0,1)", name="endpoint_flags"),
        sa.CheckConstraint("(previous IS NULL) = (previous_until IS NULL)", name="endpoint_previous"),
        sa.CheckConstraint("state IN ('active','disabled')", name="endpoint_state"),
        sa.CheckConstraint("(state = 'disabled') = (reason IS NOT NULL)", name="endpoint_reason"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "endpoint_calendar",
        sa.Column("endpoint_id", sa.Integer(), nullable=False),
        sa.Column("calendar_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoint.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["calendar_id"], ["calendar.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("endpoint_id", "calendar_id"),
    )
    op.create_index("ix_endpoint_calendar_calendar_id", "endpoint_calendar", ["calendar_id"])
    op.create_table(
        "message",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("endpoint_id", sa.Integer(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("body", sa.Text()),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_try", sa.Text()),
        sa.Column("tried", sa.Text()),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("error", sa.Text()),
        sa.Column("created", sa.Text(), nullable=False),
        sa.CheckConstraint("state IN ('pending','delivered','dead')", name="message_state"),
        sa.CheckConstraint("(state = 'pending') = (next_try IS NOT NULL)", name="message_next_try"),
        sa.CheckConstraint("(state = 'delivered') = (body IS NULL)", name="message_body"),
        sa.CheckConstraint("attempts >= 0", name="message_attempts"),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoint.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("message_due", "message", ["endpoint_id", "state", "next_try"])
