"""``event``: add, show, change, delete and move single events, series and their occurrences.

Edits are committed in the hub and reach the remotes at the next sync; with ``--atomic`` every remote has taken them
before the command returns, or nothing is changed anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import uuid4

import typer

from calhub.cli.context import Session, session
from calhub.cli.failures import usage
from calhub.cli.output import Json, emit, fields, note

if TYPE_CHECKING:
    from calhub.calendar.event import Content
    from calhub.hub.database import Hub
    from calhub.hub.events import StoredEvent

app = typer.Typer(help="Events: add, show, change, delete and move them.")

Uid = Annotated[str, typer.Argument(metavar="UID", help="The event's UID, as agenda --json and search show it.")]
In = Annotated[str | None, typer.Option("--calendar", help="Which calendar, where several have this UID.")]
Title = Annotated[str | None, typer.Option("--title", help="What it is.")]
Start = Annotated[str | None, typer.Option("--start", help="2026-11-21T10:00, or 2026-11-21 for all day.")]
End = Annotated[str | None, typer.Option("--end", help="Exclusive; the day after the last one when all day.")]
Duration = Annotated[str | None, typer.Option("--duration", help="Instead of --end: 90m, 1h30m, 2d.")]
TimeZone = Annotated[str | None, typer.Option("--time-zone", help="IANA name, or floating.")]
Rrule = Annotated[str | None, typer.Option("--rrule", help="RFC 5545 rule, such as FREQ=WEEKLY;COUNT=10.")]
Location = Annotated[str | None, typer.Option("--location", help="Where.")]
Description = Annotated[str | None, typer.Option("--description", help="Any text.")]
Attendee = Annotated[
    list[str] | None, typer.Option("--attendee", help="ann@example.org or 'Ann <ann@example.org>'; may be repeated.")
]
Atomic = Annotated[bool, typer.Option("--atomic", help="In every remote before the command returns, or nowhere.")]
Occurrence = Annotated[
    str | None, typer.Option("--occurrence", metavar="RECURRENCE_ID", help="Only this instance of the series.")
]
Following = Annotated[
    str | None, typer.Option("--following", metavar="RECURRENCE_ID", help="This instance and all after it.")
]

_OFFSET: Final = re.compile(r"(Z|[+-]\d\d:?\d\d)$", re.IGNORECASE)


@app.command("add")
def add(
    context: typer.Context,
    calendar: Annotated[str, typer.Option("--calendar", help="The calendar's name or id.")],
    title: Annotated[str, typer.Option("--title", help="What it is.")],
    start: Annotated[str, typer.Option("--start", help="2026-11-21T10:00, or 2026-11-21 for all day.")],
    end: End = None,
    duration: Duration = None,
    all_day: Annotated[bool, typer.Option("--all-day", help="START and END are dates.")] = False,
    time_zone: TimeZone = None,
    rrule: Rrule = None,
    location: Location = None,
    description: Description = None,
    attendee: Attendee = None,
    uid: Annotated[str | None, typer.Option("--uid", help="Its UID; default: a new one.")] = None,
    atomic: Atomic = False,
    json: Json = False,
) -> None:
    """Add an event. A start without offset is in --time-zone, else in the calendar's, else in your time zone."""
    from calhub.calendar.edit import new_content
    from calhub.hub import accounts, events

    here = session(context)
    if uid is not None and not uid.strip():
        raise usage("The UID is empty.", "Leave --uid out for a new one.")
    with here.hub() as hub:
        with hub.read() as conn:
            chosen = accounts.calendar(conn, calendar)
            if uid is not None and events.event(conn, chosen.id, uid) is not None:
                raise usage(
                    f'"{chosen.name}" has an event "{uid}" already.', f"Change it with: calhub event edit {uid}"
                )
        content = new_content(
            title=title, start=start, end=end, duration=duration, all_day=all_day,
            time_zone=_zone(here, start, time_zone, chosen.time_zone), rrule=rrule, location=location,
            description=description, attendees=attendee or (),
        )  # fmt: skip
        key = uid or str(uuid4())
        _write(here, hub, chosen.id, {key: content}, atomic)
        _show(hub, chosen.id, key, json)


def _zone(here: Session, start: str, asked: str | None, calendars: str | None) -> str | None:
    """The zone for a new event; None: floating, all-day, or UTC for a start that carries its offset."""
    if asked is not None:
        return None if asked.strip().lower() == "floating" else asked
    if len(start.strip()) <= 10 or _OFFSET.search(start.strip()[10:]):
        return None
    return calendars or here.zone_name


@app.command("show")
def show(context: typer.Context, uid: Uid, calendar: In = None, json: Json = False) -> None:
    """One event with everything calhub knows of it."""
    with session(context).hub() as hub:
        stored = _find(hub, uid, calendar)
        _show(hub, stored.calendar_id, stored.uid, json)


