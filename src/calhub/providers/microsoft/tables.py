"""The table of fields that the documentation shows."""

from __future__ import annotations

from typing import Final

from calhub.providers.fieldtable import Field

FIELDS: Final = (
    Field("title", "`subject`"),
    Field("description", "`body`", note="HTML is shown as plain text and replaced only when the text is edited; the "
          "join information of an online meeting stays"),
    Field("location", "`location.displayName`", note="an edited place loses its address and coordinates"),
    Field("url", beside="all of it"),
    Field("start, end, all_day", "`start`, `end`, `isAllDay`"),
    Field("time_zone, end_time_zone", "`originalStartTimeZone`, `originalEndTimeZone` by Windows name",
          "the IANA name, where the Windows name stands for another; that it is floating",
          "an event in a zone that Windows does not know is refused"),
    Field("rrule", "`recurrence`", "a spelling other than that of Graph's pattern", "a rule beyond Graph's patterns is "
          "refused with the reason: the series stays whole in the hub and is reported"),
    Field("rdates", note="a series with added dates is refused with the reason"),
    Field("exdates", "deleted instances"),
    Field("overrides", "exceptions", note="an occurrence cannot be moved to or past the day of its neighbours; of a "
          "cancelled one nothing is left but that"),
    Field("status", "`showAs` tentative, `isCancelled`", "cancelled; tentative together with free"),
    Field("privacy", "`sensitivity`", note="`personal` is read as private, and stays"),
    Field("busy", "`showAs`", note="`oof` is read as busy, `workingElsewhere` as free; both stay"),
    Field("categories", "`categories`"),
    Field("attendees", "`attendees`", note="read always, written only with `--invitations on`, since Microsoft 365 "
          "mails them at every change; their answers are read only"),
    Field("alarms", "`isReminderOn`, `reminderMinutesBeforeStart`", "all but the first, and any that is not some "
          "minutes before the start"),
    Field("priority", "`importance`", "numbers other than 1, 5 and 9"),
    Field("organizer", note="in the hub only; at Microsoft 365 it is the owner of the mailbox"),
    Field("conferences", note="in the hub only; an online meeting made in Outlook stays one"),
    Field("following", note="a series with such a change is refused, and whole in the hub"),
    Field("color, geo, attachments, extra, components, zones", note="in the hub only"),
)  # fmt: skip
