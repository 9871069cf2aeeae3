"""How an installation fares: accounts, database, scheduler, channels, disk, and one number for all of it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import Any, Final

from calhub.hub import accounts, channels, endpoints, modes, runs
from calhub.hub.accounts import Account
from calhub.hub.database import Hub
from calhub.hub.errors import HubError
from calhub.hub.sql import Connection
from calhub.providers.base import ProviderError
from calhub.sync.channels import to_be_verified
from calhub.sync.connect import HubVault

#: A replica whose last success is older counts as stale; or than three times its account's interval, if that is longer.
STALE_SECONDS: Final = 3600.0
#: An engine that has not been heard of for so long hangs.
SILENT_SECONDS: Final = 30.0
#: Less free space counts as a full disk.
FREE_BYTES: Final = 100 * 1024**2

_UNTIL: Final = "access_until"  # of an account's secrets: when its access token ends; see providers/oauth.py


def report(hub: Hub, load: Mapping[str, Any] | None, *, secrets: bool = False) -> dict[str, Any]:
    """``{"status", "score", "accounts", "database", "scheduler", "channels", "webhooks", "disk", "dry_run"}``.

    ``load`` is what the daemon says of its engine, None without one. A database that cannot be read is reported, too.
    With ``secrets`` a channel that waits for it also has its ``verification_token``.
    """
    database = _database(hub)
    parts: dict[str, Any] = {"accounts": [], "channels": [], "webhooks": [], "dry_run": None}
    if database["ok"]:
        with hub.read() as conn:
            parts["accounts"] = [_account(hub, conn, each) for each in accounts.accounts(conn)]
            tokens = to_be_verified(hub, conn) if secrets else {}
            parts["channels"] = [_channel(conn, each, tokens) for each in channels.channels(conn)]
            parts["webhooks"] = [endpoints.shape(conn, each) for each in endpoints.endpoints(conn)]
            parts["dry_run"] = modes.dry_run_since(conn)
    usage = shutil.disk_usage(hub.home)
    scheduler = None if load is None else {**load, "ok": load["silent"] <= SILENT_SECONDS}
    disk = {"ok": usage.free >= FREE_BYTES, "free_bytes": usage.free, "total_bytes": usage.total}
    total = score([each["score"] for each in parts["accounts"]], database["ok"], bool(disk["ok"]), scheduler)
    word = "ok" if total == 1 else "degraded" if total >= 0.5 else "failing"
    return {"status": word, "score": total, "database": database, "scheduler": scheduler, "disk": disk, **parts}


def score(of_accounts: Sequence[float], database: bool, disk: bool, scheduler: Mapping[str, Any] | None) -> float:
    """From 0 to 1: the mean of the accounts; half of it without space or scheduler, nothing without a database."""
    mean = sum(of_accounts) / len(of_accounts) if of_accounts else 1.0
    halves = (not disk) + (scheduler is not None and not scheduler["ok"])
    return round(mean / 2**halves, 3) if database else 0.0


def account_score(state: str, breaker: str, stale: bool) -> float:
    """One account: 0 where nothing can be done with it, 0.5 where it fails or has not been synced for long."""
    if state == "needs_login" or breaker == "open":
        return 0.0
    return 0.5 if state == "failing" or breaker == "half_open" or stale else 1.0


def _account(hub: Hub, conn: Connection, of: Account) -> dict[str, Any]:
    shape = runs.account_shape(conn, of)
    mine = [each for each in accounts.replicas(conn, account_id=of.id) if each.state != "paused"]
    successes = [each.last_success for each in mine if each.last_success is not None]
    oldest = min(successes, default=None) if len(successes) == len(mine) else None
    age = runs.age(oldest, hub.clock())
    stale = bool(mine) and (age is None or age > max(STALE_SECONDS, 3.0 * of.schedule.interval))
    return {
        "name": of.name,
        "provider": of.provider,
        "state": of.state,
        "error": shape["error"],
        "signed_in": of.state != "needs_login",
        "token_until": _token_until(hub, conn, of),
        "last_success": max(successes, default=None),
        "freshness_seconds": age,
        "stale": stale,
        "breaker": shape["breaker"],
        "score": account_score(of.state, shape["breaker"]["state"], stale),
    }


def _token_until(hub: Hub, conn: Connection, of: Account) -> str | None:
    """When the access token ends, after which it is renewed; None for an account that has no such token."""
    if _UNTIL not in accounts.sealed_secrets(conn, of.id):
        return None
    try:
        return HubVault(hub, of).load().get(_UNTIL) or None
    except ProviderError:  # sealed with a key that is gone: the account's state says so after its next pass
        return None


def _channel(conn: Connection, of: channels.Channel, tokens: Mapping[int, str]) -> dict[str, Any]:
    shape = {
        "account": accounts.account(conn, of.account_id).name, "replica": of.replica_id, "state": of.state,
        "expires": of.expires, "error": of.error,
    }  # fmt: skip
    return shape | ({"verification_token": tokens[of.id]} if of.id in tokens else {})


def _database(hub: Hub) -> dict[str, Any]:
    try:
        hub.ensure_sound()
        return {"ok": True, "problem": None, "bytes": hub.path.stat().st_size}
    except (HubError, OSError) as error:
        return {"ok": False, "problem": getattr(error, "message", str(error)), "bytes": None}
