"""Alerts: what somebody should see to, told once to the Apprise addresses of the setting ``alert_urls``.

What is told is kept in the database, so that the daemon and commands from cron together tell it once: again only when
it has been over in between, or after a day. Alerts name accounts and numbers, never what is in an event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from calhub.hub import runs, sql
from calhub.hub.database import Hub, instant
from calhub.hub.jsontext import dumps, loads
from calhub.hub.sql import Connection

#: A share of failed passes above this is too much, of at least so many in the last hour.
FAILURE_RATE: Final = 0.1
FEWEST_PASSES: Final = 5
#: What is still so after this time is told again.
REMIND_AFTER: Final = timedelta(days=1)

_TOLD: Final = "alerts"  # of meta: JSON {key: when it was told}


@dataclass(frozen=True)
class Alert:
    """``key`` says what it is about: two alerts of one key are the same."""

    key: str
    text: str


def conditions(status: Mapping[str, Any], trend: Mapping[str, Any], slow_seconds: float) -> list[Alert]:
    """What is wrong now, by `runs.status` and the `runs.trend` of the last hour."""
    found = []
    for account in status["accounts"]:
        name = account["name"]
        if account["state"] == "needs_login":
            found.append(Alert(f"login {name}", f"{name}: sign in again with: calhub account login {name}"))
        elif account["breaker"]["state"] == "open":
            found.append(Alert(f"breaker {name}", f"{name} keeps failing and is left alone for a while."))
    rate = trend["success_rate"]
    if trend["passes"] >= FEWEST_PASSES and 1 - rate > FAILURE_RATE:
        found.append(Alert("failures", f"{1 - rate:.0%} of {trend['passes']} passes in the last hour failed."))
    slowest = max((hour["mean_ms"] / 1000 for hour in trend["hours"]), default=0.0)
    if slowest > slow_seconds:
        found.append(Alert("slow", f"Passes take {slowest:.0f} s on average."))
    for webhook in status["webhooks"]["disabled"]:
        found.append(Alert(f"webhook {webhook['id']}", f"Webhook {webhook['id']} is disabled. {webhook['reason']}"))
    for key, command in (("holds", "hold"), ("conflicts", "conflict")):
        if status[key]:
            found.append(Alert(key, f"Waiting for a person: {status[key]} {key}. See: calhub {command} list"))
    return found


def decide(found: Iterable[Alert], told: Mapping[str, str], now: datetime) -> tuple[list[Alert], dict[str, str]]:
    """Which alerts to send now, and what has been told then. ``told`` has instants as the hub spells them."""
    again = instant(now - REMIND_AFTER)
    due, kept = [], {}
    for each in found:
        known = told.get(each.key, "")
        if known <= again:
            due.append(each)
        kept[each.key] = known if known > again else instant(now)
    return due, kept


def check(hub: Hub, urls: Sequence[str], slow_seconds: float) -> list[Alert]:
    """Look, and tell what is new. Returns the alerts sent; what could not be sent is tried again by the next call."""
    now = hub.clock()
    with hub.transaction() as conn:
        found = conditions(runs.status(conn), runs.trend(conn, now, hours=1), slow_seconds)
        due, kept = decide(found, _told(conn), now)
        _remember(conn, kept)  # before they are sent: another process does not send them, too
    if not due or send(urls, due):
        return due
    with hub.transaction() as conn:
        failed = {each.key for each in due}
        _remember(conn, {key: at for key, at in _told(conn).items() if key not in failed})
    return []


def send(urls: Sequence[str], alerts: Sequence[Alert]) -> bool:
    """Send all in one message. False where an address did not take it, or is none."""
    from apprise import Apprise

    sender = Apprise()
    valid = [sender.add(url) for url in urls]
    body = "\n".join(each.text for each in alerts)
    return all(valid) and bool(sender.notify(title="calhub", body=body))


def _told(conn: Connection) -> dict[str, str]:
    text = sql.value(conn, "SELECT value FROM meta WHERE key = ?", (_TOLD,))
    told: dict[str, str] = {} if text is None else loads(text)
    return told


def _remember(conn: Connection, told: Mapping[str, str]) -> None:
    if told != _told(conn):
        conn.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (_TOLD, dumps(told)))
