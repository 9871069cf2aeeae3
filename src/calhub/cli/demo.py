"""The command ``calhub demo``."""

from __future__ import annotations

import typer


def demo() -> None:
    """Show the main job on real servers, one calendar at five services at once, and rules. Nothing stays behind.

    Two CalDAV servers and a folder, about a minute; then emulated Google, Microsoft 365 and Notion beside CalDAV and a
    folder, half a minute at most; then busy blocks between three calendars and a public one, ten seconds.
    """
    # Imported here, since it brings along what no other command needs.
    from calhub.cli.demo_story import run

    raise typer.Exit(run())
