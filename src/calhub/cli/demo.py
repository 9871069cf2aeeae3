"""The command ``calhub demo``."""

from __future__ import annotations

import typer


def demo() -> None:
    """Show the main job on real servers, then one calendar at five services at once. Nothing stays behind.

    Two CalDAV servers and a folder, about a minute; then emulated Google, Microsoft 365 and Notion beside CalDAV and a
    folder, half a minute at most.
    """
    # Imported here, since it brings along what no other command needs.
    from calhub.cli.demo_story import run

    raise typer.Exit(run())
