"""Hrefs: how they are spelled, and what they are seen from."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from calhub.providers.caldav.client import path_of

URL = "https://dav.example/user/cal/"


@given(st.lists(st.sampled_from(["/", ".", "..", "a", "%2F", "é", " ", "\t", "?", "#", ";x", "@", ":"]), min_size=1))
def test_paths_are_what_resolving_gives(pieces: list[str]) -> None:
    """The short cut for plain paths changes nothing."""
    href = "/" + "".join(pieces)
    parts = urlsplit(urljoin(URL, href))
    resolved = f"{parts.path}?{parts.query}" if parts.query else parts.path

    assert path_of(URL, href) == (href if href.startswith("//") else resolved)
