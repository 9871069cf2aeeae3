"""Words of Google Calendar and of calhub, and the table of fields that the documentation shows."""

from __future__ import annotations

from typing import Final

from calhub.providers.fieldtable import Field

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


FIELDS: Final = (
    Field("title", "`summary`"),
    Field("description", "`description`", note="Google's HTML is shown as plain text, and patched only when edited"),
    Field("location", "`location`"),
    Field("url", "`source.url`", "if somebody else made the event, or it is no address of the web"),
    Field("color", "`colorId`", "names outside Google's palette"),
    Field("start, end, all_day", "`start`, `end`", "that it has no length; at Google it is a minute long"),
    Field("time_zone", "`timeZone`", "that it is floating; at Google it is in the calendar's zone",
          "times in a zone with rules of its own become UTC; a series in one is refused"),
    Field("end_time_zone", "`end.timeZone`"),
    Field("rrule, rdates, exdates", "`recurrence`", note="an RDATE with a length of its own is refused; further RRULE "
          "and EXRULE lines stay as they are"),
    Field("overrides", "exceptions and cancelled instances"),
    Field("status", "`status`", "cancelled; at Google that would be a deletion"),
    Field("privacy", "`visibility`", note="`public` and `default` are one"),
    Field("busy", "`transparency`"),
    Field("attendees", "`attendees`", "roles chair and informational, kinds but resource, RSVP",
          "of somebody else's event only your own answer is written"),
    Field("organizer", "`organizer`, read only", "an organizer other than Google's"),
    Field("alarms", "`reminders`", "other than a popup or mail some minutes before, and more than five",
          "a new event without alarms gets the calendar's default reminders"),
    Field("attachments", "`attachments`", note="at most 25"),
    Field("conferences", "`conferenceData`, read only", "others than Google's",
          "Google's own are never copied to another event: that would let people in"),
    Field("categories, priority, geo, extra, components", beside="all of it"),
    Field("following", note="a series with such a change is refused, and whole in the hub"),
    Field("zones", note="in the hub only"),
)  # fmt: skip

#: Fields that Google has no place for at all.
BESIDE: Final = ("categories", "priority", "geo", "extra", "components")
