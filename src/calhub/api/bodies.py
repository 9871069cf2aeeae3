"""What clients send. Unknown names are refused: a misspelt field must not be lost in silence."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(max_length=100_000)]
Line = Annotated[str, Field(max_length=2_000)]
Name = Annotated[str, Field(min_length=1, max_length=500)]
When = Annotated[str, Field(max_length=40, examples=["2026-11-23T09:00:00+01:00"])]
Direction = Literal["both", "pull", "push"]
Policy = Literal["merge", "newest", "hub", "remote", "ask"]

#: Fields of an event beside its times and texts; see `calhub.calendar.details`.
DETAILS: Final = ("status", "privacy", "busy", "categories", "attendees", "url", "color")
#: Fields that edits take as text, empty to clear them.
TEXTS: Final = ("title", "description", "location", "rrule")
TIMES: Final = ("start", "end", "duration", "all_day", "time_zone")


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Attendee(Body):
    model_config = ConfigDict(extra="allow")

    email: Line = Field(examples=["ann@example.org"])
    name: Line | None = None
    role: Literal["chair", "required", "optional", "informational"] | None = None
    status: Literal["needs-action", "accepted", "declined", "tentative"] | None = None


class EventFields(Body):
    title: Line | None = Field(None, examples=["Stand-up"])
    description: Text | None = None
    location: Line | None = Field(None, examples=["Room 4"])
    start: When | None = None
    end: When | None = Field(None, description="Exclusive; the day after the last one when all-day.")
    duration: Annotated[str, Field(max_length=40, examples=["30m"])] | None = Field(None, description="Instead of end.")
    all_day: bool | None = None
    time_zone: Annotated[str, Field(max_length=200, examples=["Europe/Paris"])] | None = Field(
        None, description="IANA name; null or `floating`: none."
    )
    rrule: Annotated[str, Field(max_length=2_000, examples=["FREQ=DAILY;COUNT=10"])] | None = None
    status: Literal["confirmed", "tentative", "cancelled"] | None = None
    privacy: Literal["public", "private", "confidential"] | None = None
    busy: bool | None = None
    categories: Annotated[list[Line], Field(max_length=100)] | None = None
    attendees: Annotated[list[Attendee | Line], Field(max_length=1_000)] | None = None
    url: Line | None = None
    color: Line | None = None

    def details(self) -> dict[str, Any]:
        """The fields given of those in `DETAILS`."""
        given: dict[str, Any] = {name: getattr(self, name) for name in DETAILS if name in self.model_fields_set}
        if given.get("attendees"):
            given["attendees"] = [
                {"email": each} if isinstance(each, str) else each.model_dump() for each in given["attendees"]
            ]
        return given


class EventNew(EventFields):
    """A new event. A start without offset is in `time_zone`, else in the calendar's, else in the hub's."""

    calendar: Name = Field(examples=["Work"])
    uid: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None
    title: Line = Field(examples=["Stand-up"])
    start: When


class EventEdit(EventFields):
    """What is named changes, the rest stays; null or an empty text clears a field."""


class EventWhole(EventFields):
    """The event as GET shows it, changed. Fields left out are cleared.

    What else GET shows (overrides, exdates, alarms, ...) stays; where it is sent, it must be as it is.
    """

    model_config = ConfigDict(extra="allow")

    calendar: Name | None = None
    title: Line = Field(examples=["Stand-up"])
    start: When


class Move(Body):
    calendar: Name = Field(description="Where the event goes.", examples=["Home"])


class AccountNew(Body):
    provider: Literal["google", "microsoft", "notion", "caldav", "folder", "feed"]
    name: Name = Field(examples=["cloud"])
    credentials: dict[str, Line] = Field(
        default_factory=dict, description="As in a credentials file.",
        examples=[{"url": "https://cloud.example.com/dav/", "username": "you", "password": "..."}],
    )  # fmt: skip
    calendars: Literal["all", "none"] | Annotated[list[Name], Field(max_length=1_000)] = "all"


class AccountEdit(Body):
    priority: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] | None = Field(
        None, description="Its turn in a sync of all: the higher first."
    )
    interval: Annotated[int, Field(ge=0, le=366 * 86_400)] | None = Field(
        None, description="Seconds after its last pass in which a sync of all leaves it out."
    )


class CalendarNew(Body):
    name: Name = Field(examples=["Work"])
    color: Annotated[str, Field(max_length=100)] | None = Field(None, examples=["#1e88e5"])
    time_zone: Annotated[str, Field(max_length=200)] | None = Field(None, examples=["Europe/Paris"])


class CalendarEdit(Body):
    name: Name


class ReplicaSettings(Body):
    past: Annotated[int, Field(ge=0, le=100_000)] | None = Field(None, description="Days.")
    future: Annotated[int, Field(ge=0, le=100_000)] | None = Field(None, description="Days.")
    guard_share: Annotated[float, Field(ge=0, le=1)] | None = None
    guard_number: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = None
    invitations: bool | None = None
    properties: dict[Name, Name] | None = Field(None, description="Where a field is kept: {field: property}.")
    create_properties: bool | None = None
    series: Literal["master", "occurrences"] | None = None


class ReplicaEdit(Body):
    direction: Direction | None = None
    conflicts: Policy | None = None
    settings: ReplicaSettings | None = None


class ReplicaNew(ReplicaEdit):
    calendar: Name = Field(description="Made where there is none of that name.")
    account: Name
    remote: Name | None = Field(None, description="The remote calendar's id or name.")
    create: Name | None = Field(None, description="Instead of remote: make one of this name.")


class RuleNew(Body):
    kind: Literal["mirror", "publish"]
    source: Name = Field(examples=["Home"])
    target: Name = Field(examples=["Work"])
    options: dict[str, bool | Line] = Field(
        default_factory=dict, description="As on the command line, without the dashes.", examples=[{"buffer": "15m"}]
    )


class Resolution(Body):
    take: Literal["hub", "remote", "both"] | None = None
    fields: dict[str, Literal["hub", "remote"]] = Field(default_factory=dict, examples=[{"title": "remote"}])


class SyncOrder(Body):
    account: Name | None = None
    calendar: Name | None = None
    full: bool = False
    dry_run: bool = False
    timeout: Annotated[float, Field(gt=0, le=86_400)] | None = Field(None, description="Seconds.")


class Undo(Body):
    dry_run: bool = False


class Validation(Body):
    calendar: Name | None = None
    full: bool = Field(False, description="Read everything from the remotes, not a sample.")


class WebhookNew(Body):
    url: Line = Field(examples=["https://example.org/calhub"])
    calendars: Annotated[list[Name], Field(min_length=1, max_length=1_000)] | None = Field(
        None, description="Only what happens in these; null: in all.", examples=[["Work"]]
    )


class WebhookEdit(Body):
    url: Line | None = Field(None, examples=["https://example.org/calhub"])
    calendars: Annotated[list[Name], Field(min_length=1, max_length=1_000)] | None = Field(
        None, description="Only what happens in these; null: in all.", examples=[["Work"]]
    )
    state: Literal["active", "disabled"] | None = None


class DryRun(Body):
    on: bool
