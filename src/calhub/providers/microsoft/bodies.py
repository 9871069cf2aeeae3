"""Event bodies: HTML at the service, plain text in the hub (microsoft: Mapping table, "server rewrites HTML").

The text is made by one walk over the parsed tree. Exchange keeps plain text as HTML too, with ``<br>`` for line ends
and ``&nbsp;`` for spaces that would collapse, so what was written as text reads back as the same text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any, Final

from lxml import etree
from lxml.html import HtmlElement, document_fromstring, tostring

_HIDDEN: Final = frozenset({"head", "style", "script", "title", "meta", "template"})
_LINES: Final = frozenset(
    {
        "address", "article", "blockquote", "center", "dd", "div", "dl", "dt", "fieldset", "footer",
        "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li",
        "main", "ol", "p", "pre", "section", "table", "tr", "ul",
    }
)  # fmt: skip
_SPACED: Final = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6"})
_BLANKS: Final = re.compile(r"[ \t\r\n\f]+")
_BREAK: Final = "\n"
_PARAGRAPH: Final = "\n\n"


def text_of(body: Mapping[str, Any] | None) -> str:
    """The plain text of an ``itemBody``; empty where there is none."""
    content = (body or {}).get("content") or ""
    if not content.strip():
        return ""
    if (body or {}).get("contentType") != "html":
        return content.replace("\r\n", "\n").strip("\n")
    try:
        tree = document_fromstring(content)
    except (etree.ParserError, ValueError):  # nothing but comments; a declared encoding
        return ""
    return _lines(tree)


def _lines(tree: HtmlElement) -> str:
    pieces: list[str] = []
    _walk(tree, pieces, kept=False)
    lines: list[str] = []
    line = ""
    blank = 0  # line ends that are still to be written
    for piece in pieces:
        if piece == "\r":  # a hard break
            lines.append(line)
            line = ""
        elif piece in (_BREAK, _PARAGRAPH):
            if line.strip(" "):
                lines.append(line)
                line = ""
            blank = max(blank, len(piece) - 1)
        else:
            if blank and lines and not line:
                lines += [""] * (blank if lines[-1] else 0)
            blank = 0
            line += piece if line and not line.endswith(" ") else piece.lstrip(" ")
    lines.append(line)
    return "\n".join(each.rstrip(" ").replace("\xa0", " ") for each in lines).strip("\n")


def _walk(node: HtmlElement, pieces: list[str], *, kept: bool) -> None:
    """Append text, hard breaks (a carriage return) and the edges of blocks. ``kept``: inside ``pre``."""
    tag = node.tag
    if isinstance(tag, str) and tag not in _HIDDEN:
        edge = (_PARAGRAPH if tag in _SPACED else _BREAK) if tag in _LINES else None
        if edge:
            pieces.append(edge)
        if tag == "br":
            pieces.append("\r")
        kept_here = kept or tag == "pre"
        _text(node.text, pieces, kept=kept_here)
        for child in node:
            _walk(child, pieces, kept=kept_here)
        if tag == "a" and _is_news(node):
            pieces.append(f" <{node.get('href')}>")
        if edge:
            pieces.append(edge)
    _text(node.tail, pieces, kept=kept)


def _text(text: str | None, pieces: list[str], *, kept: bool) -> None:
    if not text:
        return
    if not kept:
        pieces.append(_BLANKS.sub(" ", text))
        return
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n")):
        pieces += ["\r"] if number else []
        pieces.append(line.replace(" ", "\xa0"))


def _is_news(link: HtmlElement) -> bool:
    """Whether the address of a link says something that its text does not."""
    href = link.get("href") or ""
    return href.startswith(("https://", "http://")) and href.rstrip("/") not in "".join(link.itertext())


def body_of(text: str, old: Mapping[str, Any]) -> dict[str, str]:
    """The ``itemBody`` for an edited text. ``old`` is the event as it was.

    An online meeting stays one only as long as its body keeps the block with the join link (microsoft: Writing), so
    that block is carried over as it is, and the new text goes before it.
    """
    block = _join_block(old)
    if block is None:
        return {"contentType": "text", "content": text}
    own = text
    for line in text_of({"contentType": "html", "content": block}).split("\n"):
        if line.strip() and line in own:
            own = own[: own.index(line)]  # from its first line on, the block is there already
            break
    lines = [
        escape(line, quote=False).replace("  ", " &nbsp;") or "<br>" for line in own.removesuffix("\n").split("\n")
    ]
    content = "\r\n".join(f"<div>{line or '<br>'}</div>" for line in lines)
    return {"contentType": "html", "content": f"<html><body>{content}{block}</body></html>"}


def _join_block(event: Mapping[str, Any]) -> str | None:
    """The HTML of an online meeting's join information: the last parts of the body, from the one with the link on."""
    url = (event.get("onlineMeeting") or {}).get("joinUrl")
    content = (event.get("body") or {}).get("content") or ""
    if not url or not content.strip():
        return None
    try:
        top = document_fromstring(content).find("body")
    except (etree.ParserError, ValueError):
        return None
    while top is not None and len(top) == 1 and not (top.text or "").strip():
        top = top[0]  # all of it is in one wrapper
    parts: list[HtmlElement] = list(top) if top is not None else []
    for at, part in enumerate(parts):
        if url in tostring(part, encoding="unicode", with_tail=False).replace("&amp;", "&"):
            first = (
                at - 1 if at and set("".join(parts[at - 1].itertext()).strip()) == {"_"} else at
            )  # the rule above it
            return "".join(tostring(each, encoding="unicode") for each in parts[first:])
    return None
