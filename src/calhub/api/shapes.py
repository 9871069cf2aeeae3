"""The shapes that go out, for the OpenAPI document: those of ``--json`` on the command line. They may gain keys."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Item = TypeVar("Item")

#: Times are RFC 3339 with the event's own offset, without one when floating; dates when all-day.
When = str
Instant = str


class Shape(BaseModel):
    model_config = ConfigDict(extra="allow")


class Page(Shape, Generic[Item]):
    items: list[Item]
    next: str | None = Field(description="Cursor of the next page; null on the last one.")


class Problem(Shape):
    """RFC 9457. `code` is for programs, `hint` says what to do."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=['There is no calendar "Wrok".'])
    code: str = Field(examples=["not-found"])
    hint: str = Field(examples=["There is: Home, Work."])


class Occurrence(Shape):
    uid: str = Field(examples=["5f0c7c1e-5d0f-4a53-9f2e-1d9b0a3b7c11"])
    recurrence_id: str | None = Field(examples=["2026-11-23T09:00:00+01:00"])
    calendar: str = Field(examples=["Work"])
    title: str = Field(examples=["Stand-up"])
    start: When = Field(examples=["2026-11-23T09:00:00+01:00"])
    end: When = Field(examples=["2026-11-23T09:15:00+01:00"])
    all_day: bool
    location: str | None = Field(examples=["Room 4"])
    status: Literal["confirmed", "tentative", "cancelled"]
    busy: bool


class Person(Shape):
    email: str = Field(examples=["ann@example.org"])
    name: str | None = Field(examples=["Ann"])
    role: Literal["chair", "required", "optional", "informational"]
    status: Literal["needs-action", "accepted", "declined", "tentative"] | str


class Held(Shape):
    """Where an event is held."""

    account: str = Field(examples=["cloud"])
    calendar: str
    id: str
    synced: Instant
    error: str | None


class Event(Shape):
    uid: str = Field(examples=["5f0c7c1e-5d0f-4a53-9f2e-1d9b0a3b7c11"])
    calendar: str = Field(examples=["Work"])
    title: str = Field(examples=["Stand-up"])
    description: str | None
    location: str | None = Field(examples=["Room 4"])
    start: When = Field(examples=["2026-11-23T09:00:00+01:00"])
    end: When = Field(examples=["2026-11-23T09:15:00+01:00"])
    all_day: bool
    time_zone: str | None = Field(examples=["Europe/Paris"])
    rrule: str | None = Field(examples=["FREQ=DAILY"])
    exdates: list[str]
    overrides: dict[str, Any]
    status: Literal["confirmed", "tentative", "cancelled"]
    privacy: Literal["public", "private", "confidential"]
    busy: bool
    categories: list[str]
    attendees: list[Person]
    organizer: dict[str, Any] | None
    url: str | None
    rev: int = Field(description="The revision; ETag is made of it.", examples=[42])
    updated: Instant
    remotes: list[Held]


class Deleted(Shape):
    deleted: list[str] = Field(description="UIDs.")


class Counts(Shape):
    created: int
    updated: int
    deleted: int


class Remark(Shape):
    uid: str | None
    message: str


class Run(Shape):
    id: int | None
    account: str
    calendar: str
    remote: str
    status: Literal["ok", "failed", "held", "skipped"]
    pulled: Counts
    pushed: Counts
    conflicts: int
    held: int
    quarantined: int
    errors: list[Remark]
    requests: int
    duration_ms: int
    dry_run: bool


class Runs(Shape):
    runs: list[Run]


class Undone(Shape):
    run: int
    undone: int
    skipped: list[dict[str, Any]]
    dry_run: bool


class ConflictField(Shape):
    name: str = Field(examples=["title"])
    base: Any
    hub: Any
    remote: Any
    taken: Literal["hub", "remote"] | None


class Conflict(Shape):
    id: int
    uid: str
    calendar: str
    replica: int
    state: Literal["open", "auto", "resolved"]
    fields: list[ConflictField]
    since: Instant


class Hold(Shape):
    id: int
    replica: int
    reason: str
    creates: int
    updates: int
    deletes: int
    since: Instant


class HoldPlan(Hold):
    plan: list[list[Any]] = Field(description="What is held back: [op, uid, ...].")


class Quarantined(Shape):
    id: int
    replica: int
    calendar: str
    remote_id: str
    uid: str | None
    reason: str
    since: Instant


class Account(Shape):
    name: str = Field(examples=["cloud"])
    provider: str = Field(examples=["caldav"])
    state: Literal["ok", "needs_login", "failing", "paused"]
    error: str | None
    calendars: int


class Calendar(Shape):
    id: int
    name: str = Field(examples=["Work"])
    color: str | None = Field(examples=["#1e88e5"])
    time_zone: str | None = Field(examples=["Europe/Paris"])
    events: int
    replicas: list[int]


class Remote(Shape):
    id: str
    name: str
    access: Literal["owner", "writer", "reader", "freebusy"]
    color: str | None
    time_zone: str | None
    calendar: str | None


class Replica(Shape):
    id: int
    calendar: str
    account: str
    remote: str
    remote_name: str
    direction: Literal["both", "pull", "push"]
    conflicts: Literal["merge", "newest", "hub", "remote", "ask"]
    state: Literal["ok", "failing", "held", "paused"]
    last_success: Instant | None
    error: str | None
    pending: int


class AccountAdded(Shape):
    account: Account
    replicas: list[Replica]


