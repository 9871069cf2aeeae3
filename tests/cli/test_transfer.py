"""``import`` and ``export``: whole files, cut files, odd files."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.conftest import Calhub

from calhub.hub.transfer import _LARGE

HEAD = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\n"
TAIL = "END:VCALENDAR\r\n"


def vevent(uid: str, title: str, start: str = "DTSTART:20261123T090000Z") -> str:
    return (
        f"BEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:20261101T000000Z\r\n{start}\r\nDURATION:PT1H\r\nSUMMARY:{title}\r\n"
        "END:VEVENT\r\n"
    )


@pytest.fixture
def diary(calhub: Calhub) -> Calhub:
    calhub("calendar", "add", "diary")
    return calhub


def test_import_counts(diary: Calhub, tmp_path: Path) -> None:
    """`import --json` says how many events were created, updated and unchanged."""
    file = tmp_path / "events.ics"
    file.write_text(HEAD + vevent("a", "Ä") + vevent("b", "B") + TAIL, encoding="utf-8", newline="")
    first = diary("import", str(file), "--calendar", "diary", "--json")
    file.write_text(HEAD + vevent("a", "Ä") + vevent("b", "Other") + TAIL, encoding="utf-8", newline="")
    second = diary("import", str(file), "--calendar", "diary", "--json")

    assert (first.code, second.code) == (0, 0)
    assert first.json == {"created": 2, "updated": 0, "unchanged": 0, "quarantined": []}
    assert second.json == {"created": 0, "updated": 1, "unchanged": 1, "quarantined": []}


def test_import_leaves_broken_events_out(diary: Calhub) -> None:
    """A broken event is named with a reason; the rest is imported and the exit code is 0."""
    data = HEAD + vevent("good", "Good") + vevent("bad", "Bad", "DTSTART:nonsense") + TAIL

    result = diary("import", "-", "--calendar", "diary", "--json", stdin=data.encode())

    assert result.code == 0
    assert result.json["created"] == 1
    assert [each["uid"] for each in result.json["quarantined"]] == ["bad"]
    assert result.json["quarantined"][0]["reason"]


def test_import_of_a_large_file(diary: Calhub) -> None:
    """Thousands of events go in, or none: what is wrong with one or with the file is told as in a small file."""
    good = "".join(vevent(f"e{number}", f"Title {number} " + "x" * 100) for number in range(5000))
    data = (HEAD + good + vevent("bad", "Bad", "DTSTART:nonsense") + TAIL).encode()
    assert len(data) > _LARGE

    cut = diary("import", "-", "--calendar", "diary", "--json", stdin=data[:-100])
    after = diary("calendar", "list", "--json").json[0]["events"]
    whole = diary("import", "-", "--calendar", "diary", "--json", stdin=data)

    assert (cut.code, after) == (1, 0)
    assert "cut off" in cut.error["message"]
    assert (whole.code, whole.json["created"]) == (0, 5000)
    assert [each["uid"] for each in whole.json["quarantined"]] == ["bad"]
    assert diary("export", "--calendar", "diary").out.count("BEGIN:VEVENT") == 5000


def test_event_without_uid_is_imported_once(diary: Calhub) -> None:
    """An event without UID gets the same one each time."""
    data = (HEAD + vevent("x", "No name").replace("UID:x\r\n", "") + TAIL).encode()

    diary("import", "-", "--calendar", "diary", stdin=data)
    second = diary("import", "-", "--calendar", "diary", "--json", stdin=data)

    assert second.json["unchanged"] + len(second.json["quarantined"]) == 1
    assert second.json["created"] == 0


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"\x00\xff\xfe",
        (HEAD + vevent("a", "A")).encode(),
        (HEAD + vevent("a", "A") + vevent("b", "B")[:60]).encode(),
        b"<html><body>Sign in</body></html>",
    ],
    ids=["empty", "text", "binary", "no end", "cut", "html"],
)
def test_import_of_no_whole_calendar(diary: Calhub, data: bytes) -> None:
    """A file that is no calendar, or cut off, fails as a whole: nothing is imported."""
    result = diary("import", "-", "--calendar", "diary", "--json", stdin=data)

    assert result.code == 1
    assert result.error["hint"]
    assert diary("calendar", "list", "--json").json[0]["events"] == 0


def test_import_of_a_missing_file(diary: Calhub, tmp_path: Path) -> None:
    """A file that is not there is a usage error."""
    assert diary("import", str(tmp_path / "nope.ics"), "--calendar", "diary", "--json").code == 2
    assert diary("import", str(tmp_path), "--calendar", "diary", "--json").code == 2


def test_export_to_standard_output_is_imported_equal(diary: Calhub) -> None:
    """`export` writes one VCALENDAR; importing it elsewhere gives the same events."""
    data = (
        HEAD + vevent("a", "Größe 🎉") + vevent("b", "B", "DTSTART;VALUE=DATE:20261124").replace("PT1H", "P1D") + TAIL
    )
    diary("import", "-", "--calendar", "diary", stdin=data.encode())

    exported = diary("export", "--calendar", "diary")
    diary("calendar", "add", "copy")
    copied = diary("import", "-", "--calendar", "copy", "--json", stdin=exported.out.encode())

    assert exported.code == 0
    assert exported.out.count("BEGIN:VCALENDAR") == 1
    assert copied.json["created"] == 2
    for uid in ("a", "b"):
        one, two = (diary("event", "show", uid, "--calendar", name, "--json").json for name in ("diary", "copy"))
        assert {**one, "calendar": "", "rev": 0, "updated": ""} == {**two, "calendar": "", "rev": 0, "updated": ""}


def test_export_to_a_file(diary: Calhub, tmp_path: Path) -> None:
    """-o writes the file whole, with CRLF line ends, and --json says how many events it holds."""
    diary("import", "-", "--calendar", "diary", stdin=(HEAD + vevent("a", "A") + TAIL).encode())
    file = tmp_path / "out.ics"

    result = diary("export", "--calendar", "diary", "-o", str(file), "--json")

    assert result.json == {"calendar": "diary", "events": 1, "file": str(file)}
    assert file.read_bytes().startswith(b"BEGIN:VCALENDAR\r\n")
    assert list(tmp_path.glob(".*partial")) == []


@pytest.mark.parametrize("argv", [("--calendar", "nope", "-o", "x.ics"), ("-o", "x.ics"), ("--calendar", "diary")])
def test_export_with_wrong_options(
    diary: Calhub, argv: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An unknown calendar, none, or --json without a file: an error and no file."""
    monkeypatch.chdir(tmp_path)

    result = diary("export", *argv, "--json")

    assert result.code in (1, 2)
    assert result.error["message"]
    assert not Path("x.ics").exists()
