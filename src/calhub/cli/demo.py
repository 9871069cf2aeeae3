"""The command ``calhub demo``."""

from __future__ import annotations

import typer


def demo() -> None:
    """Show the main job on two real CalDAV servers and a folder, about a minute; nothing stays behind."""
    # Imported here, since it brings along what no other command needs.
    from calhub.cli.demo_story import run

    raise typer.Exit(run())
