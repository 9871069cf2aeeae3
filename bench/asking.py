"""Import, agenda, search, local edits: calhub and khal on the same events, and the bare SQL underneath."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, time, timedelta
from functools import partial
from pathlib import Path
from random import Random

from bench.measure import Results, timed, turns
from bench.tools import Calhub, Khal
from calhub.hub import accounts, events
from calhub.hub.agenda import agenda, reader, search
from calhub.hub.database import Hub
from calhub.testing.corpus import AROUND, samples

SAMPLES = 500
EDITS = 500
_RANGE = """SELECT e.uid, o.recurrence_id, o.start, o."end", e.title, e.location
 FROM occurrence o JOIN event e ON e.id = o.event_id
 WHERE o.span = ? AND o.start_ts < ? AND o.start_ts >= ? AND o.end_ts > ?"""
_MATCH = "SELECT rowid FROM event_search WHERE event_search MATCH ? ORDER BY rank LIMIT 50"


def measure(results: Results, root: Path, size: int, repeats: int) -> None:
    """All cases at one size."""
    folder = root / "vdir"
    folder.mkdir(parents=True)
    for each in samples(size):
        (folder / each.file_name).write_bytes(each.text.encode())
    whole = _one_file(root / "all.ics", size)
    calhub, khal = Calhub(root / "home"), Khal(root / "khal", folder)
    _imports(results, calhub, khal, whole, size, repeats)
    _cold(results, calhub, khal, size, repeats)
    _in_process(results, calhub.home, size)
    _while_importing(results, calhub, whole, size)
    _edits(results, calhub.home, size)


def _one_file(path: Path, size: int) -> Path:
    """The corpus as one VCALENDAR, as an export would be."""
    with path.open("w", newline="") as file:
        file.write("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//calhub//corpus//EN\r\n")
        for each in samples(size):
            start, end = each.text.index("BEGIN:VEVENT"), each.text.index("END:VCALENDAR")
            file.write(each.text[start:end])
        file.write("END:VCALENDAR\r\n")
    return path


def _imports(results: Results, calhub: Calhub, khal: Khal, whole: Path, size: int, repeats: int) -> None:
    day = str(AROUND)
    for turn in turns(["calhub", "khal"], repeats):
        for who in turn:
            if who == "calhub":
                shutil.rmtree(calhub.home, ignore_errors=True)
                calhub("calendar", "add", "Bench")
                seconds = timed(calhub, "import", str(whole), "--calendar", "Bench")
            else:
                khal.forget()
                seconds = timed(khal, "list", day, "1d")
            results.add("import and index", size, who, size / seconds, "/s")


def _cold(results: Results, calhub: Calhub, khal: Khal, size: int, repeats: int) -> None:
    for name, days in (("week", 7), ("month", 31)):
        work: dict[str, Callable[[], object]] = {
            "calhub": partial(calhub, "agenda", str(AROUND), str(AROUND + timedelta(days=days))),
            "khal": partial(khal, "list", str(AROUND), f"{days}d"),
            "floor": partial(_floor_cold, calhub.home, days),
        }
        for turn in turns(list(work), repeats):
            for who in turn:
                results.add(f"agenda of a {name}, cold command", size, who, timed(work[who]))
    searches = {"calhub": partial(calhub, "search", "Łukaszem"), "khal": partial(khal, "search", "Łukaszem")}
    for turn in turns(list(searches), repeats):
        for who in turn:
            results.add("search, cold command", size, who, timed(searches[who]))


def _bounds(days: int, first: int = 0) -> tuple[int, int]:
    start = datetime.combine(AROUND, time(), UTC) + timedelta(days=first)
    return int(start.timestamp()), int((start + timedelta(days=days)).timestamp())


def _select(db: sqlite3.Connection, start: int, end: int) -> int:
    reaches = (86_400, 32 * 86_400, 10**11)
    return sum(
        len(db.execute(_RANGE, (span, end, start - reach, start)).fetchall()) for span, reach in enumerate(reaches)
    )


def _match(db: sqlite3.Connection, expression: str) -> int:
    return len(db.execute(_MATCH, (expression,)).fetchall())


def _floor_cold(home: Path, days: int) -> None:
    with closing(sqlite3.connect(home / "hub.db")) as db:
        _select(db, *_bounds(days))


def _in_process(results: Results, home: Path, size: int) -> None:
    random = Random(size)
    weeks = [_bounds(7, random.randint(-300, 300)) for _ in range(SAMPLES)]
    numbers = [str(random.randrange(size)) for _ in range(SAMPLES)]
    with reader(home) as db:
        rows = [len(agenda(db, *week)) for week in weeks]
        results.console.print(f"a week has {sum(rows) // len(rows)} rows on average, {max(rows)} at most")
        results.spread("agenda of a week", size, "calhub", [timed(agenda, db, *w) for w in weeks])
        results.spread("agenda of a week", size, "floor", [timed(_select, db, *w) for w in weeks])
        for case, queries in (("rare word", numbers), ("phrase", [f'"Yoga {number}"' for number in numbers])):
            ours = [timed(search, db, q) for q in queries]
            bare = [timed(_match, db, query if query[0] == '"' else f'"{query}"') for query in queries]
            results.spread(f"search, {case}", size, "calhub", ours)
            results.spread(f"search, {case}", size, "floor", bare)


def _while_importing(results: Results, calhub: Calhub, whole: Path, size: int) -> None:
    """The same weeks while another process writes all events into a second calendar."""
    calhub("calendar", "add", "Other")
    command = [
        sys.executable,
        "-m",
        "calhub.cli",
        "--home",
        str(calhub.home),
        "import",
        str(whole),
        "--calendar",
        "Other",
    ]
    random = Random(size)
    taken: list[float] = []
    with (
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as writer,
        reader(calhub.home) as db,
    ):
        while writer.poll() is None:
            week = _bounds(7, random.randint(-300, 300))
            taken.append(timed(agenda, db, *week))
    assert writer.returncode == 0
    if len(taken) > 100:
        results.spread("agenda of a week while importing", size, "calhub", taken)


def _edits(results: Results, home: Path, size: int) -> None:
    with Hub.open(home) as hub:
        with hub.read() as conn:
            calendar = accounts.calendar(conn, "Bench")
            stored = [events.find_event(conn, each.uid, calendar.id) for each in samples(min(EDITS, size))]

        def edit_all() -> None:
            for event in stored:
                with hub.transaction() as conn:
                    changed = {**event.content, "title": "Edited"}
                    events.put_event(conn, calendar.id, event.uid, changed, now=hub.now())

        results.add("durable local edits, one by one", size, "calhub", len(stored) / timed(edit_all), "/s")