class AccountRemoved(Shape):
    removed: str
    calendars: list[str]
    kept: list[str]


class CalendarRemoved(Shape):
    removed: str
    deleted_at_remotes: int


class Removed(Shape):
    removed: int


class Import(Shape):
    created: int
    updated: int
    unchanged: int
    quarantined: list[dict[str, Any]]


class Why(Shape):
    uid: str
    calendar: str
    replicas: list[dict[str, Any]]
    copies: list[dict[str, Any]]
    copy_of: dict[str, Any] | None
    conflicts: list[int]
    holds: list[int]


class Status(Shape):
    accounts: list[Account]
    replicas: list[Replica]
    pending: int
    conflicts: int
    holds: int
    dead_letters: int
    quarantined: int
    webhooks: dict[str, Any] = Field(examples=[{"pending": 0, "dead": 0, "disabled": []}])


class Rule(Shape):
    id: int
    kind: Literal["mirror", "publish"]
    source: str
    target: str
    options: dict[str, Any]
    copies: int


class RuleRemoved(Shape):
    removed: int
    deleted: int


class Step(Shape):
    op: Literal["create", "update", "delete"]
    uid: str
    title: str
    fields: list[str]


class Preview(Shape):
    rule: int
    creates: int
    updates: int
    deletes: int
    plan: list[Step]


class Busy(Shape):
    start: Instant = Field(examples=["2026-11-23T09:00:00+01:00"])
    end: Instant = Field(examples=["2026-11-23T09:15:00+01:00"])


class Slot(Busy):
    minutes: int = Field(examples=[105])


class AccountHealth(Shape):
    name: str = Field(examples=["cloud"])
    provider: str = Field(examples=["caldav"])
    state: Literal["ok", "needs_login", "failing", "paused"]
    error: str | None
    signed_in: bool
    token_until: Instant | None = Field(description="When the access token ends and is renewed; null: it has none.")
    last_success: Instant | None
    freshness_seconds: float | None
    stale: bool
    breaker: dict[str, Any]
    score: float


class Health(Shape):
    status: Literal["ok", "degraded", "failing"]
    score: float = Field(ge=0, le=1)
    accounts: list[AccountHealth]
    database: dict[str, Any] = Field(examples=[{"ok": True, "problem": None, "bytes": 1048576}])
    scheduler: dict[str, Any] | None = Field(description="Null where no daemon runs.")
    channels: list[dict[str, Any]]
    webhooks: list[dict[str, Any]]
    disk: dict[str, Any]
    dry_run: Instant | None


class Hour(Shape):
    hour: Instant = Field(examples=["2026-11-21T10:00:00.000Z"])
    passes: int
    succeeded: int
    changes: int
    mean_ms: float


class History(Shape):
    runs: list[Run]
    hours: list[Hour] = Field(description="Hours with passes, oldest first.")
    passes: int
    success_rate: float | None = Field(description="Null where no pass ended in that time.")


class Finding(Shape):
    check: str = Field(examples=["times"])
    calendar: str
    uid: str | None
    message: str


class Validated(Shape):
    ok: bool
    findings: list[Finding]


class Webhook(Shape):
    id: int = Field(examples=[1])
    url: str = Field(examples=["https://example.org/calhub"])
    calendars: list[str] | None = Field(description="Null: all.", examples=[["Work"]])
    state: Literal["active", "disabled"]
    reason: str | None = Field(description="Why it is disabled.", examples=["It wants no more messages (410)."])
    failing_since: Instant | None
    pending: int = Field(description="Messages that wait to be delivered.")
    dead: int = Field(description="Messages that could not be delivered.")
    created: Instant


class WebhookMade(Webhook):
    secret: str | None = Field(
        description="Shown this once; null where the answer is repeated for an Idempotency-Key.",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="],
    )


class Message(Shape):
    id: str = Field(examples=["msg_5f0c7c1e5d0f4a539f2e1d9b0a3b7c11"])
    webhook: int = Field(examples=[1])
    type: str = Field(examples=["changes"])
    state: Literal["pending", "delivered", "dead"]
    attempts: int
    next_try: Instant | None
    tried: Instant | None = Field(description="When the last attempt ended.")
    status: int | None = Field(description="Of the last answer; null where there was none.", examples=[503])
    error: str | None = Field(examples=["The answer was 503."])
    created: Instant


class Ping(Shape):
    webhook: int
    ok: bool
    status: int | None = Field(examples=[204])
    error: str | None
    duration_ms: int


class Resent(Shape):
    resent: int


class DryRun(Shape):
    on: bool
    since: Instant | None
    runs: list[Run] = Field(description="What a sync would do now; after switching it off, what was done.")


class Criterion(Shape):
    name: str = Field(examples=["propagation"])
    unit: Literal["seconds", "share"]
    target: float = Field(examples=[1.0])
    value: float | None = Field(description="The 95th percentile in seconds, or a share; null: not measured yet.")
    count: int = Field(description="Over so many measurements, the latest.")
    status: Literal["met", "missed", "not measured yet"]
    text: str


class Criteria(Shape):
    criteria: list[Criterion]


class AuditEntry(Shape):
    id: int
    at: Instant
    actor: str = Field(examples=["command line"])
    what: str = Field(examples=["account added"])
    facts: dict[str, Any]
    hash: str


class AuditVerdict(Shape):
    ok: bool
    entries: int
    head: str
    entry: int | None
    message: str | None
