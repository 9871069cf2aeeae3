"""The first schema: the tables of `calhub.hub.schema` as they were then, written out, and the search index."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("settings", sa.Text(), server_default="{}", nullable=False),
        sa.Column("state", sa.Text(), server_default="ok", nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("created", sa.Text(), nullable=False),
        sa.CheckConstraint("state IN ('ok','needs_login','failing','paused')", name="account_state"),
        sa.CheckConstraint("length(name) > 0", name="account_name"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "calendar",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("color", sa.Text()),
        sa.Column("time_zone", sa.Text()),
        sa.Column("created", sa.Text(), nullable=False),
        sa.CheckConstraint("length(name) > 0", name="calendar_name"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "change",
        sa.Column("seq", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("calendar_id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("op", sa.Text(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("before", sa.Text()),
        sa.Column("replica_id", sa.Integer()),
        sa.Column("run_id", sa.Integer()),
        sa.Column("at", sa.Text(), nullable=False),
        sa.CheckConstraint("op IN ('create','update','delete')", name="change_op"),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    op.create_index("change_calendar", "change", ["calendar_id", "seq"])
    op.create_index("change_event", "change", ["event_id", "seq"])
    op.create_index("change_run", "change", ["run_id"])
    op.create_table(
        "meta",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("replica_id", sa.Integer()),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("calendar", sa.Text(), nullable=False),
        sa.Column("remote", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="sync", nullable=False),
        sa.Column("status", sa.Text()),
        sa.Column("counts", sa.Text(), server_default="{}", nullable=False),
        sa.Column("errors", sa.Text(), server_default="[]", nullable=False),
        sa.Column("requests", sa.Integer(), server_default="0", nullable=False),
        sa.Column("duration_ms", sa.Integer()),
        sa.Column("started", sa.Text(), nullable=False),
        sa.Column("finished", sa.Text()),
        sa.CheckConstraint("kind IN ('sync','undo')", name="run_kind"),
        sa.CheckConstraint("status IS NULL OR status IN ('ok','failed','held','skipped')", name="run_status"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("calendar_id", sa.Integer(), nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), server_default="", nullable=False),
        sa.Column("location", sa.Text(), server_default="", nullable=False),
        sa.Column("status", sa.Text(), server_default="confirmed", nullable=False),
        sa.Column("privacy", sa.Text(), server_default="public", nullable=False),
        sa.Column("busy", sa.Integer(), server_default="1", nullable=False),
        sa.Column("all_day", sa.Integer(), server_default="0", nullable=False),
        sa.Column("rrule", sa.Text()),
        sa.Column("rev", sa.Integer(), nullable=False),
        sa.Column("updated", sa.Text(), nullable=False),
        sa.Column("deleted", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("privacy IN ('public','private','confidential')", name="event_privacy"),
        sa.CheckConstraint("status IN ('confirmed','tentative','cancelled')", name="event_status"),
        sa.CheckConstraint("busy IN (0,1) AND all_day IN (0,1) AND deleted IN (0,1)", name="event_flags"),
        sa.CheckConstraint("length(uid) > 0", name="event_uid"),
        sa.ForeignKeyConstraint(["calendar_id"], ["calendar.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("calendar_id", "uid", name="event_key"),
    )
    op.create_index("event_rev", "event", ["calendar_id", "rev"])
    op.create_index("event_uid_index", "event", ["uid"])
    op.create_table(
        "replica",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("calendar_id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("remote_id", sa.Text(), nullable=False),
        sa.Column("remote_name", sa.Text(), nullable=False),
        sa.Column("access", sa.Text(), server_default="owner", nullable=False),
        sa.Column("direction", sa.Text(), server_default="both", nullable=False),
        sa.Column("conflicts", sa.Text(), server_default="merge", nullable=False),
        sa.Column("settings", sa.Text(), server_default="{}", nullable=False),
        sa.Column("state", sa.Text(), server_default="ok", nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("last_success", sa.Text()),
        sa.Column("cursor", sa.Text()),
        sa.Column("phase", sa.Text(), server_default="initial", nullable=False),
        sa.Column("hub_seq", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created", sa.Text(), nullable=False),
        sa.CheckConstraint("conflicts IN ('merge','newest','hub','remote','ask')", name="replica_conflicts"),
        sa.CheckConstraint("direction IN ('both','pull','push')", name="replica_direction"),
        sa.CheckConstraint("phase IN ('initial','steady')", name="replica_phase"),
        sa.CheckConstraint("state IN ('ok','failing','held','paused')", name="replica_state"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["calendar_id"], ["calendar.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("account_id", "remote_id", name="replica_one_per_remote"),
    )
    op.create_index("ix_replica_calendar_id", "replica", ["calendar_id"])
    op.create_table(
        "secret",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("account_id", "name"),
    )
    op.create_table(
        "conflict",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("replica_id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("since", sa.Text(), nullable=False),
        sa.Column("resolution", sa.Text()),
        sa.Column("closed", sa.Text()),
        sa.CheckConstraint("state IN ('open','auto','resolved')", name="conflict_state"),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["replica_id"], ["replica.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("conflict_open", "conflict", ["replica_id"], sqlite_where=sa.text("state = 'open'"))
    op.create_index("ix_conflict_event_id", "conflict", ["event_id"])
    op.create_table(
        "hold",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("replica_id", sa.Integer(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("creates", sa.Integer(), nullable=False),
        sa.Column("updates", sa.Integer(), nullable=False),
        sa.Column("deletes", sa.Integer(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("since", sa.Text(), nullable=False),
        sa.Column("closed", sa.Text()),
        sa.CheckConstraint("side IN ('hub','remote')", name="hold_side"),
        sa.CheckConstraint("state IN ('waiting','released','discarded','done')", name="hold_state"),
        sa.ForeignKeyConstraint(["replica_id"], ["replica.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "hold_one_waiting", "hold", ["replica_id", "side"], unique=True, sqlite_where=sa.text("state = 'waiting'")
    )
    op.create_table(
        "intent",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("replica_id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Integer()),
        sa.Column("op", sa.Text(), nullable=False),
        sa.Column("remote_id", sa.Text(), nullable=False),
        sa.Column("expected", sa.Text()),
        sa.Column("hub_rev", sa.Integer(), nullable=False),
        sa.Column("content", sa.Text()),
        sa.Column("before", sa.Text()),
        sa.Column("after", sa.Text()),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("created", sa.Text(), nullable=False),
        sa.Column("closed", sa.Text()),
        sa.CheckConstraint("(state = 'open') = (closed IS NULL)", name="intent_closed"),
        sa.CheckConstraint("op IN ('create','update','delete')", name="intent_op"),
        sa.CheckConstraint("state IN ('open','done','stale','refused','failed','unknown')", name="intent_state"),
        sa.ForeignKeyConstraint(["replica_id"], ["replica.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "intent_one_open", "intent", ["replica_id", "event_id"], unique=True, sqlite_where=sa.text("state = 'open'")
    )
    op.create_index("intent_run", "intent", ["run_id"])
    op.create_index("intent_event", "intent", ["replica_id", "event_id"])
    op.create_index("intent_remote", "intent", ["replica_id", "remote_id"])
    op.create_table(
        "link",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("replica_id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("remote_id", sa.Text(), nullable=False),
        sa.Column("base_remote", sa.Text(), nullable=False),
        sa.Column("base_hub", sa.Text()),
        sa.Column("version", sa.Text()),
        sa.Column("hub_rev", sa.Integer(), nullable=False),
        sa.Column("synced", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["replica_id"], ["replica.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("replica_id", "event_id", name="link_event"),
        sa.UniqueConstraint("replica_id", "remote_id", name="link_remote"),
    )
    op.create_index("ix_link_event_id", "link", ["event_id"])
    op.create_table(
        "observation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("replica_id", sa.Integer(), nullable=False),
        sa.Column("remote_id", sa.Text(), nullable=False),
        sa.Column("uid", sa.Text()),
        sa.Column("version", sa.Text()),
        sa.Column("content", sa.Text()),
        sa.Column("raw", sa.Text()),
        sa.Column("gone", sa.Integer(), server_default="0", nullable=False),
        sa.Column("problem", sa.Text()),
        sa.Column("pending", sa.Integer(), server_default="1", nullable=False),
        sa.Column("modified", sa.Text()),
        sa.Column("seen", sa.Text(), nullable=False),
        sa.CheckConstraint("gone = 0 OR content IS NULL", name="observation_gone"),
        sa.CheckConstraint("problem IS NULL OR content IS NULL", name="observation_problem"),
        sa.ForeignKeyConstraint(["replica_id"], ["replica.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("replica_id", "remote_id", name="observation_key"),
    )
    op.create_index("observation_pending", "observation", ["replica_id"], sqlite_where=sa.text("pending = 1"))
    op.create_index(
        "observation_problem_index", "observation", ["replica_id"], sqlite_where=sa.text("problem IS NOT NULL")
    )
    op.create_index("observation_uid", "observation", ["replica_id", "uid"])
    op.create_table(
        "occurrence",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("calendar_id", sa.Integer(), nullable=False),
        sa.Column("recurrence_id", sa.Text()),
        sa.Column("start_ts", sa.Integer(), nullable=False),
        sa.Column("end_ts", sa.Integer(), nullable=False),
        sa.Column("span", sa.Integer(), nullable=False),
        sa.Column("start", sa.Text(), nullable=False),
        sa.Column("end", sa.Text(), nullable=False),
        sa.Column("title", sa.Text()),
        sa.Column("location", sa.Text()),
        sa.Column("status", sa.Text()),
        sa.Column("busy", sa.Integer()),
        sa.CheckConstraint("end_ts >= start_ts", name="occurrence_order"),
        sa.CheckConstraint("span IN (0,1,2)", name="occurrence_span"),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("occurrence_instance", "occurrence", ["event_id", "recurrence_id"], unique=True)
    op.create_index("occurrence_range", "occurrence", ["span", "start_ts", "calendar_id"])
    op.create_table(
        "participant",
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.CheckConstraint("role IN ('chair','required','optional','informational')", name="participant_role"),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("event_id", "email"),
    )
    op.create_index("participant_email", "participant", ["email"])
    op.create_table(
        "retry",
        sa.Column("replica_id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("next_try", sa.Text()),
        sa.CheckConstraint("attempts >= 0", name="retry_attempts"),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["replica_id"], ["replica.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("replica_id", "event_id"),
    )
    op.execute(
        "CREATE VIRTUAL TABLE event_search USING fts5(title, description, location, participants, "
        "tokenize = \"unicode61 remove_diacritics 2\", prefix = '2 3')"
    )
