"""The event: one calendar object, a single event or a whole series, as plain JSON data.

*Content* is a ``dict`` of the fields below; a field at its default is absent, lists that are sets are sorted, so two
contents are equal exactly when the events are. The UID is the key beside the content, not part of it.

==============  ======================================================================================================
title, description, location, url, color   text (RFC 5545 SUMMARY, DESCRIPTION, LOCATION, URL; RFC 7986 COLOR)
start, end      local wall time ``2026-11-21T10:00:00``, or a date ``2026-11-21`` when ``all_day``; ``end`` is exclusive
all_day         ``True`` or absent
time_zone       IANA name, ``"UTC"``, or a key of ``zones``; absent = floating (or all-day)
end_time_zone   only where the end is in another zone than the start
rrule           RRULE value, parts in RFC order, defaults left out (``INTERVAL=1``, ``WKST=MO``)
rdates, exdates sorted recurrence ids (an RDATE period: ``id/end-id``)
overrides       ``{recurrence id: patch}``; a patch holds the fields in which the instance differs from the master,
                ``None`` = absent in the instance. ``start``/``end`` only where the instance was moved (RFC 8984 4.3.5)
following       ``True`` or absent, in a patch only: it is for this instance and all later ones, see below
status          ``tentative`` | ``cancelled``; absent = confirmed
privacy         ``private`` | ``confidential``; absent = public
busy            ``False`` or absent (RFC 5545 TRANSP)
categories      sorted list of text
attendees       ``{address: {"name", "role", "status", "kind", "rsvp"}}``, address in lower case, defaults left out
                (role ``required``, status ``needs-action``, kind ``individual``)
organizer       ``{"email", "name"}``
alarms          list of ``{"trigger": "-PT15M" | RFC 3339 instant, "related": "end", "action", "description", "extra"}``
priority        int 1..9
geo             ``{"latitude", "longitude"}``
attachments     list of ``{"uri", "media_type", "name"}``
conferences     list of ``{"uri", "label", "features"}`` (RFC 7986 CONFERENCE)
extra           ``{property name: [unfolded content lines]}``: whatever the model does not know
components      list of unknown sub-components, as text with CRLF line ends
zones           ``{tzid: VTIMEZONE text}``, only for zones that no IANA name stands for
==============  ======================================================================================================

A *recurrence id* is RFC 3339 in the master's zone with offset (``Z`` for UTC), local time without offset when
floating, a date when all-day. It names the *original* start of an instance (RFC 5545 3.8.4.4).

An override with ``following`` (RFC 5545 3.2.13, RANGE=THISANDFUTURE) holds until the next one with ``following``, for
every instance without an override of its own. Both kinds differ from the master, never from one another. Where it
moves its instance, later ones move by as much on the series' clock and get the same length (3.8.4.4); with
``status`` cancelled, it cancels them.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

Content: TypeAlias = dict[str, Any]

#: Fields that only make sense together: a merge takes all members of a unit from one side.
TIME_UNIT: Final = ("start", "end", "all_day", "time_zone", "end_time_zone")
RECURRENCE_UNIT: Final = ("rrule", "rdates", "exdates")

#: Fields merged per key rather than as a whole.
KEYED_FIELDS: Final = ("attendees", "overrides", "extra", "zones")

FIELDS: Final = frozenset(
    {
        "title", "description", "location", "url", "color", "start", "end", "all_day", "time_zone", "end_time_zone",
        "rrule", "rdates", "exdates", "overrides", "status", "privacy", "busy", "categories", "attendees", "organizer",
        "alarms", "priority", "geo", "attachments", "conferences", "extra", "components", "zones", "following",
    }
)  # fmt: skip


class InvalidEvent(ValueError):
    """The event cannot be kept as it is; the message is one sentence for the user."""
