"""Descriptions: Google Calendar shows a subset of HTML, calhub has plain text.

A text without markup is the same on both sides. One that Google's editor made is flattened; one of ours that looks like
markup is escaped, so that it is shown as it was written. ``plain(marked(text)) == text`` for every text.
"""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from typing import Final

_TAG: Final = re.compile(r"</?(?:a|b|br|div|em|h[1-6]|html-blob|i|li|ol|p|s|span|strong|u|ul)\b[^>]*>", re.IGNORECASE)
_ENTITY: Final = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});", re.IGNORECASE)


def has_markup(text: str) -> bool:
    """Whether Google Calendar takes the text for HTML."""
    return ("<" in text and _TAG.search(text) is not None) or ("&" in text and _ENTITY.search(text) is not None)


def marked(text: str) -> str:
    """A plain text as a description that shows just that."""
    return html.escape(text, quote=False) if has_markup(text) else text


def plain(text: str) -> str:
    """A description as plain text: paragraphs and items on lines of their own, addresses of links kept."""
    if not has_markup(text):
        return text
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return reader.text if not _TAG.search(text) else reader.text.strip("\n")


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self._link = ""
        self._from = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "br":
            self.text += "\n"
        elif tag in ("p", "div", "ul", "ol", "li"):
            self._break()
            self.text += "- " if tag == "li" else ""
        elif tag == "a":
            self._link, self._from = dict(attrs).get("href") or "", len(self.text)
        elif not _TAG.match(f"<{tag}>"):
            self.text += self.get_starttag_text() or ""

    def handle_endtag(self, tag: str) -> None:
        if tag in ("p", "div", "ul", "ol", "li"):
            self._break()
        elif tag == "a" and self._link and self._link.removeprefix("mailto:") not in self.text[self._from :]:
            self.text += f" <{self._link}>"

    def handle_data(self, data: str) -> None:
        self.text += data

    def _break(self) -> None:
        if self.text and not self.text.endswith("\n"):
            self.text += "\n"
