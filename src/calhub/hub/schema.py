"""The tables of the hub, in SQLAlchemy Core; Alembic migrations create exactly these.

Conventions: instants are RFC 3339 text in UTC (``2026-11-21T10:00:00.000Z``, sorts by time) unless a column is named
``*_ts`` (whole seconds since 1970, UTC). JSON columns hold canonical JSON text (sorted keys, no spaces).
Wrong states are refused here, by constraints, rather than by the code that writes.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()

account = Table(
    "account",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("provider", Text, nullable=False),
    Column("settings", Text, nullable=False, server_default="{}"),  # JSON; never a secret
    Column("state", Text, nullable=False, server_default="ok"),
    Column("error", Text),
    Column("created", Text, nullable=False),
    CheckConstraint("state IN ('ok','needs_login','failing','paused')", name="account_state"),
    CheckConstraint("length(name) > 0", name="account_name"),
)

secret = Table(
    "secret",
    metadata,
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("sealed", Text, nullable=False),  # "keyring:" reference or "aesgcm:" + base64; see hub/secrets.py
)

breaker = Table(  # of accounts that have failed lately; see breaker.py
    "breaker",
    metadata,
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
    Column("state", Text, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("until", Text),
    CheckConstraint("state IN ('closed','open','half_open')", name="breaker_state"),
    CheckConstraint("(state = 'closed') = (until IS NULL)", name="breaker_until"),
)

calendar = Table(
    "calendar",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("color", Text),
    Column("time_zone", Text),
    Column("created", Text, nullable=False),
    CheckConstraint("length(name) > 0", name="calendar_name"),
)

replica = Table(
    "replica",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("calendar_id", ForeignKey("calendar.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE"), nullable=False),
    Column("remote_id", Text, nullable=False),  # the provider's id of the remote calendar
    Column("remote_name", Text, nullable=False),
    Column("access", Text, nullable=False, server_default="owner"),
    Column("direction", Text, nullable=False, server_default="both"),
    Column("conflicts", Text, nullable=False, server_default="merge"),
    Column("settings", Text, nullable=False, server_default="{}"),  # JSON: guard_share, guard_number, past, future, ...
    Column("state", Text, nullable=False, server_default="ok"),
    Column("error", Text),
    Column("last_success", Text),
    Column("cursor", Text),  # the provider's token, opaque; NULL = next pass is a full one
    Column("phase", Text, nullable=False, server_default="initial"),  # initial until one full pass has ended
    Column("hub_seq", Integer, nullable=False, server_default="0"),  # hub changes up to here have been planned
    Column("created", Text, nullable=False),
    UniqueConstraint("account_id", "remote_id", name="replica_one_per_remote"),
    CheckConstraint("direction IN ('both','pull','push')", name="replica_direction"),
    CheckConstraint("conflicts IN ('merge','newest','hub','remote','ask')", name="replica_conflicts"),
    CheckConstraint("state IN ('ok','failing','held','paused')", name="replica_state"),
    CheckConstraint("phase IN ('initial','steady')", name="replica_phase"),
)

event = Table(
    "event",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("calendar_id", ForeignKey("calendar.id", ondelete="CASCADE"), nullable=False),
    Column("uid", Text, nullable=False),
    Column("content", Text, nullable=False),  # canonical content, see calendar/event.py; kept for tombstones
    Column("title", Text, nullable=False, server_default=""),
    Column("location", Text, nullable=False, server_default=""),
    Column("status", Text, nullable=False, server_default="confirmed"),
    Column("privacy", Text, nullable=False, server_default="public"),
    Column("busy", Integer, nullable=False, server_default="1"),
    Column("all_day", Integer, nullable=False, server_default="0"),
    Column("rrule", Text),
    Column("rev", Integer, nullable=False),  # the seq of its latest change
    Column("updated", Text, nullable=False),
    Column("deleted", Integer, nullable=False, server_default="0"),  # tombstone, kept until every link is gone (I7)
    UniqueConstraint("calendar_id", "uid", name="event_key"),
    CheckConstraint("length(uid) > 0", name="event_uid"),
    CheckConstraint("status IN ('confirmed','tentative','cancelled')", name="event_status"),
    CheckConstraint("privacy IN ('public','private','confidential')", name="event_privacy"),
    CheckConstraint("busy IN (0,1) AND all_day IN (0,1) AND deleted IN (0,1)", name="event_flags"),
    Index("event_uid_index", "uid"),
    Index("event_rev", "calendar_id", "rev"),  # what a replica has not seen: O(changes)
)

participant = Table(
    "participant",
    metadata,
    Column("event_id", ForeignKey("event.id", ondelete="CASCADE"), primary_key=True),
    Column("email", Text, primary_key=True),
    Column("name", Text),
    Column("role", Text, nullable=False),
    Column("status", Text, nullable=False),
    CheckConstraint("role IN ('chair','required','optional','informational')", name="participant_role"),
    Index("participant_email", "email"),
)

occurrence = Table(
    "occurrence",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("event_id", ForeignKey("event.id", ondelete="CASCADE"), nullable=False),
    Column("calendar_id", Integer, nullable=False),
    Column("recurrence_id", Text),  # NULL for a single event
    Column("start_ts", Integer, nullable=False),  # floating and all-day times as if UTC
    Column("end_ts", Integer, nullable=False),
    Column("span", Integer, nullable=False),  # 0: up to a day, 1: up to 32 days, 2: longer; bounds the range scan
    Column("start", Text, nullable=False),  # RFC 3339 with own offset, local when floating, date when all-day
    Column("end", Text, nullable=False),
    Column("title", Text),  # title to busy: NULL = as the event says
    Column("location", Text),
    Column("status", Text),
    Column("busy", Integer),
    CheckConstraint("end_ts >= start_ts", name="occurrence_order"),
    CheckConstraint("span IN (0,1,2)", name="occurrence_span"),
    Index("occurrence_range", "span", "start_ts", "calendar_id"),  # one calendar is picked from the index itself
    Index("occurrence_instance", "event_id", "recurrence_id", unique=True),
)

observation = Table(
    "observation",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("replica_id", ForeignKey("replica.id", ondelete="CASCADE"), nullable=False),
    Column("remote_id", Text, nullable=False),
    Column("uid", Text),
    Column("version", Text),  # etag or the like; NULL where the service has none
    Column("content", Text),  # canonical content as the remote shows it; NULL = gone or quarantined
    Column("raw", Text),  # the remote's own text, to be patched on the next write
    Column("gone", Integer, nullable=False, server_default="0"),
    Column("problem", Text),  # not NULL = quarantined, with the reason
    Column("pending", Integer, nullable=False, server_default="1"),  # seen but not yet planned
    Column("modified", Text),  # the remote's own last-modified instant, a hint for clashes
    Column("seen", Text, nullable=False),
    UniqueConstraint("replica_id", "remote_id", name="observation_key"),
    CheckConstraint("gone = 0 OR content IS NULL", name="observation_gone"),
    CheckConstraint("problem IS NULL OR content IS NULL", name="observation_problem"),
    Index("observation_pending", "replica_id", sqlite_where=text("pending = 1")),
    Index("observation_problem_index", "replica_id", sqlite_where=text("problem IS NOT NULL")),
    Index("observation_uid", "replica_id", "uid"),
)

link = Table(
    "link",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("replica_id", ForeignKey("replica.id", ondelete="CASCADE"), nullable=False),
    Column("event_id", ForeignKey("event.id", ondelete="RESTRICT"), nullable=False, index=True),
    Column("remote_id", Text, nullable=False),
    Column("base_remote", Text, nullable=False),  # what the remote showed after the last agreement
    Column("base_hub", Text),  # the hub's event projected on the provider; NULL = same as base_remote
    Column("version", Text),
    Column("hub_rev", Integer, nullable=False),
    Column("synced", Text, nullable=False),
    UniqueConstraint("replica_id", "event_id", name="link_event"),
    UniqueConstraint("replica_id", "remote_id", name="link_remote"),
)

retry = Table(
    "retry",
    metadata,
    Column("replica_id", ForeignKey("replica.id", ondelete="CASCADE"), primary_key=True),
    Column("event_id", ForeignKey("event.id", ondelete="CASCADE"), primary_key=True),
    Column("attempts", Integer, nullable=False),  # failed so far; 0 = only queued
    Column("error", Text),
    Column("next_try", Text),  # NULL = dead letter: waits for a person or a new change
    CheckConstraint("attempts >= 0", name="retry_attempts"),
)

intent = Table(
    "intent",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("replica_id", ForeignKey("replica.id", ondelete="CASCADE"), nullable=False),
    Column("event_id", Integer, nullable=False),  # no foreign key: the journal outlives the event, for undo
    Column("uid", Text, nullable=False),
    Column("run_id", Integer),
    Column("op", Text, nullable=False),
    Column("remote_id", Text, nullable=False),  # for a create: the identity reserved before the call
    Column("expected", Text),  # version the write is conditional on
    Column("hub_rev", Integer, nullable=False),
    Column("content", Text),  # what is to be written, projected; NULL for a delete
    Column("before", Text),  # JSON {"content","raw"} of the remote before, for undo
    Column("after", Text),  # version after success, the precondition of an undo
    Column("state", Text, nullable=False, server_default="open"),
    Column("error", Text),
    Column("created", Text, nullable=False),
    Column("closed", Text),
    CheckConstraint("op IN ('create','update','delete')", name="intent_op"),
    CheckConstraint("state IN ('open','done','stale','refused','failed','unknown')", name="intent_state"),
    CheckConstraint("(state = 'open') = (closed IS NULL)", name="intent_closed"),
    Index("intent_one_open", "replica_id", "event_id", unique=True, sqlite_where=text("state = 'open'")),
    Index("intent_run", "run_id"),
    Index("intent_event", "replica_id", "event_id"),
    Index("intent_remote", "replica_id", "remote_id"),
)

conflict = Table(
    "conflict",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("replica_id", ForeignKey("replica.id", ondelete="CASCADE"), nullable=False),
    Column("event_id", ForeignKey("event.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("state", Text, nullable=False),
    Column("fields", Text, nullable=False),  # JSON list of {"name","base","hub","remote","taken"}
    Column("since", Text, nullable=False),
    Column("resolution", Text),  # JSON {field: "hub"|"remote"|"both"}, set by a person, applied at the next pass
    Column("closed", Text),
    CheckConstraint("state IN ('open','auto','resolved')", name="conflict_state"),
    Index("conflict_open", "replica_id", sqlite_where=text("state = 'open'")),
)

hold = Table(
    "hold",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("replica_id", ForeignKey("replica.id", ondelete="CASCADE"), nullable=False),
    Column("side", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("creates", Integer, nullable=False),
    Column("updates", Integer, nullable=False),
    Column("deletes", Integer, nullable=False),
    Column("plan", Text, nullable=False),  # JSON [[op, uid, mark], ...]: a decision covers only these
    Column("state", Text, nullable=False, server_default="waiting"),
    Column("since", Text, nullable=False),
    Column("closed", Text),
    CheckConstraint("side IN ('hub','remote')", name="hold_side"),
    CheckConstraint("state IN ('waiting','released','discarded','done')", name="hold_state"),
    Index("hold_one_waiting", "replica_id", "side", unique=True, sqlite_where=text("state = 'waiting'")),
)

change = Table(
    "change",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("calendar_id", Integer, nullable=False),
    Column("event_id", Integer, nullable=False),
    Column("uid", Text, nullable=False),
    Column("op", Text, nullable=False),
    Column("fields", Text, nullable=False),  # JSON list of changed paths
    Column("before", Text),  # content before, NULL for a create; what undo puts back
    Column("replica_id", Integer),  # the replica that brought it; NULL = a person, a rule or an undo
    Column("run_id", Integer),
    Column("at", Text, nullable=False),
    CheckConstraint("op IN ('create','update','delete')", name="change_op"),
    Index("change_calendar", "calendar_id", "seq"),
    Index("change_run", "run_id"),
    Index("change_event", "event_id", "seq"),
    sqlite_autoincrement=True,
)

run = Table(
    "run",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("replica_id", Integer),
    Column("account", Text, nullable=False),
    Column("calendar", Text, nullable=False),
    Column("remote", Text, nullable=False),
    Column("kind", Text, nullable=False, server_default="sync"),
    Column("status", Text),  # NULL = under way or cut off
    Column("counts", Text, nullable=False, server_default="{}"),  # JSON: the run shape's counters
    Column("errors", Text, nullable=False, server_default="[]"),
    Column("requests", Integer, nullable=False, server_default="0"),
    Column("duration_ms", Integer),
    Column("started", Text, nullable=False),
    Column("finished", Text),
    CheckConstraint("kind IN ('sync','undo','reset')", name="run_kind"),
    CheckConstraint("status IS NULL OR status IN ('ok','failed','held','skipped')", name="run_status"),
)

rule = Table(  # derives copies in one calendar from events of another; see hub/rules.py
    "rule",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False, unique=True),  # stands for the rule in the UIDs of its copies
    Column("source_id", ForeignKey("calendar.id", ondelete="CASCADE"), nullable=False),
    Column("target_id", ForeignKey("calendar.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("options", Text, nullable=False, server_default="{}"),  # JSON, as rules/options.py reads it
    Column("seq", Integer, nullable=False, server_default="0"),  # hub changes up to here have been derived
    Column("stale", Integer, nullable=False, server_default="1"),  # everything is to be derived anew
    Column("reached_ts", Integer),  # events that begin before have been in the window; NULL = no window yet
    Column("created", Text, nullable=False),
    UniqueConstraint("kind", "source_id", "target_id", name="rule_one_per_pair"),
    CheckConstraint("kind IN ('mirror','publish')", name="rule_kind"),
    CheckConstraint("source_id <> target_id", name="rule_two_calendars"),
    CheckConstraint("stale IN (0,1)", name="rule_stale"),
)

copy = Table(
    "copy",
    metadata,
    Column("rule_id", ForeignKey("rule.id", ondelete="CASCADE"), primary_key=True),
    Column("source_uid", Text, primary_key=True),  # empty where the copy stands for several events
    Column("part", Text, primary_key=True),  # which part of the source; empty = all of it
    Column("uid", Text, nullable=False),  # of the copy, in the rule's target
    Column("face", Text, nullable=False),  # content as the rule last wrote it
    Column("end_ts", Integer),  # when its last instance ends; NULL = never
    UniqueConstraint("rule_id", "uid", name="copy_uid"),
    Index("copy_end", "rule_id", "end_ts"),
)

token = Table(  # of the API; see hub/tokens.py
    "token",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("hash", Text, nullable=False, unique=True),  # SHA-256 of the token, which itself is nowhere
    Column("signing", Text, nullable=False),  # the key of signed requests, sealed; see hub/secrets.py
    Column("created", Text, nullable=False),
    Column("last_used", Text),
    Column("revoked", Text),
    CheckConstraint("scope IN ('read','write','admin')", name="token_scope"),
)

reply = Table(  # the API's answers to requests with an Idempotency-Key; see hub/replies.py
    "reply",
    metadata,
    Column("caller", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request", Text, nullable=False),  # SHA-256 of what was asked for
    Column("status", Integer),  # NULL = under way
    Column("headers", Text),  # JSON
    Column("body", LargeBinary),
    Column("at", Text, nullable=False),
    CheckConstraint("(status IS NULL) = (headers IS NULL) AND (status IS NULL) = (body IS NULL)", name="reply_whole"),
    Index("reply_at", "at"),
)

audit = Table(  # hash-chained; see hub/audit.py
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("facts", Text, nullable=False),  # JSON
    Column("hash", Text, nullable=False),
)

measure = Table(  # counters and histograms, summed up since the hub was made; see hub/measures.py
    "measure",
    metadata,
    Column("name", Text, primary_key=True),
    Column("labels", Text, primary_key=True),  # JSON
    Column("bound", Text, primary_key=True),  # of the bucket; "sum"; empty for a counter
    Column("value", Float, nullable=False),
)

sample = Table(  # the latest single measurements
    "sample",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("seconds", Float, nullable=False),
    Index("sample_name", "name", "id"),
)

channel = Table(  # a service tells us of changes; see hub/channels.py
    "channel",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("replica_id", Integer, nullable=False, index=True),  # which may be gone: then it is to be stopped
    Column("remote_id", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("sealed", Text, nullable=False),  # what messages are known by
    Column("expires", Text),
    Column("error", Text),
    Column("due", Text, nullable=False),  # when to renew it, or to ask again
    CheckConstraint("state IN ('planned','open','refused')", name="channel_state"),
    CheckConstraint("(state = 'refused') = (error IS NOT NULL)", name="channel_error"),
)

endpoint = Table(  # somebody's URL that is told of changes; see hub/endpoints.py
    "endpoint",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("url", Text, nullable=False),
    Column("public_only", Integer, nullable=False),  # it came in through the API: no private networks
    Column("every", Integer, nullable=False),  # told of all calendars; else of those in endpoint_calendar
    Column("secret", Text, nullable=False),  # sealed; see hub/secrets.py
    Column("previous", Text),  # the secret before, sealed, which signs as well ...
    Column("previous_until", Text),  # ... up to this instant
    Column("seq", Integer, nullable=False),  # messages have been cut of changes up to here; -1 = some were lost
    Column("state", Text, nullable=False, server_default="active"),
    Column("reason", Text),  # why it is disabled
    Column("failing_since", Text),  # NULL = the last attempt succeeded, or there was none
    Column("rests_until", Text),  # no attempt before
    Column("created", Text, nullable=False),
    CheckConstraint("public_only IN (0,1) AND every IN (0,1)", name="endpoint_flags"),
    CheckConstraint("(previous IS NULL) = (previous_until IS NULL)", name="endpoint_previous"),
    CheckConstraint("state IN ('active','disabled')", name="endpoint_state"),
    CheckConstraint("(state = 'disabled') = (reason IS NOT NULL)", name="endpoint_reason"),
    sqlite_autoincrement=True,
)

endpoint_calendar = Table(
    "endpoint_calendar",
    metadata,
    Column("endpoint_id", ForeignKey("endpoint.id", ondelete="CASCADE"), primary_key=True),
    Column("calendar_id", ForeignKey("calendar.id", ondelete="CASCADE"), primary_key=True, index=True),
)

message = Table(  # to an endpoint; see hub/messages.py
    "message",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("endpoint_id", ForeignKey("endpoint.id", ondelete="CASCADE"), nullable=False),
    Column("type", Text, nullable=False),
    Column("body", Text),  # JSON as it is sent; NULL once it has been delivered
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_try", Text),
    Column("tried", Text),  # when the last attempt ended
    Column("state", Text, nullable=False, server_default="pending"),
    Column("status", Integer),  # of the last answer; NULL = there was none
    Column("error", Text),
    Column("created", Text, nullable=False),
    CheckConstraint("state IN ('pending','delivered','dead')", name="message_state"),
    CheckConstraint("(state = 'pending') = (next_try IS NOT NULL)", name="message_next_try"),
    CheckConstraint("(state = 'delivered') = (body IS NULL)", name="message_body"),
    CheckConstraint("attempts >= 0", name="message_attempts"),
    Index("message_due", "endpoint_id", "state", "next_try"),
)

meta = Table("meta", metadata, Column("key", Text, primary_key=True), Column("value", Text, nullable=False))

#: Full-text index, kept by hub/events.py; rowid = event.id. SQLite only, so outside ``metadata``.
SEARCH_DDL = (
    "CREATE VIRTUAL TABLE event_search USING fts5(title, description, location, participants, "
    "tokenize = \"unicode61 remove_diacritics 2\", prefix = '2 3')"
)
