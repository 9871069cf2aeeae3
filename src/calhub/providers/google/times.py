"""Times: Google's ``start``, ``end`` and ``originalStartTime`` and the moments of calhub.

A ``dateTime`` has an offset, a ``timeZone``, or both; then the instant follows the offset and the zone says by which
clock it is meant. We write wall time and zone, without offset, so that a series stays right when the rules of its zone
change. Google has no floating times: those are bound to the zone of the calendar, which the event remembers.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from calhub.calendar.event import Content, InvalidEvent
from calhub.calendar.ical_time import Frame, Moment, read_end, time_fields
from calhub.calendar.ical_write import end_moment
from calhub.calendar.zones import canonical_zone

#: Google takes no event without length; such an event is written this long, and remembered as what it is.
LEAST: Final = timedelta(minutes=1)


class Unholdable(Exception):
    """Google Calendar cannot hold the event; the message is one sentence for the user."""


def read_moment(value: Mapping[str, Any], zone: str, frame: Frame) -> Moment:
    """``zone`` is the calendar's, for times that name none. Raises `InvalidEvent`."""
    try:
        if day := value.get("date"):
            return Moment(date.fromisoformat(day).isoformat())
        time = datetime.fromisoformat(value["dateTime"])
    except (KeyError, TypeError, ValueError):
        raise InvalidEvent("The event has a date or time that cannot be read.") from None
    name = canonical_zone(value["timeZone"]) if value.get("timeZone") else None
    if time.tzinfo is None:
        return Moment(time.isoformat(timespec="seconds"), name or zone)
    return frame.at(time.replace(microsecond=0).astimezone(UTC), name or zone)


def read_times(row: Mapping[str, Any], zone: str, more: Mapping[str, Any]) -> Content:
    """``start``, ``end`` and what belongs to them, in the words of content. Raises `InvalidEvent`."""
    if not row.get("start") or not row.get("end"):
        raise InvalidEvent("The event has no start or no end.")
    frame = Frame({"start": ""})
    start = read_moment(row["start"], zone, frame)
    end = read_end(start, read_moment(row["end"], zone, frame), None, frame)
    if more.get("point") and not start.is_date and frame.instant(end) - frame.instant(start) == LEAST:
        end = start
    fields = time_fields(start, end)
    if more.get("floating") and more["floating"] == fields.get("time_zone") == end.zone:
        del fields["time_zone"]
    return fields


def bound(content: Content, zone: str) -> Content:
    """The content with a floating event bound to ``zone``, as it is written; ids of instances stay floating."""
    return content if content.get("all_day") or content.get("time_zone") else {**content, "time_zone": zone}


def write_times(content: Content, zone: str) -> tuple[Content, Content]:
    """Google's ``start`` and ``end``, and what has to be remembered beside them. Raises `Unholdable`."""
    fields = bound(content, zone)
    frame = Frame(fields, content.get("zones", {}))
    start, end = Moment(fields["start"], fields.get("time_zone")), end_moment(fields)
    more: Content = {}
    if fields is not content:
        more["floating"] = zone
    if not start.is_date:
        if "rrule" in content and start.zone in content.get("zones", {}):
            raise Unholdable("Google Calendar does not know the time zone of this series.")
        start, end = _known(start, frame), _known(end, frame)
        if frame.instant(end) <= frame.instant(start):
            more["point"] = True
            end = frame.at(frame.instant(start) + LEAST, start.zone)
    return {"start": write_moment(start), "end": write_moment(end)}, more


def write_moment(moment: Moment) -> dict[str, str | None]:
    """With the parts that must not be there as None: a patch merges objects."""
    if moment.is_date:
        return {"date": moment.wall, "dateTime": None, "timeZone": None}
    wall = moment.wall + "Z" if moment.zone == "UTC" else moment.wall
    return {"date": None, "dateTime": wall, "timeZone": moment.zone}


def _known(moment: Moment, frame: Frame) -> Moment:
    """A moment in a zone of the event's own, which only its instant can be told of, in UTC."""
    if moment.zone not in frame.zones:
        return moment
    return Moment(frame.instant(moment).replace(tzinfo=None).isoformat(), "UTC")
