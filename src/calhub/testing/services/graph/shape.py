"""Events as Graph shows them: the resource, ``$select`` and ``$expand``, and the nearly empty rows of a delta."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from calhub.testing.services.base import Request
from calhub.testing.services.graph.checks import DAYS, Bad
from calhub.testing.services.graph.store import Event, instant, occurrence_id, zone_of

Row = dict[str, Any]

_ONLY_MASTER: Final = ("cancelledOccurrences", "exceptionOccurrences")
_EXPANSIONS: Final = re.compile(r"(\w+)(?:\(\$filter=((?:[^()]|\([^()]*\))*)\))?(?:,|$)")
_ID_EQUALS: Final = re.compile(r"id eq '([^']*)'")
_PREFERENCE: Final = re.compile(r'\s*([\w.\-]+)\s*=\s*"?([^",]*)"?')


@dataclass(frozen=True)
class View:
    """How one request wants its events: ids, time zone, columns."""

    immutable: bool
    zone: str
    page_size: int | None
    select: tuple[str, ...]
    extended: tuple[str, ...]  # ids of extended properties asked for
    expand: tuple[str, ...]

    @classmethod
    def of(cls, request: Request) -> View:
        """Raises `Bad`."""
        prefer = dict(_PREFERENCE.findall(request.header("prefer") or ""))
        prefer = {name.lower(): value for name, value in prefer.items()}
        zone = prefer.get("outlook.timezone", "UTC")
        if zone_of(zone) is None:
            raise Bad("TimeZoneNotSupportedException", "The preferred time zone is not supported.")
        size = prefer.get("odata.maxpagesize")
        expand = dict(_EXPANSIONS.findall(request.param("$expand") or ""))
        if expand.keys() - {"singleValueExtendedProperties", "exceptionOccurrences", "calendar"}:
            raise Bad("RequestBroker--ParseUri", "The query cannot be understood: $expand.")
        extended = tuple(_ID_EQUALS.findall(expand.pop("singleValueExtendedProperties", "")))
        select = tuple(name for name in (request.param("$select") or "").split(",") if name)
        immutable = prefer.get("idtype") == "ImmutableId"
        return cls(immutable, zone, int(size) if size else None, select, extended, tuple(expand))

    def moment(self, moment: dict[str, str], *, all_day: bool) -> dict[str, str]:
        """All-day events keep their dates, whatever zone is asked for."""
        if all_day:
            return {"dateTime": f"{moment['dateTime'][:10]}T00:00:00.0000000", "timeZone": self.zone}
        wall = instant(moment).astimezone(zone_of(self.zone)).replace(tzinfo=None)
        return {"dateTime": f"{wall.isoformat(timespec='microseconds')}0", "timeZone": self.zone}

    def row(self, event: Event, day: date | None = None, *, is_get: bool = False) -> Row:
        """The event, or the instance of a day. ``is_get``: it was asked for by its id. Raises `Bad`."""
        full = self._full(event, day)
        master = day is None and event.pattern is not None
        if master and is_get:
            full |= self._exceptions(event)
        row = full
        if self.select:
            if set(self.select) - full.keys() - ({*_ONLY_MASTER} if master and is_get else set()):
                raise Bad("RequestBroker--ParseUri", f"Could not find a property named in {self.select}.")
            row = {name: value for name, value in full.items() if name in {*self.select, "id"} or name[0] == "@"}
        if "exceptionOccurrences" in self.expand:
            if not (master and is_get):
                raise Bad("ErrorInvalidRequest", "Only a series master has exceptionOccurrences.")
            row["exceptionOccurrences"] = full["exceptionOccurrences"]
        elif is_get:
            row.pop("exceptionOccurrences", None)
        if "cancelledOccurrences" not in self.select:
            row.pop("cancelledOccurrences", None)
        found = [(name, event.extended[name.lower()]) for name in self.extended if name.lower() in event.extended]
        if found and day is None:
            row["singleValueExtendedProperties"] = [{"id": name, "value": value} for name, value in found]
        return row

    def thin(self, event: Event, day: date) -> str:
        """An occurrence in a delta, as JSON: no subject, no iCalUId (microsoft: Reading). There are very many."""
        assert event.pattern is not None
        if event.props.get("isAllDay") or self.zone != "UTC":
            shown, all_day = event.instance(day), event.props.get("isAllDay", False)
            start, end = (json.dumps(self.moment(shown[name], all_day=all_day)) for name in ("start", "end"))
        else:
            start, end = (
                f'{{"dateTime":"{at.isoformat()[:19]}.0000000","timeZone":"UTC"}}' for at in event.pattern.slot(day)
            )
        master = event.id(immutable=self.immutable)
        return (
            f'{{"@odata.type":"#microsoft.graph.event","@odata.etag":{json.dumps(_etag(event.key))},"type":"occurrence",'
            f'"id":"{occurrence_id(master, day)}","seriesMasterId":"{master}","start":{start},"end":{end}}}'
        )

    def _exceptions(self, event: Event) -> Row:
        master = event.id(immutable=self.immutable)
        return {
            "cancelledOccurrences": [f"OID.{master}.{day}" for day in sorted(event.cancelled)],
            "exceptionOccurrences": [self._full(event, day) for day in sorted(event.exceptions)],
        }

    def _full(self, event: Event, day: date | None) -> Row:
        props = event.props if day is None else event.instance(day)
        all_day = props.get("isAllDay", False)
        name = event.id(immutable=self.immutable)
        key = event.exceptions[day].key if day in event.exceptions else event.key
        row: Row = {
            **_DEFAULTS,
            **{key: value for key, value in props.items() if key != "transactionId"},
            "@odata.etag": _etag(key),
            "id": name if day is None else occurrence_id(name, day),
            "changeKey": f"key{key:08x}",
            "createdDateTime": _stamp(event.created),
            "lastModifiedDateTime": _stamp(event.modified),
            "iCalUId": event.uid,
            "type": _type(event, day),
            "seriesMasterId": None if day is None else name,
            "isOrganizer": event.organizer,
            "isAllDay": all_day,
            "originalStartTimeZone": props["start"]["timeZone"],
            "originalEndTimeZone": props["end"]["timeZone"],
            "start": self.moment(props["start"], all_day=all_day),
            "end": self.moment(props["end"], all_day=all_day),
            "recurrence": _recurrence(props),
            "webLink": f"https://outlook.office365.com/owa/?itemid={name}&exvsurl=1",
        }
        if event.transaction is not None:
            row["transactionId"] = event.transaction
        if day is not None and event.pattern is not None:
            row["originalStart"] = _stamp(event.pattern.slot(day)[0])
        return row


def _type(event: Event, day: date | None) -> str:
    if day is None:
        return "singleInstance" if event.pattern is None else "seriesMaster"
    return "exception" if day in event.exceptions else "occurrence"


def _etag(key: int) -> str:
    return f'W/"key{key:08x}"'


def _stamp(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"


def _recurrence(props: Row) -> Row | None:
    """All fields are shown, those the type does not need at their zero."""
    recurrence = props.get("recurrence")
    if recurrence is None:
        return None
    zeros = {"month": 0, "dayOfMonth": 0, "firstDayOfWeek": DAYS[0], "index": "first"}
    bounds = {"endDate": "0001-01-01", "numberOfOccurrences": 0, "recurrenceTimeZone": props["start"]["timeZone"]}
    return {"pattern": {**zeros, **recurrence["pattern"]}, "range": {**bounds, **recurrence["range"]}}


_DEFAULTS: Final[Row] = {
    "categories": [],
    "hasAttachments": False,
    "subject": "",
    "bodyPreview": "",
    "body": {"contentType": "html", "content": ""},
    "importance": "normal",
    "sensitivity": "normal",
    "isCancelled": False,
    "responseRequested": True,
    "showAs": "busy",
    "isOnlineMeeting": False,
    "onlineMeetingProvider": "unknown",
    "onlineMeetingUrl": None,
    "onlineMeeting": None,
    "allowNewTimeProposals": True,
    "hideAttendees": False,
    "isDraft": False,
    "isReminderOn": True,
    "reminderMinutesBeforeStart": 15,
    "responseStatus": {"response": "organizer", "time": "0001-01-01T00:00:00Z"},
    "location": {"displayName": "", "locationType": "default"},
    "locations": [],
    "attendees": [],
    "organizer": {"emailAddress": {"name": "Owner", "address": "owner@example.com"}},
}
