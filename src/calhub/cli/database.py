"""``db``: the hub's database itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from calhub.cli.context import session
from calhub.cli.failures import FAILED, usage
from calhub.cli.output import Json, emit, note

app = typer.Typer(help="The hub's database: check, migrate, back up, restore.")


@app.command("check")
def check(context: typer.Context, json: Json = False) -> None:
    """Look for damage. Exits with 1 when there is some."""
    from calhub.hub import backup

    problems = backup.check(session(context).home)

    def render() -> None:
        print("\n".join(problems) or "The database is sound.")

    emit({"ok": not problems, "problems": problems}, json, render)
    if problems:
        raise typer.Exit(FAILED)


@app.command("migrate")
def migrate(context: typer.Context, json: Json = False) -> None:
    """Bring the database to the schema of this version. Every command does so itself; a backup is made before."""
    from calhub.hub.migrate import HEAD, ensure_current, version

    home = session(context).home
    path = home / "hub.db"
    before = version(path)
    if before is None:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    ensure_current(path)
    message = f"The schema is {HEAD} already." if before == HEAD else f"The schema is {HEAD} now."
    emit({"before": before, "version": HEAD}, json, lambda: note(message))


@app.command("backup")
def backup_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; replaced if it is there.")],
    json: Json = False,
) -> None:
    """Write a consistent copy, also while a sync is under way. Secrets in it are sealed as they are in the hub."""
    from calhub.hub import backup

    if file.is_dir():
        raise usage(f"{file} is a folder.", "Name a file.")
    backup.backup(session(context).home, file)
    size = file.stat().st_size
    emit({"file": str(file), "bytes": size}, json, lambda: note(f"{size} bytes are in {file}."))


@app.command("restore")
def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup.")],
    json: Json = False,
) -> None:
    """Make a backup the hub again. The present database is kept in the backups folder.

    Afterwards each replica reads its remote anew: what the backup does not know of was not deleted.
    """
    from calhub.hub import audit, backup

    here = session(context)
    home = here.home
    if not file.is_file():
        raise usage(f"There is no file {file}.", f"Backups are in {home / 'backups'}.")
    replaced = backup.restore(home, file)
    with here.hub() as hub, hub.transaction() as conn:
        audit.note(conn, "database restored", file=str(file))
    document = {"file": str(file), "replaced": None if replaced is None else str(replaced)}
    kept = "" if replaced is None else f" The one before is {replaced}."
    emit(document, json, lambda: note(f"{file} is the hub now.{kept} Next: calhub sync"))
