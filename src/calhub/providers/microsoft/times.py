"""Graph's ``dateTimeTimeZone`` and content's wall times, both ways (microsoft: Time zones and all-day).

Graph gives times in the zone that was asked for (here UTC) and names the zone they were made in beside them, mostly by
its Windows name. All-day events count by their dates. There are no floating times: those are written as UTC and known
again by what is kept beside the event (`calhub.providers.microsoft.kept`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import Any, Final, TypeAlias

from calhub.calendar import zones
from calhub.calendar.event import Content, InvalidEvent
from calhub.calendar.frame import Frame, frame_of
from calhub.providers.microsoft.recurrence import Unholdable

#: Zone name as Graph has it -> the hub's zone for it, None = floating.
KeptZones: TypeAlias = Mapping[str, str | None]

_MIDNIGHT: Final = time()


def read_times(row: Mapping[str, Any], kept: KeptZones) -> Content:
    """The time fields of an event. Raises `InvalidEvent`."""
    start, end = row.get("start"), row.get("end") or row.get("start")
    if not start or not end:
        raise InvalidEvent("The event has no start.")
    names = [row.get(f"original{which}TimeZone") or moment.get("timeZone") or "UTC" for which, moment in
             (("Start", start), ("End", end))]  # fmt: skip
    first, last = _instant(start), _instant(end)
    if row.get("isAllDay"):
        days = [_day(moment, name) for moment, name in zip((first, last), names, strict=True)]
        days[1] = max(days[1], days[0] + timedelta(days=1))
        return {"start": days[0].date().isoformat(), "end": days[1].date().isoformat(), "all_day": True}
    own, other = (_zone(name, kept) for name in names)
    start_wall, zone = _wall(first, own, names[0])
    end_wall, end_zone = _wall(last, zone if own is None or other is None or other == own else other, names[1])
    content: Content = {"start": start_wall, "end": end_wall}
    if zone is not None:
        content["time_zone"] = zone
        if end_zone != zone:
            content["end_time_zone"] = end_zone
    return content


def instant(moment: Mapping[str, Any] | str) -> int:
    """Timestamp of a ``dateTimeTimeZone``, or of a text such as ``originalStart`` (UTC). Raises `InvalidEvent`."""
    return int(_instant(moment if isinstance(moment, Mapping) else {"dateTime": moment}).timestamp())


def original(row: Mapping[str, Any]) -> int:
    """When an instance of a series would be had it not been moved, as a timestamp. Raises `InvalidEvent`.

    All-day: of its date, as if in UTC, like all of the hub's all-day times.
    """
    moment = _instant({"dateTime": row.get("originalStart")} if row.get("originalStart") else row.get("start") or {})
    if row.get("isAllDay"):
        moment = _day(moment, row.get("originalStartTimeZone") or "UTC")
    return int(moment.timestamp())


def _instant(moment: Mapping[str, Any]) -> datetime:
    name = moment.get("timeZone") or "UTC"
    try:
        wall = datetime.fromisoformat(str(moment["dateTime"])[:19])
        return wall.replace(tzinfo=UTC if name == "UTC" else zones.tzinfo(_known(name) or "UTC", None)).astimezone(UTC)
    except (KeyError, ValueError, OverflowError):
        raise InvalidEvent("The event has a time that cannot be read.") from None


def _day(moment: datetime, name: str) -> datetime:
    """Midnight UTC of the day an all-day event begins or ends on: its date, or its date in the zone it was made in."""
    if moment.time() != _MIDNIGHT:
        moment = moment.astimezone(zones.tzinfo(_known(name) or "UTC", None))
    return moment.replace(hour=0, minute=0, second=0, tzinfo=UTC)


@lru_cache(maxsize=256)
def _known(name: str) -> str | None:
    return zones.canonical_zone(name)


def _zone(name: str, kept: KeptZones) -> str | None:
    """The hub's zone for one of Graph's. A zone made up by hand (``tzone://Microsoft/Custom``) is shown as UTC."""
    return kept[name] if name in kept else _known(name) or "UTC"


def _wall(moment: datetime, zone: str | None, name: str) -> tuple[str, str | None]:
    """Wall time and zone: UTC where the clocks of the zone show the time twice and this is the second."""
    frame = _frame(zone or _known(name) or "UTC")
    ts = int(moment.timestamp())
    wall = frame.wall(ts)
    if frame.ts(wall) != ts:
        return moment.replace(tzinfo=None).isoformat(), "UTC"
    return wall.isoformat(), zone


@lru_cache(maxsize=256)
def _frame(zone: str) -> Frame:
    return frame_of({"time_zone": zone})


def write_times(content: Content) -> tuple[dict[str, Any], dict[str, str | None]]:
    """``start``, ``end`` and ``isAllDay``, and the zones to be kept. Raises `Unholdable`, `InvalidEvent`."""
    end = content.get("end") or content["start"]
    if content.get("all_day"):
        first, last = (datetime.fromisoformat(text) for text in (content["start"], end))
        last = max(last, first + timedelta(days=1))
        return {"start": _moment(first, "UTC"), "end": _moment(last, "UTC"), "isAllDay": True}, {}
    zone = content.get("time_zone")
    kept: dict[str, str | None] = {}
    moments = []
    for text, name in ((content["start"], zone), (end, content.get("end_time_zone") or zone)):
        moment = _written(datetime.fromisoformat(text), name, single="rrule" not in content)
        if _zone(moment["timeZone"], {}) != name:
            kept.setdefault(moment["timeZone"], name)
        moments.append(moment)
    return {"start": moments[0], "end": moments[1], "isAllDay": False}, kept


def _written(wall: datetime, zone: str | None, *, single: bool) -> dict[str, str]:
    """The moment as Graph takes it: in UTC where the clocks show this time twice or never, as far as a rule allows."""
    name = "UTC" if zone is None else zones.windows_zone(zone)
    if name is None:
        raise Unholdable("Microsoft 365 does not know the time zone of this event.")
    if single and zone is not None and zone != "UTC":
        info = zones.tzinfo(zone, None)
        if wall.replace(tzinfo=info).utcoffset() != wall.replace(tzinfo=info, fold=1).utcoffset():
            return _moment(wall.replace(tzinfo=info).astimezone(UTC).replace(tzinfo=None), "UTC")
    return _moment(wall, name)


def _moment(wall: datetime, zone: str) -> dict[str, str]:
    return {"dateTime": wall.isoformat(), "timeZone": zone}
