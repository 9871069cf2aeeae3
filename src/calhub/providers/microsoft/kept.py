"""What Graph has no room for, kept with the event in two private properties (single-value extended properties).

``calhub-uid`` is our UID: Graph's own ``iCalUId`` is made by the server (microsoft: Resources and identity).
``calhub-kept`` is JSON for fields whose form at Graph is narrower than the hub's::

    {"zones": {"W. Europe Standard Time": "Europe/Oslo", "UTC": null},       null = floating
     "fields": {"priority": [3, 1]}}                                         [as in the hub, as Graph shows it]

It is believed only as long as Graph still shows what it showed when the property was written: an edit made in Outlook
wins over it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from calhub.calendar.event import Content

_SET: Final = "8c8a3f5e-6f0b-4c0e-9d0e-3d2f5a7b1c64"
UID: Final = f"String {{{_SET}}} Name calhub-uid"
KEPT: Final = f"String {{{_SET}}} Name calhub-kept"
#: Asks for both with an event.
EXPAND: Final = f"singleValueExtendedProperties($filter=id eq '{UID}' or id eq '{KEPT}')"

#: Fields kept together, since Graph shows them as one.
_UNITS: Final = (("status", "busy"), ("rrule",), ("privacy",), ("priority",), ("alarms",), ("url",))


@dataclass(frozen=True)
class Kept:
    """The two properties as they were read. ``zones``: Windows name -> zone as content names it, None = floating."""

    uid: str | None = None
    zones: Mapping[str, str | None] = field(default_factory=dict)
    fields: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)

    def restore(self, seen: Content) -> Content:
        """The content with the hub's own form of what Graph still shows as it did."""
        result = dict(seen)
        for unit in _UNITS:
            if unit[0] not in self.fields or any(seen.get(name) != self.fields[name][1] for name in unit):
                continue
            for name in unit:
                result.pop(name, None)
                if self.fields[name][0] is not None:
                    result[name] = self.fields[name][0]
        return result


def read(row: Mapping[str, Any]) -> Kept:
    """The properties of an event. What is not ours or cannot be read counts as not there."""
    values = {each.get("id"): each.get("value") for each in row.get("singleValueExtendedProperties") or ()}
    # Graph may spell the GUID in another case than it was given.
    found = {name.lower(): value for name, value in values.items() if name and value}
    uid = found.get(UID.lower())
    try:
        document = json.loads(found.get(KEPT.lower()) or "{}")
        zones = {name: zone for name, zone in document.get("zones", {}).items() if zone is None or zone}
        fields = {name: (pair[0], pair[1]) for name, pair in document.get("fields", {}).items()}
    except (ValueError, TypeError, AttributeError, IndexError):
        return Kept(uid)
    whole = all(name in fields for unit in _UNITS if unit[0] in fields for name in unit)
    return Kept(uid, zones, fields if whole else {})


def text(zones: Mapping[str, str | None], wanted: Content, seen: Content) -> str:
    """The value of ``calhub-kept`` for an event that should be ``wanted`` and that Graph will show as ``seen``.

    ``"{}"`` where there is nothing to keep.
    """
    fields: dict[str, Any] = {}
    for unit in _UNITS:
        if any(wanted.get(name) != seen.get(name) for name in unit):
            fields |= {name: [wanted.get(name), seen.get(name)] for name in unit}
    return dump(zones, fields)


def dump(zones: Mapping[str, str | None], fields: Mapping[str, Any]) -> str:
    """The one spelling of the document, so that equal ones are equal texts."""
    document = {name: value for name, value in (("zones", dict(zones)), ("fields", dict(fields))) if value}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
