"""Rules and their copies, and runs that reset a calendar."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rule",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("target_id", sa.Integer(), nullable=False),
        sa.Column("options", sa.Text(), server_default="{}", nullable=False),
        sa.Column("seq", sa.Integer(), server_default="0", nullable=False),
        sa.Column("stale", sa.Integer(), server_default="1", nullable=False),
        sa.Column("reached_ts", sa.Integer()),
        sa.Column("created", sa.Text(), nullable=False),
        sa.CheckConstraint("kind IN ('mirror','publish')", name="rule_kind"),
        sa.CheckConstraint("source_id <> target_id", name="rule_two_calendars"),
        sa.CheckConstraint("stale IN (0,1)", name="rule_stale"),
        sa.ForeignKeyConstraint(["source_id"], ["calendar.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["target_id"], ["calendar.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
        sa.UniqueConstraint("kind", "source_id", "target_id", name="rule_one_per_pair"),
    )
    op.create_index("ix_rule_target_id", "rule", ["target_id"])
    op.create_table(
        "copy",
        sa.Column("rule_id", sa.Integer(), nullable=False),
        sa.Column("source_uid", sa.Text(), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("face", sa.Text(), nullable=False),
        sa.Column("end_ts", sa.Integer()),
        sa.ForeignKeyConstraint(["rule_id"], ["rule.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("rule_id", "source_uid", "part"),
        sa.UniqueConstraint("rule_id", "uid", name="copy_uid"),
    )
    op.create_index("copy_end", "copy", ["rule_id", "end_ts"])
    with op.batch_alter_table("run") as run:
        run.drop_constraint("run_kind", type_="check")
        run.create_check_constraint("run_kind", "kind IN ('sync','undo','reset')")
