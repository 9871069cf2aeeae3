"""``doctor`` and ``status``: how everything fares, and what to do about it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import typer

from calhub.cli.context import Session, session
from calhub.cli.failures import FAILED
from calhub.cli.output import Json, emit, styled, table

if TYPE_CHECKING:
    from calhub.hub.database import Hub

Shape = dict[str, Any]

_LOW_SPACE: Final = 200 * 1024 * 1024


def status(context: typer.Context, json: Json = False) -> None:
    """Accounts, replicas and what waits, at a glance; asks no service."""
    from calhub.hub import runs

    with session(context).hub() as hub, hub.read() as conn:
        found = runs.status(conn)
    emit(found, json, lambda: _print_status(found))


def _print_status(found: Shape) -> None:
    accounts = [(each["name"], each["provider"], each["state"], each["error"]) for each in found["accounts"]]
    table(("Account", "Provider", "State", "Error"), accounts, empty="No account yet: calhub account add PROVIDER NAME")
    replicas = [
        (
            each["id"],
            each["calendar"],
            each["account"],
            each["direction"],
            each["state"],
            each["pending"],
            each["error"],
        )
        for each in found["replicas"]
    ]
    if replicas:
        print()
        columns = ("Replica", "Calendar", "Account", "Direction", "State", "Pending", "Error")
        table(columns, replicas, empty="")
    if found["failures"]:
        print()
        failed = [
            (each["replica"], each["uid"], each["attempts"], each["next_try"] or "given up", each["error"])
            for each in found["failures"]
        ]
        table(("Replica", "Event", "Tries", "Next try", "Error"), failed, empty="")
    waiting = [
        f"{found[name]} {text}"
        for name, text in (
            ("pending", "changes to push: calhub sync"),
            ("conflicts", "open conflicts: calhub conflict list"),
            ("holds", "holds: calhub hold list"),
            ("dead_letters", "writes given up: calhub why UID"),
            ("quarantined", "items that cannot be read: calhub quarantine list"),
        )
        if found[name]
    ]
    waiting += [_webhook(each) for each in found["webhooks"]["disabled"]]
    if found["webhooks"]["dead"]:
        waiting.append(f"{found['webhooks']['dead']} messages given up: calhub webhook messages --state dead")
    print("\n" + ("\n".join(waiting) or "Nothing waits."))


def _webhook(disabled: Shape) -> str:
    return f"Webhook {disabled['id']} is disabled. {disabled['reason']}"


def doctor(context: typer.Context, json: Json = False) -> None:
    """Check the home, the database, the secrets and every account, and say what to do. Exits with 1 on a problem."""
    checks = list(_checks(session(context)))
    ok = all(check["ok"] for check in checks)
    emit({"ok": ok, "checks": checks}, json, lambda: _print_checks(checks))
    if not ok:
        raise typer.Exit(FAILED)


def _check(name: str, problem: str | None, hint: str = "", *, fine: str = "fine") -> Shape:
    return {"name": name, "ok": problem is None, "message": problem or fine, "hint": hint if problem else ""}


def _checks(here: Session) -> Iterator[Shape]:
    from calhub.hub.errors import HubError

    yield _home(here)
    yield _space(here)
    try:
        yield _database(here)
        with here.hub() as hub:
            yield from _accounts(here, hub)
            yield from _waiting(hub)
    except HubError as error:
        yield _check("database", error.message, error.hint)


def _home(here: Session) -> Shape:
    home = here.home
    if not home.exists():
        return _check("home", None, fine=f"{home} is made by the first command that needs it")
    if not os.access(home, os.W_OK | os.X_OK):
        return _check("home", f"{home} cannot be written to.", "Check its permissions, or choose another --home.")
    key = home / "key"
    if key.exists() and key.stat().st_mode & 0o077:
        return _check("home", "The key file can be read by others.", f"Run: chmod 600 {key}")
    return _check("home", None, fine=str(home))


def _space(here: Session) -> Shape:
    place = here.home
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < _LOW_SPACE:
        return _check("disk", f"Only {free // 1024**2} MB are free at {place}.", "Free some space.")
    return _check("disk", None, fine=f"{free // 1024**2} MB free")


def _database(here: Session) -> Shape:
    from calhub.hub import backup

    if not (here.home / "hub.db").exists():
        return _check("database", None, fine="not there yet")
    problems = backup.check(here.home)
    hint = "Restore the newest backup: calhub db restore FILE"
    return _check("database", problems[0] if problems else None, hint, fine="sound")


def _accounts(here: Session, hub: Hub) -> Iterator[Shape]:
    from calhub.hub import accounts
    from calhub.sync.accounts import probe

    with hub.read() as conn:
        found = accounts.accounts(conn)
    for account in found:
        error = probe(hub, here.connector(hub), account)
        hint = (error.hint if error else "") or f"Try: calhub account login {account.name}"
        yield _check(f"account {account.name}", error.message if error else None, hint, fine="signed in")


def _waiting(hub: Hub) -> Iterator[Shape]:
    from calhub.hub import runs

    with hub.read() as conn:
        found = runs.status(conn)
    lost = f"{found['dead_letters']} writes were given up." if found["dead_letters"] else None
    waiting = ", ".join(f"{found[name]} {name}" for name in ("conflicts", "holds", "quarantined") if found[name])
    fine = f"waiting for you: {waiting}" if waiting else "none given up"
    yield _check("writes", lost, "See: calhub status, calhub why UID", fine=fine)
    for each in found["webhooks"]["disabled"]:
        yield _check(f"webhook {each['id']}", _webhook(each), f"Then: calhub webhook enable {each['id']}")


def _print_checks(checks: list[Shape]) -> None:
    for check in checks:
        mark = styled("ok  ", "green") if check["ok"] else styled("FAIL", "red", "bold")
        print(f"{mark}  {check['name']}: {check['message']}")
        if check["hint"]:
            print(f"      {check['hint']}")
