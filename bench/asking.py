"""Import, agenda, search, local edits: calhub and khal on the same events, and the bare SQL underneath."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from bench.corpus import MIDDLE, samples
from bench.measure import Run, timed
from bench.server import instant
from bench.tools import PEERS, Calhub, Khal
from calhub.hub import accounts, events
from calhub.hub.agenda import agenda, reader, search
from calhub.hub.database import Hub

PARTS = ("import", "agenda", "search", "edits")
SAMPLES = 500
EDITS = 1000
#: With more events than these, khal alone would take an hour.
KHAL_LIMIT = 10_000
#: The first pull that goes on while somebody asks.
PULLED = 10_000
FEW = 500
#: Occurrences in a week for each event of the corpus, about; more in the busiest weeks.
_PER_WEEK = 0.065
_WEEK = timedelta(days=7)
_RANGE = """SELECT e.uid, o.recurrence_id, o.start, o."end", e.title, e.location
 FROM occurrence o JOIN event e ON e.id = o.event_id
 WHERE o.span = ? AND o.start_ts < ? AND o.start_ts >= ? AND o.end_ts > ?"""
_MATCH = "SELECT rowid FROM event_search WHERE event_search MATCH ? ORDER BY rank LIMIT 50"
_COMMON = ("Yoga", "Budget", "Unterlagen", "Flight", "Lefèvre", "Handwerker", "agenda", "Elternabend")


def measure(run: Run, size: int, folder: str | None) -> None:
    """All cases at one size."""
    with TemporaryDirectory(prefix="calhub-bench-", dir=folder) as root:
        _Asking(run, size, Path(root)).measure()


class _Asking:
    """The cases at one size."""

    def __init__(self, run: Run, size: int, root: Path) -> None:
        self._run = run
        self._size = size
        self._whole = _one_file(root / "all.ics", size)
        self._calhub = Calhub(root / "home")
        self._khal: Khal | None = None
        if size <= KHAL_LIMIT:
            self._khal = Khal(root / "khal", _files(root / "vdir", size))
        else:
            run.results.leave_out(f"khal at {size:,} events: it would take an hour")

    def measure(self) -> None:
        self._import()
        if self._run.wants("agenda"):
            self._cold_agenda()
        if self._run.wants("search"):
            self._cold_search()
        if self._run.wants("agenda", "search"):
            self._in_process()
        if self._run.wants("edits"):
            for place, folder in (("disk", PEERS.parent), ("memory disk", self._calhub.home.parent)):
                with TemporaryDirectory(prefix="edits-", dir=folder) as root:
                    self._edits(place, Path(root))
        if self._run.wants("agenda"):
            self._while_pulling()

    def _import(self) -> None:
        """Also what all other cases begin with; then done once, and not recorded."""
        recorded = self._run.wants("import")
        for number, turn in enumerate(self._turns(long=True)):
            if number and not recorded:
                break
            for who in turn:
                seconds = self._index_khal() if who == "khal" else self._index_calhub()
                if recorded:
                    self._add("import and index", who, self._size / seconds, "/s")

    def _index_calhub(self) -> float:
        shutil.rmtree(self._calhub.home, ignore_errors=True)
        self._calhub("calendar", "add", "Bench")
        seconds = timed(self._calhub, "import", str(self._whole), "--calendar", "Bench")
        assert self._calhub.count() == self._size
        return seconds

    def _index_khal(self) -> float:
        assert self._khal is not None
        self._khal.forget()
        seconds = timed(self._khal, "list", str(MIDDLE), "1d")
        assert self._khal.count() == self._size
        return seconds

    # Cold commands

    def _cold_agenda(self) -> None:
        for name, days in (("week", 7), ("month", 31)):
            commands: dict[str, Callable[[], object]] = {
                "floor": partial(_cold_select, self._calhub.home, timedelta(days=days)),
                "calhub": partial(self._calhub, "agenda", str(MIDDLE), str(MIDDLE + timedelta(days=days))),
            }
            if self._khal is not None:
                commands["khal"] = partial(self._khal, "list", str(MIDDLE), f"{days}d")
            self._cold(f"agenda of a {name}, cold command", commands)

    def _cold_search(self) -> None:
        commands: dict[str, Callable[[], object]] = {"calhub": partial(self._calhub, "search", "Łukaszem")}
        if self._khal is not None:
            commands["khal"] = partial(self._khal, "search", "Łukaszem")
        self._cold("search, cold command", commands)

    def _cold(self, case: str, commands: dict[str, Callable[[], object]]) -> None:
        for turn in self._run.turns(list(commands), self._size):
            for who in turn:
                self._add(case, who, timed(commands[who]))

    # In process

    def _in_process(self) -> None:
        random = Random(self._size)
        results, size = self._run.results, self._size
        with reader(self._calhub.home) as db:
            if self._run.wants("agenda"):
                assert all(
                    len(agenda(db, *one)) == _select(db, *one) for one in (_range(random, _WEEK) for _ in range(10))
                )
                weeks = [_range(random, _WEEK) for _ in range(SAMPLES)]
                calhub, floor = _alternately([partial(agenda, db), partial(_select, db)], weeks)
                results.spread("agenda of a week", size, "calhub", calhub)
                results.spread("agenda of a week", size, "floor", floor)
                ranges = [_range(random, _holding(FEW, size)) for _ in range(SAMPLES)]
                ranges = [each for each in ranges if len(agenda(db, *each)) <= FEW]
                calhub, floor = _alternately([partial(agenda, db), partial(_select, db)], ranges)
                results.spread(f"agenda of up to {FEW} occurrences", size, "calhub", calhub)
                results.spread(f"agenda of up to {FEW} occurrences", size, "floor", floor)
            if self._run.wants("search"):
                numbers = [str(random.randrange(size)) for _ in range(SAMPLES)]
                phrases = [f'"Yoga {number}"' for number in numbers]
                common = random.choices(_COMMON, k=SAMPLES // 5)
                for case, queries in (("rare word", numbers), ("phrase", phrases), ("common word", common)):
                    asked = [(query,) for query in queries]
                    calhub, floor = _alternately([partial(search, db), partial(_match, db)], asked)
                    results.spread(f"search, {case}", size, "calhub", calhub)
                    results.spread(f"search, {case}", size, "floor", floor)

    def _while_pulling(self) -> None:
        """Somebody asks a hundred times a second while another process pulls events into a second calendar."""
        random = Random(self._size)
        length = _holding(FEW, self._size + PULLED)
        taken: list[float] = []
        with instant(self._calhub.home, PULLED, first=1_000_000) as server:
            self._calhub.add(server)
            with self._calhub.begin("sync") as pull, reader(self._calhub.home) as db:
                while pull.poll() is None:
                    when = _range(random, length)
                    began = time.perf_counter()
                    found = agenda(db, *when)
                    seconds = time.perf_counter() - began
                    if len(found) <= FEW:
                        taken.append(seconds)
                    time.sleep(0.01)
        assert pull.returncode == 0
        assert self._calhub.count() == self._size + PULLED
        self._run.results.spread(f"agenda of up to {FEW} occurrences during a first pull", self._size, "calhub", taken)

    # Edits

    def _edits(self, place: str, root: Path) -> None:
        """On a disk each commit waits until it is written; so does the floor, one row in one commit."""
        count = min(EDITS, self._size)
        home = Path(shutil.copytree(self._calhub.home, root / "home"))
        with Hub.open(home) as hub, closing(_bare(root / "bare.db")) as bare:
            with hub.read() as conn:
                calendar = accounts.calendar(conn, "Bench")
                stored = [events.find_event(conn, each.uid, calendar.id) for each in samples(count)]

            def edit_all(title: str) -> None:
                for event in stored:
                    with hub.transaction() as conn:
                        changed = {**event.content, "title": title}
                        events.put_event(conn, calendar.id, event.uid, changed, now=hub.now())

            def commit_all() -> None:
                for each in stored:
                    bare.execute("INSERT INTO row VALUES (?)", (str(each.content),))

            for number, turn in enumerate(self._run.turns(["calhub", "floor"], self._size)):
                for who in turn:
                    seconds = timed(edit_all, f"Edited {number}") if who == "calhub" else timed(commit_all)
                    self._add(f"durable edits one by one, {place}", who, count / seconds, "/s")

    def _turns(self, *, long: bool = False) -> Iterator[Sequence[str]]:
        people = ["calhub"] if self._khal is None else ["calhub", "khal"]
        return self._run.turns(people, self._size, long=long)

    def _add(self, case: str, who: str, value: float, unit: str = "s") -> None:
        self._run.results.add(case, self._size, who, value, unit)


def _files(folder: Path, size: int) -> Path:
    """The corpus as a folder with one file for each event."""
    folder.mkdir()
    for each in samples(size):
        (folder / each.file_name).write_bytes(each.text.encode())
    return folder


def _one_file(path: Path, size: int) -> Path:
    """The corpus as one VCALENDAR, as an export would be."""
    with path.open("w", newline="") as file:
        file.write("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//calhub//corpus//EN\r\n")
        for each in samples(size):
            start, end = each.text.index("BEGIN:VEVENT"), each.text.index("END:VCALENDAR")
            file.write(each.text[start:end])
        file.write("END:VCALENDAR\r\n")
    return path


_Range = tuple[int, int]
_START = datetime(MIDDLE.year, MIDDLE.month, MIDDLE.day, tzinfo=UTC)


def _range(random: Random, length: timedelta) -> _Range:
    """A stretch of this length, begun at some hour of the year and a half around the middle of the corpus."""
    start = _START + timedelta(hours=random.randint(-300 * 24, 300 * 24))
    return int(start.timestamp()), int((start + length).timestamp())


def _holding(occurrences: int, size: int) -> timedelta:
    """How long a stretch holds about so many occurrences."""
    return _WEEK * (occurrences / (size * _PER_WEEK))


def _alternately(asked: Sequence[Callable[..., object]], queries: Sequence[tuple[object, ...]]) -> list[list[float]]:
    """Seconds that each takes for each query. They take turns at who is first, and so finds less in the caches."""
    taken: list[list[float]] = [[] for _ in asked]
    for number, query in enumerate(queries):
        order = range(len(asked)) if number % 2 else reversed(range(len(asked)))
        for who in order:
            taken[who].append(timed(asked[who], *query))
    return taken


def _select(db: sqlite3.Connection, start: int, end: int) -> int:
    reaches = (86_400, 32 * 86_400, 10**11)
    return sum(
        len(db.execute(_RANGE, (span, end, start - reach, start)).fetchall()) for span, reach in enumerate(reaches)
    )


def _match(db: sqlite3.Connection, query: str) -> int:
    expression = query if query.startswith('"') else f'"{query}"'
    return len(db.execute(_MATCH, (expression,)).fetchall())


def _cold_select(home: Path, length: timedelta) -> None:
    start = int(_START.timestamp())
    with closing(sqlite3.connect(home / "hub.db")) as db:
        _select(db, start, start + int(length.total_seconds()))


def _bare(path: Path) -> sqlite3.Connection:
    """A database in which each statement is a commit that waits for the disk."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE row (content TEXT)")
    return db
