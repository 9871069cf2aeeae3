"""Part three of ``calhub demo``: three calendars that block each other's time, and one for the public.

The servers are real ones on loopback (``testing.servers``). People edit as in a calendar program (``testing.people``),
which is also how the end is looked at; nothing of it is shared with the rules.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from calhub.calendar.mark import is_copy
from calhub.cli.demo_events import set_line
from calhub.cli.demo_stage import Demo, DemoFailed
from calhub.testing.people import Entry, ProgramPerson, entries_of
from calhub.testing.remotes import DavCalendar, VdirCalendar
from calhub.testing.servers import CalDAVServer, radicale, xandikos

#: Calendars that make a mesh, and the public one, with where each of them is.
MESH: Final = {"Work": "radicale", "Home": "xandikos", "Choir": "files"}
PUBLIC: Final = {"Concerts": "radicale"}
_FOOTER: Final = "Tickets at the door."


def act(console: Console, stack: ExitStack) -> None:
    """Play it. Raises `DemoFailed` if a calendar does not show what it should."""
    began = time.monotonic()
    demo = Demo.begin(console, stack)
    servers = {name: stack.enter_context(start(demo.root)) for name, start in _SERVERS.items()}
    demo.part("Part three: calendars that block each other's time, and one for the public")
    _fill(demo, servers, stack)
    _connect(demo, servers)
    _make_rules(demo)
    _edit(demo)
    _check(demo)
    console.print(f"[dim]Part three took {time.monotonic() - began:.0f} s.[/]")


_SERVERS: Final = {"radicale": radicale, "xandikos": xandikos}


def _fill(demo: Demo, servers: Mapping[str, CalDAVServer], stack: ExitStack) -> None:
    demo.heading("One person's calendars: Work at Radicale, Home at Xandikos, Choir in a folder")
    for name, where in (MESH | PUBLIC).items():
        remote: DavCalendar | VdirCalendar
        if where == "files":
            remote = VdirCalendar(demo.root / "files" / name.lower())
        else:
            server = servers[where]
            remote = DavCalendar(f"{server.home_url}{name.lower()}/", server.username, server.password)
            stack.callback(remote.close)
        remote.make(name)
        demo.remotes[name] = remote
    work, home, choir = (ProgramPerson(demo.remotes[name]) for name in MESH)
    work.add(title="Stand-up", weeks=8, **demo.at(0, 9))
    work.add(title="Salary talk", location="Room 7", description="Bring the figures", **demo.at(1, 14))
    home.add(title="Dentist", location="Dr. Müller", **demo.at(2, 8))
    choir.add(title="Rehearsal", weeks=8, **demo.at(3, 19))
    concert = "<p>Bach and <b>Ligeti</b></p><script>count()</script>"
    choir.add(title="Concert", location="St. John's", description=concert, categories=["public"], **demo.at(5, 18))


def _connect(demo: Demo, servers: Mapping[str, CalDAVServer]) -> None:
    calendars = {"radicale": "Work,Concerts", "xandikos": "Home"}
    for name, server in servers.items():
        sign_in = ("--url", server.url, "--username", server.username, "--password-stdin")
        demo.calhub("account", "add", "caldav", name, *sign_in, "--calendars", calendars[name], given=server.password)
    demo.calhub("account", "add", "folder", "files", "--url", str(demo.root / "files"))
    demo.calhub("sync")


def _make_rules(demo: Demo) -> None:
    demo.heading("Each of the three is to show when the others are busy; concerts are for everybody")
    demo.calhub("rule", "add", "mirror", "--mesh", *MESH)
    demo.calhub("rule", "add", "publish", "Choir", *PUBLIC, "--category", "public", "--footer", _FOOTER)
    demo.calhub("sync")
    demo.note("What people see in each calendar now, read there and not from calhub:")
    _show(demo)


def _edit(demo: Demo) -> None:
    demo.heading("Edits, and what they mean for the copies")
    demo.note("At work: next week's stand-up is moved to Tuesday at 11:00, and the salary talk is called off.")
    work = ProgramPerson(demo.remotes["Work"])
    work.edit_instance("Stand-up", demo.day(7), **demo.at(8, 11))
    work.delete("Salary talk")
    demo.note(
        "In the choir's folder: the concert begins an hour later, and somebody renames a block that is not theirs."
    )
    ProgramPerson(demo.remotes["Choir"]).edit("Concert", **demo.at(5, 19))
    block = next(uid for uid in sorted(demo.remotes["Choir"].read()) if is_copy(uid))
    demo.remotes["Choir"].edit(block, set_line("SUMMARY", "Whose is this?"))
    demo.note("And the public need not read the description:")
    demo.calhub("rule", "add", "publish", "Choir", *PUBLIC, "--category", "public", "--fields", "title,location")
    demo.calhub("sync")
    demo.quiet()
    _show(demo)


def _check(demo: Demo) -> None:
    demo.heading("Is it true? Once as calhub checks it, and once by what each calendar shows")
    demo.calhub("validate", "--full")
    entries = {name: _entries(demo, name) for name in MESH}
    for name, (_own, blocks) in entries.items():
        others = [each for other, (own, _) in entries.items() if other != name for each in own]
        if blocks != sorted(map(_bare, others)):
            raise DemoFailed(f"the blocks in {name} are not the times of the other two, or say more than those")
    expected = Entry(title="Concert", location="St. John's", **demo.at(5, 19))
    if _entries(demo, "Concerts") != ([], [expected]):
        raise DemoFailed("the public calendar does not show the concert, or something else as well")
    demo.console.print(
        "[bold green]All true.[/] Each calendar has a block for each event of the other two, at its time and with "
        "nothing else in it; the public calendar has the concert alone."
    )


def _entries(demo: Demo, name: str) -> tuple[list[Entry], list[Entry]]:
    """What a remote calendar shows: its own events, and copies."""
    texts = demo.remotes[name].read()
    own, copies = ([text for uid, text in texts.items() if is_copy(uid) is copied] for copied in (False, True))
    return entries_of(own), entries_of(copies)


def _bare(entry: Entry) -> Entry:
    """What a block says of it."""
    return replace(entry, title="Busy", location="", description="", categories=())


def _show(demo: Demo) -> None:
    """A line for each time at which there is something."""
    table = Table("when", *MESH, *PUBLIC)
    cells: dict[str, dict[str, str]] = {}
    for name in MESH | PUBLIC:
        own, copies = _entries(demo, name)
        for entry, style in [(each, "bold") for each in own] + [(each, "green") for each in copies]:
            cells.setdefault(_when(entry), {})[name] = f"[{style}]{escape(entry.title)}[/]"
    for when in sorted(cells):
        table.add_row(when, *(cells[when].get(name, "[dim]-[/]") for name in MESH | PUBLIC))
    demo.console.print(table)


def _when(entry: Entry) -> str:
    return entry.start.replace("T", " ")[:16] + (" weekly" if entry.repeats else " moved" if entry.instance else "")
