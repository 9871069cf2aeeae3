"""Addresses of one calendar's events, and what is asked for with each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from calhub.providers.microsoft.client import literal, path, with_query
from calhub.providers.microsoft.kept import EXPAND, UID

#: Of a series everything is named: only then its deleted instances are told (microsoft: Reading).
_SERIES_FIELDS: Final = (
    "id,changeKey,type,iCalUId,subject,body,start,end,isAllDay,originalStartTimeZone,originalEndTimeZone,location,"
    "categories,showAs,sensitivity,importance,isReminderOn,reminderMinutesBeforeStart,recurrence,attendees,isOrganizer,"
    "isCancelled,onlineMeeting,lastModifiedDateTime,cancelledOccurrences"
)
_SERIES_EXPAND: Final = f"{EXPAND},exceptionOccurrences"


@dataclass(frozen=True)
class Place:
    """One calendar of the mailbox that is signed in."""

    calendar: str

    @property
    def events(self) -> str:
        return path("me", "calendars", self.calendar, "events")

    def delta(self) -> str:
        return path("me", "calendars", self.calendar, "calendarView", "delta")

    def read(self, event: str) -> str:
        """By way of the calendar: an immutable id stays the same when the event is moved to another one."""
        return with_query(f"{self.events}/{path(event)[1:]}", expand=EXPAND)

    def read_series(self, event: str) -> str:
        """With exceptions and deleted instances; for a series master only."""
        return with_query(f"{self.events}/{path(event)[1:]}", select=_SERIES_FIELDS, expand=_SERIES_EXPAND)

    def find(self, uid: str) -> str:
        """Events with our UID. Graph compares without regard to case; the caller looks again."""
        name, value = literal(UID), literal(uid)
        wanted = f"singleValueExtendedProperties/Any(ep: ep/id eq {name} and ep/value eq {value})"
        return with_query(self.events, filter=wanted, expand=EXPAND)

    def find_foreign(self, uid: str) -> str:
        """Events that are not ours, by the UID that Graph made."""
        return with_query(self.events, filter=f"iCalUId eq {literal(uid)}", expand=EXPAND)

    @staticmethod
    def event(event: str) -> str:
        """For writes."""
        return path("me", "events", event)

    @staticmethod
    def instances(event: str, start: str, end: str) -> str:
        """The occurrences of a series between two times (UTC, with ``Z``)."""
        fields = with_query("", select="id,type,start,isAllDay,originalStart,originalStartTimeZone", top="500")
        return f"{path('me', 'events', event)}/instances{fields}&startDateTime={start}&endDateTime={end}"