@app.command("edit")
def edit(
    context: typer.Context,
    uid: Uid,
    calendar: In = None,
    title: Title = None,
    start: Start = None,
    end: End = None,
    duration: Duration = None,
    all_day: Annotated[bool | None, typer.Option("--all-day", help="Make it all-day.")] = None,
    time_zone: TimeZone = None,
    rrule: Rrule = None,
    location: Location = None,
    description: Description = None,
    attendee: Attendee = None,
    occurrence: Occurrence = None,
    following: Following = None,
    atomic: Atomic = False,
    json: Json = False,
) -> None:
    """Change what is named and leave the rest; an empty value clears a field.

    --following ends the series before that instance and prints the new series that goes on from there.
    """
    from calhub.sync import edits

    changes = _given(
        title=title, start=start, end=end, duration=duration, all_day=all_day, time_zone=time_zone, rrule=rrule,
        location=location, description=description, attendees=attendee,
    )  # fmt: skip
    if not changes:
        raise usage("Nothing to change.", "Name at least one option; see calhub event edit --help")
    here = session(context)
    with here.hub() as hub:
        stored = _find(hub, uid, calendar)
        key, changed = edits.change(stored, changes, occurrence=occurrence, following=following)
        _write(here, hub, stored.calendar_id, changed, atomic)
        _mention_rule(hub, stored)
        _show(hub, stored.calendar_id, key, json)


def _given(**options: Any) -> dict[str, Any]:
    # an option that may be repeated arrives as an empty list when it is not there
    return {name: value for name, value in options.items() if value is not None and value != []}


@app.command("delete")
def delete(
    context: typer.Context,
    uid: Uid,
    calendar: In = None,
    occurrence: Occurrence = None,
    following: Following = None,
    atomic: Atomic = False,
    json: Json = False,
) -> None:
    """Delete an event, one instance of a series, or an instance and all after it."""
    from calhub.sync import edits

    here = session(context)
    with here.hub() as hub:
        stored = _find(hub, uid, calendar)
        content = edits.without(stored, occurrence=occurrence, following=following)
        _write(here, hub, stored.calendar_id, {stored.uid: content}, atomic)
        _mention_rule(hub, stored)
    emit({"deleted": [stored.uid]}, json, lambda: note(f"Deleted{' from' if content else ''} {stored.uid}."))


@app.command("move")
def move(
    context: typer.Context,
    uid: Uid,
    target: Annotated[str, typer.Argument(metavar="CALENDAR", help="Where it goes.")],
    calendar: In = None,
    json: Json = False,
) -> None:
    """Move an event to another calendar; its UID stays."""
    from calhub.hub import accounts
    from calhub.sync import edits

    with session(context).hub() as hub:
        stored = _find(hub, uid, calendar)
        with hub.transaction() as conn:
            goal = accounts.calendar(conn, target)
            edits.move(conn, stored, goal, now=hub.now())
        _mention_rule(hub, stored)
        _show(hub, goal.id, stored.uid, json)


# What all of them share


def _find(hub: Hub, uid: str, calendar: str | None) -> StoredEvent:
    from calhub.hub import events

    with hub.read() as conn:
        return events.find_event(conn, uid, calendar)


def _mention_rule(hub: Hub, stored: StoredEvent) -> None:
    """Say what becomes of a person's edit where the event is a copy."""
    from calhub.hub import rules

    with hub.read() as conn:
        origin = rules.origin(conn, stored.calendar_id, stored.uid)
        if origin is None:
            return
        keeps = rules.rule(conn, origin["rule"]).options.get("on_edit") == "keep"
    what = "it leaves this edit alone" if keeps else "it puts it back with the next calhub sync"
    note(f"This is a copy that rule {origin['rule']} made from {origin['calendar']}; {what}.")


def _write(here: Session, hub: Hub, calendar_id: int, changed: Mapping[str, Content | None], atomic: bool) -> None:
    """Put (or with None delete) events, all or none of them; with ``atomic`` also at the remotes."""
    from calhub.sync import edits

    edits.write(hub, calendar_id, changed, connect=here.connector(hub) if atomic else None)


def _show(hub: Hub, calendar_id: int, uid: str, json: bool) -> None:
    from calhub.hub import events, runs

    with hub.read() as conn:
        stored = events.event(conn, calendar_id, uid)
        assert stored is not None  # just found or written
        shape = runs.event_shape(conn, stored)
    emit(shape, json, lambda: _print(shape))


def _print(shape: dict[str, Any]) -> None:
    people = ", ".join(f"{each['name'] or each['email']} ({each['status']})" for each in shape["attendees"])
    remotes = ", ".join(f"{each['account']} ({each['error'] or each['synced']})" for each in shape["remotes"])
    fields(
        {
            "title": shape["title"], "start": shape["start"], "end": shape["end"], "zone": shape["time_zone"],
            "repeats": shape["rrule"], "except": ", ".join(shape["exdates"]), "changed": ", ".join(shape["overrides"]),
            "location": shape["location"], "description": shape["description"], "status": shape["status"],
            "attendees": people, "calendar": shape["calendar"], "remotes": remotes, "uid": shape["uid"],
        }
    )  # fmt: skip
