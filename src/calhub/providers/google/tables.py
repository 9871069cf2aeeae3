"""Words of Google Calendar and of calhub, and the table of fields that the documentation shows."""

from __future__ import annotations

from typing import Final, NamedTuple

#: events.list: everything but birthdays and working locations, which are notes about a person rather than events.
EVENT_TYPES: Final = ("default", "focusTime", "fromGmail", "outOfOffice")

ACCESS: Final = {
    "owner": "owner",
    "writer": "writer",
    "writerWithoutPrivateAccess": "writer",
    "reader": "reader",
    "freeBusyReader": "freebusy",
}

ANSWERS: Final = {"accepted": "accepted", "declined": "declined", "tentative": "tentative"}

#: Google's palette for events as the CSS names (RFC 7986 COLOR) nearest to it, each used once.
COLORS: Final = {
    "1": "lavender",
    "2": "darkseagreen",
    "3": "mediumorchid",
    "4": "salmon",
    "5": "gold",
    "6": "orangered",
    "7": "deepskyblue",
    "8": "dimgray",
    "9": "royalblue",
    "10": "green",
    "11": "red",
}
COLOR_IDS: Final = {name: color_id for color_id, name in COLORS.items()}


class Field(NamedTuple):
    """One row of the table. ``beside``: what is kept in private extended properties, invisible at Google."""

    name: str
    google: str
    beside: str = ""
    note: str = ""


FIELDS: Final = (
    Field("title", "`summary`"),
    Field("description", "`description`", note="Google's HTML is shown as plain text, and patched only when edited"),
    Field("location", "`location`"),
    Field("url", "`source.url`", "where the event was made by somebody else, or the address is not http(s)"),
    Field("color", "`colorId`", "names outside Google's palette"),
    Field("start, end, all_day", "`start`, `end`", "an event without length, which is a minute long at Google"),
    Field("time_zone", "`timeZone`", "floating; at Google it is in the calendar's zone",
          "zones with rules of their own become UTC; a series in one is refused"),
    Field("end_time_zone", "`end.timeZone`"),
    Field("rrule, rdates, exdates", "`recurrence`", note="an RDATE with a length of its own is refused; "
          "further RRULE and EXRULE lines stay as they are"),
    Field("overrides", "exceptions, cancelled instances"),
    Field("status", "`status`", "cancelled; at Google that would be a deletion"),
    Field("privacy", "`visibility`", note="`public` and `default` are one"),
    Field("busy", "`transparency`"),
    Field("attendees", "`attendees`", "roles chair and informational, kinds other than resource, RSVP",
          "of somebody else's event only your own answer"),
    Field("organizer", "`organizer` (read only)", "an organizer other than Google's"),
    Field("alarms", "`reminders`", "alarms that are no popup or mail some minutes before, and more than five",
          "no alarms in a new event = the calendar's default reminders"),
    Field("attachments", "`attachments`", note="at most 25"),
    Field("conferences", "`conferenceData` (read only)", "others than Google's",
          "never copied between events, since that would let people in"),
    Field("categories, priority, geo, extra, components", "", "all"),
    Field("zones", "", note="only in the hub"),
)  # fmt: skip

#: Fields that Google has no place for at all.
BESIDE: Final = ("categories", "priority", "geo", "extra", "components")
