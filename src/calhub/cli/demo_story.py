"""Part one of ``calhub demo``: the main job on real servers, start to end, in a home that is gone afterwards.

Everything calhub does here is done by its own commands, each a process of its own, printed before its output. What
happens on the other sides is done as any other program would do it, and the final comparison shares no code with the
hub (``testing.remotes``, ``testing.compare``).
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from importlib.util import find_spec
from types import FrameType
from typing import Any, Final, NoReturn

from httpx import HTTPError
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from calhub.cli import demo_everywhere, demo_rules
from calhub.cli.demo_events import (
    BUDGET,
    DENTIST,
    DINNER,
    LUNCH,
    NEWSLETTER,
    STANDUP,
    demo_events,
    move_instance,
    set_line,
)
from calhub.cli.demo_stage import Demo, DemoFailed
from calhub.testing.compare import differences, merged
from calhub.testing.corpus import sample, samples
from calhub.testing.remotes import DavCalendar, VdirCalendar
from calhub.testing.servers import CalDAVServer, ServerFailed, radicale, xandikos

#: Remote calendar -> (account, its last path part, its name, first corpus number, how many). Work is on three sides,
#: and some of its events are on two of them from the start.
PLACES: Final = {
    "Work at Radicale": ("radicale", "work", "Work", 0, 100),
    "Work at Xandikos": ("xandikos", "work", "Work", 80, 80),
    "Work in the folder": ("files", "work", "Work", 160, 60),
    "Private at Radicale": ("radicale", "private", "Private", 1000, 240),
    "Club at Xandikos": ("xandikos", "club", "Club", 2000, 160),
}


#: An event of the corpus whose participants have parameters that the hub does not know.
MEETING: Final = sample(3)


def run() -> int:
    """Run the whole demo. 0 if every replica equals the hub at the end, else 1; nothing stays behind either way."""
    console = Console()
    if not (find_spec("radicale") and find_spec("xandikos")):
        console.print(
            "The demo needs two CalDAV servers from PyPI. Install them with: pip install 'calhub[demo]'", markup=False
        )
        return 1
    began = time.monotonic()
    try:
        with _interrupted_by(signal.SIGTERM, signal.SIGHUP):
            for act in (_act, demo_everywhere.act, demo_rules.act):
                with ExitStack() as stack:
                    act(console, stack)
    except (DemoFailed, ServerFailed, HTTPError, OSError) as failure:
        console.print(f"\n[bold red]The demo failed:[/] {escape(str(failure))}")
        return 1
    except KeyboardInterrupt:
        console.print("\nStopped; the servers are ended and the temporary files removed.")
        return 130
    console.print(f"[dim]{time.monotonic() - began:.0f} s. The servers are ended and the temporary files removed.[/]")
    return 0


def _act(console: Console, stack: ExitStack) -> None:
    demo = Demo.begin(console, stack)
    root = demo.root
    demo.part("Part one: calendars on two CalDAV servers and in a folder")
    servers = {"radicale": stack.enter_context(radicale(root)), "xandikos": stack.enter_context(xandikos(root))}
    _fill(demo, servers, stack)
    _connect(demo, servers)
    _look(demo)
    _edit_everywhere(demo)
    _settle(demo)
    _compare(demo)


def _fill(demo: Demo, servers: dict[str, CalDAVServer], stack: ExitStack) -> None:
    demo.heading("Two CalDAV servers and a folder, as other programs left them")
    for name, server in servers.items():
        demo.console.print(f"{name}: {server.url}", highlight=False)
    for title, (where, slug, name, _first, _count) in PLACES.items():
        remote: DavCalendar | VdirCalendar
        if where == "files":
            remote = VdirCalendar(demo.root / "files" / slug)
        else:
            server = servers[where]
            remote = DavCalendar(f"{server.home_url}{slug}/", server.username, server.password)
            stack.callback(remote.close)
        remote.make(name)
        demo.remotes[title] = remote
    columns = (TextColumn("{task.description:<20}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=demo.console) as progress:
        for title, (_where, _slug, _name, first, count) in PLACES.items():
            events = list(samples(count, first=first, around=demo.monday))
            if title == "Work at Radicale":
                events += demo_events(demo.monday)
            bar = progress.add_task(title, total=len(events))
            demo.remotes[title].fill(events, done=partial(progress.advance, bar))


def _connect(demo: Demo, servers: dict[str, CalDAVServer]) -> None:
    demo.heading("Connect them: one calendar, Work, is on all three sides")
    for name, calendars in (("radicale", "all"), ("xandikos", "Club")):
        server = servers[name]
        sign_in = ("--url", server.url, "--username", server.username, "--password-stdin")
        demo.calhub("account", "add", "caldav", name, *sign_in, "--calendars", calendars, given=server.password)
    demo.calhub("account", "add", "folder", "files", "--url", str(demo.root / "files"), "--calendars", "none")
    demo.calhub("replica", "add", "Work", "xandikos", "Work", "--conflicts", "ask")
    demo.calhub("replica", "add", "Work", "files", "Work")
    demo.calhub("sync")
    demo.quiet()
    events = sum(calendar["events"] for calendar in demo.ask("calendar", "list"))
    if events < 600:
        raise DemoFailed(f"only {events} events in the hub, expected 600 or more")
    demo.note(f"{events} events in the hub; those that were on two sides already were matched, not doubled.")


def _look(demo: Demo) -> None:
    demo.heading("What is on this week, and a search")
    sunday = demo.monday + timedelta(days=7)
    demo.calhub("agenda", str(demo.monday), str(sunday), "--calendar", "Work")
    demo.calhub("search", "reunion budget", "--limit", "5")


def _edit_everywhere(demo: Demo) -> None:
    demo.heading("Edits on all sides, before anybody has synced")
    at_radicale, at_xandikos = demo.remotes["Work at Radicale"], demo.remotes["Work at Xandikos"]
    in_folder = demo.remotes["Work in the folder"]
    demo.note("Budget review: place at Radicale, category in the folder, description in the hub.")
    at_radicale.edit(BUDGET, set_line("LOCATION", "Room 7"))
    in_folder.edit(BUDGET, set_line("CATEGORIES", "finance"))
    demo.calhub("event", "edit", BUDGET, "--description", "Bring the figures of Q3")
    demo.note("Team lunch: another title at Radicale and in the folder: the same field of one event.")
    at_radicale.edit(LUNCH, set_line("SUMMARY", "Team lunch at noon"))
    in_folder.edit(LUNCH, set_line("SUMMARY", "Team lunch with Zoé"))
    demo.note("Board dinner: another place at Xandikos and in the hub; that replica was told to ask.")
    at_xandikos.edit(DINNER, set_line("LOCATION", "Osteria Ponte"))
    demo.calhub("event", "edit", DINNER, "--location", "The office kitchen")
    demo.note("Dentist: deleted in the folder, but edited at Radicale. Newsletter: deleted in the folder.")
    in_folder.delete(DENTIST)
    at_radicale.edit(DENTIST, set_line("DESCRIPTION", "Insurance card!"))
    in_folder.delete(NEWSLETTER)
    demo.note("Stand-up: next week's is moved to Tuesday, at Xandikos.")
    demo.note("A meeting that came from Radicale gets another title in the hub; its X- parameters must stay there.")
    demo.calhub("event", "edit", MEETING.uid, "--title", "Meeting, renamed in the hub")
    week = timedelta(weeks=1)
    moved = move_instance(STANDUP, "Stand-up", demo.monday + week, 9, demo.monday + week + timedelta(days=1), 11)
    at_xandikos.edit(STANDUP, moved)


def _settle(demo: Demo) -> None:
    demo.heading("Sync: what merges, what is a conflict")
    demo.calhub("sync", "--dry-run", expect=(0, 4))
    demo.calhub("sync", expect=(4,))
    demo.calhub("event", "show", BUDGET)
    demo.calhub("conflict", "list")
    conflicts = demo.ask("conflict", "list")
    open_one = _the([c for c in conflicts if c["uid"] == DINNER], "conflict about the dinner")
    demo.calhub("conflict", "show", str(open_one["id"]))
    demo.note("The dinner waits for a person. Take the place from Xandikos; and flip the lunch to the title that lost:")
    demo.calhub("conflict", "resolve", str(open_one["id"]), "--take", "remote")
    noted = _the([c for c in conflicts if c["uid"] == LUNCH], "conflict about the lunch")
    loser = "hub" if noted["fields"][0]["taken"] == "remote" else "remote"
    demo.calhub("conflict", "resolve", str(noted["id"]), "--take", loser)
    demo.calhub("sync")
    demo.quiet()
    demo.calhub("why", DENTIST)
    demo.calhub("history", "--limit", "5")
    demo.calhub("status")


def _compare(demo: Demo) -> None:
    demo.heading("Every replica against the hub, by a comparison of its own")
    table = Table("remote calendar", "events", "events and overrides", "differences")
    found: list[str] = []
    for title, (_where, _slug, name, _first, _count) in PLACES.items():
        there = demo.remotes[title].read()
        remote, hub = merged(there.values()), merged([demo.output("export", "--calendar", name)])
        different = differences(remote, hub)
        table.add_row(title, str(len(there)), str(len(remote)), str(len(different)))
        found += [f"{title}: {line}" for line in different]
    demo.console.print(table)
    for line in found[:20]:
        demo.console.print(line, markup=False, highlight=False)
    _check_outcome(demo)
    if found:
        raise DemoFailed(f"{len(found)} events are not the same in the hub and at a remote")
    demo.console.print(
        "[bold green]All equal.[/] Compared for each event and override: every property with its parameters, alarms "
        "and unknown components; times by wall clock and zone. Not compared: DTSTAMP, LAST-MODIFIED, CREATED, "
        "SEQUENCE; X- parameters of participants, which stay at the remote that has them."
    )


def _check_outcome(demo: Demo) -> None:
    """Equal is not enough: each edit of the story must be there too, and what nobody edited."""
    text = demo.output("export", "--calendar", "Work").replace("\n ", "")
    expected = (
        "Room 7",
        "finance",
        "Bring the figures of Q3",
        "Osteria Ponte",
        "Insurance card!",
        "renamed in the hub",
    )
    lost = [value for value in expected if value not in text]
    if NEWSLETTER in text or "The office kitchen" in text:
        lost.append("the deletion of the newsletter or the choice for the dinner")
    meeting = demo.remotes["Work at Radicale"].read()[MEETING.uid]
    before, after = (re.sub(r"\r?\n ", "", text).count("X-SEEN=yes") for text in (MEETING.text, meeting))
    if before != after:
        lost.append("parameters of a participant")
    if lost:
        raise DemoFailed(f"not everywhere at the end: {', '.join(lost)}")


def _the(found: list[Any], what: str) -> Any:
    if not found:
        raise DemoFailed(f"there should be a {what}")
    return found[0]


@contextmanager
def _interrupted_by(*signals: signal.Signals) -> Iterator[None]:
    """Let these signals end the demo as Ctrl-C does, so that servers and files go in every case."""

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
