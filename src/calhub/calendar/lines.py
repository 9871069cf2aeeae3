"""The line level of iCalendar (RFC 5545 3.1 and 3.2): folding, content lines, parameters, escaping, components.

Two views of one text: `unfold` gives the logical lines, fast, for reading; `chunks` gives the same lines as they
stand in the text, so that a patch can leave all others alone. Line ends are CRLF, LF or CR; control characters other
than tab are dropped from logical lines, since nothing may hold them and XML cannot carry them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from calhub.calendar.event import InvalidEvent

Params = Mapping[str, str]

NO_PARAMS: Final[Params] = {}

_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_CONTROL_BUT_NEWLINE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
#: A line end: LF, or CRs with or without one. All of a run at once, or a million CRs would take their square in time.
#: (Python 3.11.2 gets possessive quantifiers wrong around groups and behind one another.)
_END: Final = r"(?:\r+(?!\r)\n?|\n)"
_CHUNK: Final = re.compile(rf"[^\r\n]*+(?:{_END}[ \t][^\r\n]*+)*(?:{_END}|\Z)")
_FOLD: Final = re.compile(rf"(?<!\r){_END}[ \t]")
_QUOTED_HEAD: Final = re.compile(r'((?:[^":]++|"[^"]*+")*):')
_PARAM: Final = re.compile(r'(?:"[^"]*+"|[^";]++|")+')
_ESCAPE: Final = re.compile(r"\\([\\;,nN])")
_CARET: Final = re.compile(r"\^([\^n'])")
_LIST_ITEM: Final = re.compile(r"(?:[^\\,]|\\.|\\\Z)+", re.DOTALL)
_MARK: Final = re.compile("^\ufeff", re.MULTILINE)
_NAME: Final = re.compile(r"[A-Za-z0-9-]+")


def decode(data: bytes) -> str:
    """The text of iCalendar bytes: UTF-8, without a byte order mark; Latin-1 where it is certainly not UTF-8.

    Old producers fold inside a UTF-8 sequence, so unfolding bytes is tried before giving up on UTF-8; the text is
    then the unfolded one.
    """
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        whole = re.sub(rb"(?<!\r)(?:\r+(?!\r)\n?|\n)[ \t]", b"", data)
    try:
        return whole.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def unfold(text: str) -> list[str]:
    """The logical lines of a text; empty ones are kept as ``""``. Linear in its length."""
    if "\r" in text:
        text = text.replace("\r\n", "\n")
        if "\r" in text:
            text = re.sub(_END, "\n", text)
    text = re.sub(r"\n[ \t]", "", text) if "\n\t" in text else text.replace("\n ", "")
    if _CONTROL_BUT_NEWLINE.search(text):
        text = _CONTROL_BUT_NEWLINE.sub("", text)
    if "\ufeff" in text:  # also where files were put one after the other
        text = _MARK.sub("", text)
    return text.split("\n")


def chunks(text: str) -> list[str]:
    """The logical lines as they stand in the text, with folds and line ends: ``"".join(chunks(t)) == t``."""
    return [match for match in _CHUNK.findall(text) if match]


def logical(chunk: str) -> str:
    """One chunk as the logical line that `unfold` gives for it."""
    return _CONTROL.sub("", _FOLD.sub("", chunk)).removeprefix("\ufeff")


def fold(line: str, newline: str = "\r\n") -> str:
    """A logical line as it is written: at most 75 octets per physical line, never splitting a character (3.1).

    Control characters, line breaks above all, are removed: no value can start a line of its own.
    """
    line = _CONTROL.sub("", line)
    if len(line) <= 75 and line.isascii():
        return line + newline
    data = line.encode("utf-8", "replace")
    pieces, start, limit = [], 0, 75
    while len(data) - start > limit:
        end = start + limit
        while data[end] & 0xC0 == 0x80:
            end -= 1
        pieces.append(data[start:end])
        start, limit = end, 74  # the leading space counts
    pieces.append(data[start:])
    return (newline + " ").join(piece.decode("utf-8") for piece in pieces) + newline


def parse_line(line: str) -> tuple[str, Params, str] | None:
    """``(NAME, params, raw value)`` of a logical line, or None if it is none (no colon, or no name).

    A name with other than ASCII letters is none: some of those become ASCII, or two, in upper case.
    """
    head, colon, value = line.partition(":")
    if '"' in head and (match := _QUOTED_HEAD.match(line)):
        head, value = match[1], line[match.end() :]
    if not colon:
        return None
    if ";" not in head:
        return (head.upper(), NO_PARAMS, value) if head and head.isascii() else None
    name, _, rest = head.partition(";")
    return (name.upper(), _parse_params(rest), value) if name and name.isascii() else None


def _parse_params(text: str) -> Params:
    params: dict[str, str] = {}
    for name, value in _pairs(text):
        params.setdefault(name.upper(), _param_value(value))
    return params


def _pairs(text: str) -> list[tuple[str, str]]:
    parts = _PARAM.findall(text) if '"' in text else text.split(";")
    return [(name, value) for name, equals, value in (part.partition("=") for part in parts) if name and equals]


def _param_value(value: str) -> str:
    if '"' in value:
        value = value.replace('"', "")
    if "^" in value:
        value = _CARET.sub(lambda match: {"^": "^", "n": "\n", "'": '"'}[match[1]], value)
    return value


def kept_params(line: str, known: frozenset[str]) -> list[str]:
    """The parameters of a line as written (``X-FOO="a;b"``), without those named in ``known``."""
    match = _QUOTED_HEAD.match(line)
    head = match[1] if match else line.partition(":")[0]
    return [f"{name}={value}" for name, value in _pairs(head.partition(";")[2]) if name.upper() not in known]


def make_line(name: str, params: Iterable[tuple[str, str]], value: str, kept: Sequence[str] = ()) -> str:
    """A logical line; ``value`` is raw, ``params`` get encoded (RFC 6868), ``kept`` ones go in as they are."""
    head = [name]
    for key, text in params:
        text = text.replace("^", "^^").replace('"', "^'").replace("\n", "^n")
        head.append(f'{key}="{text}"' if any(mark in text for mark in ":;,") else f"{key}={text}")
    return ";".join([*head, *kept]) + ":" + value


def is_name(name: str) -> bool:
    """Whether it can be a property name (RFC 5545 3.1); a broken fold gives lines whose "name" is prose."""
    return _NAME.fullmatch(name) is not None


def escape(text: str) -> str:
    """A TEXT value (3.3.11) as written."""
    return text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,").replace("\n", "\\n")


def unescape(value: str) -> str:
    """The text of a TEXT value; a backslash before any other character stands for itself."""
    if "\\" not in value:
        return value
    return _ESCAPE.sub(lambda match: "\n" if match[1] in "nN" else match[1], value)


def text_list(value: str) -> list[str]:
    """The members of a comma separated list of TEXT, blanks around them and empty ones dropped."""
    parts = _LIST_ITEM.findall(value) if "\\" in value else value.split(",")
    return [text for part in parts if (text := unescape(part).strip())]


class Component:
    """A component by line numbers: ``first`` is its BEGIN, ``last`` its END, ``rows`` its own properties."""

    __slots__ = ("children", "first", "last", "name", "rows")

    def __init__(self, name: str, first: int) -> None:
        self.name = name
        self.first = first
        self.last = first
        self.rows: list[int] = []
        self.children: list[Component] = []

    def lines(self, lines: Sequence[str]) -> list[str]:
        """All its logical lines, BEGIN and END and those of sub-components included.

        Not one that begins with a blank: it would be a fold of the line before, and means nothing.
        """
        return [line for line in lines[self.first : self.last + 1] if line and line[0] not in " \t"]


def parse_components(lines: Sequence[str]) -> list[Component]:
    """The outermost components of logical lines. Lines outside of any are passed over.

    Raises `InvalidEvent` when a component does not end, or ends where another one began.
    """
    root = Component("\n", -1)  # a name that no END can have
    stack = [root]
    current = root
    for number, line in enumerate(lines):
        if line[:1] in "BbEe":
            head = line[:6].upper()
            if head == "BEGIN:":
                child = Component(line[6:].strip().upper(), number)
                current.children.append(child)
                stack.append(child)
                current = child
                continue
            if head[:4] == "END:":
                if current.name != line[4:].strip().upper():
                    raise InvalidEvent("The calendar data is damaged: a component ends that was not open.")
                current.last = number
                stack.pop()
                current = stack[-1]
                continue
        if line:
            current.rows.append(number)
    if len(stack) > 1:
        raise InvalidEvent("The calendar data is cut off: it ends inside a component.")
    return root.children
