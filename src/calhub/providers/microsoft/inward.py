"""Graph events as content (microsoft: Mapping table). Pure functions.

A *row* is an event as Graph's JSON has it. A series is three kinds of rows: the master, its exceptions
(``exceptionOccurrences``) and the ids of its deleted instances (``cancelledOccurrences``); here they become one
content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, Final, TypeAlias

from calhub.calendar import recurrence
from calhub.calendar.event import Content, InvalidEvent
from calhub.calendar.frame import frame_of
from calhub.calendar.ical_time import Duration, instance_patch, write_duration
from calhub.providers.base import Item
from calhub.providers.microsoft import kept as keeping
from calhub.providers.microsoft.bodies import text_of
from calhub.providers.microsoft.kept import Kept
from calhub.providers.microsoft.recurrence import from_graph
from calhub.providers.microsoft.times import KeptZones, original, read_times

Row: TypeAlias = Mapping[str, Any]

_SENSITIVITY: Final = {"personal": "private", "private": "private", "confidential": "confidential"}
_IMPORTANCE: Final = {"high": 1, "low": 9}
_RESPONSES: Final = {"accepted": "accepted", "declined": "declined", "tentativelyAccepted": "tentative"}


def etag(row: Row) -> str:
    """The version of one row."""
    return str(row.get("@odata.etag") or f'W/"{row.get("changeKey")}"')


def is_series(row: Row) -> bool:
    return row.get("type") == "seriesMaster" or bool(row.get("recurrence"))


def version(row: Row) -> str:
    """The version of an item: the etag, and for a series with exceptions a digest of theirs behind a ``#``.

    Nothing says that the master's etag moves with each of its exceptions.
    """
    parts = sorted(f"{each.get('id')} {etag(each)}" for each in exceptions(row))
    parts += sorted(row.get("cancelledOccurrences") or ())
    if not parts:
        return etag(row)
    return f"{etag(row)}#{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:16]}"


def item_of(row: Row) -> Item:
    """A single event, or a series with its exceptions, as an item; one that cannot be read has a ``problem``."""
    kept = keeping.read(row)
    uid = kept.uid or row.get("iCalUId") or row["id"]
    modified = row.get("lastModifiedDateTime")
    try:
        content = content_of(row, kept)
        recurrence.validate(content)
    except (InvalidEvent, ValueError, TypeError, KeyError, AttributeError) as error:
        problem = str(error) if isinstance(error, InvalidEvent) else "The event has a form that is not understood."
        raw = json.dumps(row, ensure_ascii=False)
        return Item(remote_id=row["id"], version=version(row), uid=uid, problem=problem, raw=raw, modified=modified)
    return Item(remote_id=row["id"], version=version(row), uid=uid, content=content, modified=modified)


def content_of(row: Row, kept: Kept, *, attendees: bool = True) -> Content:
    """The content of an item. Raises `InvalidEvent`."""
    seen = shown(row, kept.zones, attendees=attendees)
    content = kept.restore(seen)
    if row.get("recurrence"):
        if exdates := _exdates(content, row):
            content["exdates"] = exdates
        if overrides := _overrides(seen, row, kept.zones, attendees=attendees):
            content["overrides"] = overrides
    return content


def shown(row: Row, zones: KeptZones, *, attendees: bool) -> Content:
    """What one row says by itself, without what is kept beside it and without exceptions. Raises `InvalidEvent`."""
    content = read_times(row, zones)
    if row.get("subject"):
        content["title"] = row["subject"]
    if description := text_of(row.get("body")):
        content["description"] = description
    if location := (row.get("location") or {}).get("displayName"):
        content["location"] = location
    if categories := row.get("categories"):
        content["categories"] = sorted(set(categories))
    content |= narrow(row)
    if row.get("recurrence"):
        content["rrule"] = from_graph(row["recurrence"], content)
    if attendees and (people := _attendees(row.get("attendees") or ())):
        content["attendees"] = people
    return content


def narrow(row: Row) -> Content:
    """The fields whose form at Graph is narrower than the hub's, the recurrence rule aside."""
    content: Content = {}
    show_as = row.get("showAs")
    if row.get("isCancelled"):
        content["status"] = "cancelled"
    elif show_as == "tentative":
        content["status"] = "tentative"
    if show_as in ("free", "workingElsewhere"):
        content["busy"] = False
    if privacy := _SENSITIVITY.get(row.get("sensitivity") or ""):
        content["privacy"] = privacy
    if priority := _IMPORTANCE.get(row.get("importance") or ""):
        content["priority"] = priority
    if row.get("isReminderOn"):
        minutes = int(row.get("reminderMinutesBeforeStart") or 0)
        content["alarms"] = [{"trigger": write_duration(duration(minutes))}]
    return content


def duration(minutes: int) -> Duration:
    """So long before the start, whole days as days."""
    days, rest = divmod(minutes, 1440)
    return Duration(-days, -60 * rest)


def address_of(attendee: Row) -> str:
    return ((attendee.get("emailAddress") or {}).get("address") or "").lower()


def _attendees(rows: Iterable[Row]) -> Content:
    people = {}
    for row in rows:
        address = address_of(row)
        if not address:
            continue
        person: Content = {}
        name = (row.get("emailAddress") or {}).get("name") or ""
        if name and name.lower() != address:
            person["name"] = name
        if row.get("type") == "optional":
            person["role"] = "optional"
        if row.get("type") == "resource":
            person["kind"] = "resource"
        if status := _RESPONSES.get((row.get("status") or {}).get("response") or ""):
            person["status"] = status
        people[address] = person
    return dict(sorted(people.items()))


def _exdates(content: Content, master: Row) -> list[str]:
    """Recurrence ids of deleted instances, and of those that the organizer has cancelled.

    Deleted ones are named ``OID.{master}.{yyyy-mm-dd}``; a pattern has one instance a day at most.
    """
    frame, at = frame_of(content), datetime.fromisoformat(content["start"]).time()
    days = (date.fromisoformat(name.rpartition(".")[2][:10]) for name in master.get("cancelledOccurrences") or ())
    found = {frame.spell(frame.ts(datetime.combine(day, at))) for day in days}
    return sorted(found | {frame.spell(original(row)) for row in exceptions(master) if _is_cancelled(row, master)})


def _overrides(series: Content, master: Row, zones: KeptZones, *, attendees: bool) -> dict[str, Content]:
    """The exceptions as patches on what the master itself shows; one that says nothing is left out."""
    frame = frame_of(series)
    overrides = {}
    for row in exceptions(master):
        if _is_cancelled(row, master):
            continue
        rid = frame.spell(original(row))
        own = shown({**row, "recurrence": None}, zones, attendees=attendees)
        if patch := instance_patch(series, rid, own):
            overrides[rid] = patch
    return dict(sorted(overrides.items()))


def exceptions(master: Row) -> Iterable[Row]:
    """The instances of a series that differ from it."""
    return master.get("exceptionOccurrences") or ()


def _is_cancelled(row: Row, master: Row) -> bool:
    return bool(row.get("isCancelled")) and not master.get("isCancelled")
