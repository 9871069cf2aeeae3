"""Part two of ``calhub demo``: one calendar at Google, Microsoft 365, Notion, a CalDAV server and in a folder at once.

The services are emulated on loopback (``testing.services``), so nobody needs an account and nothing leaves the machine.
People edit there as they would in each service's own app (``testing.people``), which is also how the end is looked at.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Final

from rich.console import Console
from rich.table import Table

from calhub.cli.demo_stage import Demo, DemoFailed
from calhub.testing.davserver import PASSWORD, USERNAME
from calhub.testing.everywhere import NAMES, Everywhere
from calhub.testing.people import Entry, entries_of

_TITLES: Final = {
    "google": "Google", "microsoft": "Microsoft", "notion": "Notion", "caldav": "CalDAV", "folder": "folder",
}  # fmt: skip


def act(console: Console, stack: ExitStack) -> None:
    """Play it. Raises `DemoFailed` if a service does not show what it should."""
    began = time.monotonic()
    demo = Demo.begin(console, stack)
    folders = demo.root / "files"
    folders.mkdir()
    services = stack.enter_context(Everywhere(folders))
    demo.part("Part two: one calendar at Google, Microsoft 365, Notion, a CalDAV server and in a folder at once")
    _fill(demo, services)
    _connect(demo, services)
    _edit(demo, services)
    _compare(demo, services)
    console.print(f"[dim]Part two took {time.monotonic() - began:.0f} s.[/]")


def _fill(demo: Demo, services: Everywhere) -> None:
    demo.heading("Five services, with one event each")
    demo.note("All are emulated on this machine; calhub talks to them by HTTP, as it does to the real ones.")
    people = services.people
    people["google"].add(title="Budget review", location="Room 1", **demo.at(0, 10))
    people["microsoft"].add(title="Team lunch", location="Canteen", categories=["food"], **demo.at(1, 12))
    people["notion"].add(title="Offsite", start=demo.day(2), end=demo.day(4))
    people["caldav"].add(title="Stand-up", weeks=8, **demo.at(0, 9))
    people["folder"].add(title="Newsletter", **demo.at(4, 16))
    _show(demo, services, ())


def _connect(demo: Demo, services: Everywhere) -> None:
    demo.heading("Connect them all to one calendar of calhub, Team")
    for name, given in services.credentials().items():
        file = demo.root / f"{name}.json"
        file.write_text(json.dumps(given))
        demo.calhub("account", "add", name, name, "--credentials", str(file), "--calendars", "none")
    sign_in = ("--url", services.dav.url, "--username", USERNAME, "--password-stdin")
    demo.calhub("account", "add", "caldav", "caldav", *sign_in, "--calendars", "none", given=PASSWORD)
    demo.calhub("account", "add", "folder", "folder", "--url", str(services.path), "--calendars", "none")
    for name in NAMES:
        demo.calhub("replica", "add", "Team", name, "Team")
    demo.calhub("sync")
    demo.note("Every event is at every service now:")
    _show(demo, services, _hub(demo))


def _edit(demo: Demo, services: Everywhere) -> None:
    demo.heading("Edits on all sides, before anybody has synced")
    people = services.people
    demo.note("At Google: the lunch, which came from Microsoft, is moved to 13:00.")
    people["google"].edit("Team lunch", **demo.at(1, 13))
    demo.note("At Microsoft: next week's stand-up, a series from CalDAV, is moved to Tuesday at 11:00.")
    people["microsoft"].edit_instance("Stand-up", demo.day(7), **demo.at(8, 11))
    demo.note("In Notion: the budget review, which came from Google, gets a category.")
    people["notion"].edit("Budget review", categories=["finance"])
    demo.note("Over CalDAV: the same budget review gets another place.")
    people["caldav"].edit("Budget review", location="Room 7")
    demo.note("In the folder: the stand-up in two weeks is cancelled. At Google: the newsletter is deleted.")
    people["folder"].cancel_instance("Stand-up", demo.day(14))
    people["google"].delete("Newsletter")
    demo.note("In calhub itself: the offsite, which came from Notion, gets another title.")
    (offsite,) = demo.ask("search", "Offsite")
    demo.calhub("event", "edit", offsite["uid"], "--title", "Offsite at the lake")
    demo.calhub("sync")
    demo.quiet()


def _compare(demo: Demo, services: Everywhere) -> None:
    demo.heading("What each service shows at the end, read there and not from calhub")
    hub = _hub(demo)
    _show(demo, services, hub)
    wrong = [name for name, person in services.people.items() if person.entries() != _seen(name, hub)]
    if wrong:
        raise DemoFailed(f"not the same as in calhub: {', '.join(wrong)}")
    expected = {
        (demo.at(1, 13)["start"], "Team lunch", "Canteen", ("food",)),
        (demo.at(8, 11)["start"], "Stand-up", "", ()),
        (demo.at(0, 9)["start"], "Stand-up", "", ()),
        (demo.at(0, 10)["start"], "Budget review", "Room 7", ("finance",)),
        (demo.day(2), "Offsite at the lake", "", ()),
    }
    if {(each.start, each.title, each.location, each.categories) for each in hub} != expected:
        raise DemoFailed("an edit was lost, or one came back")
    if [each.cancelled for each in hub if each.repeats] != [(demo.day(14),)]:
        raise DemoFailed("the cancelled stand-up is not cancelled")
    demo.console.print(
        "[bold green]All equal.[/] Google has no categories and shows none; what is edited there loses none elsewhere."
    )


def _show(demo: Demo, services: Everywhere, hub: Sequence[Entry]) -> None:
    """Who has what, one line for each event and each moved instance of a series."""
    table = Table("event", "when", "where", "categories", *_TITLES.values())
    there = {name: _plain(person.entries()) for name, person in services.people.items()}
    rows = hub or sorted(each for person in services.people.values() for each in person.entries())
    for entry, plain in zip(rows, _plain(rows), strict=True):
        marks = ["[green]yes[/]" if plain in there[name] else "[dim]-[/]" for name in _TITLES]
        table.add_row(_title(entry), _when(entry), entry.location, ", ".join(entry.categories), *marks)
    demo.console.print(table)


def _hub(demo: Demo) -> list[Entry]:
    """What calhub has, from what it exports."""
    return entries_of([demo.output("export", "--calendar", "Team")])


def _seen(name: str, hub: list[Entry]) -> list[Entry]:
    """What a service is to show of it."""
    return _plain(hub) if name == "google" else hub


def _plain(entries: Sequence[Entry]) -> list[Entry]:
    """Without categories, as at Google."""
    return [replace(each, categories=()) for each in entries]


def _title(entry: Entry) -> str:
    kind = " (weekly)" if entry.repeats else " (moved)" if entry.instance else ""
    return entry.title + kind


def _when(entry: Entry) -> str:
    when = entry.start.replace("T", " ")[:16]
    return when + (f", not on {', '.join(entry.cancelled)}" if entry.cancelled else "")
