"""When the clock is put back, what waits by it waits no longer than before."""

from __future__ import annotations

from calhub.hub import endpoints, messages
from calhub.hub.database import Hub
from calhub.hub.waits import bring_forward


def test_messages_do_not_wait_for_the_same_hour_twice(hub: Hub) -> None:
    """A message that could go out can still, and one whose address is left alone for a while waits for just that."""
    with hub.transaction() as conn:
        made = endpoints.add(conn, hub.home, "https://example.org/", None, public_only=False, now=hub.now())
        conn.execute(
            "INSERT INTO message (id, endpoint_id, type, body, state, attempts, next_try, created) "
            "VALUES ('m', ?, 'ping', '{}', 'pending', 0, '2026-11-21T11:00:00.000Z', '2026-11-21T11:00:00.000Z')",
            (made["id"],),
        )
        bring_forward(conn, 3600.25)
        assert messages.next_due(conn, ()) == "2026-11-21T09:59:59.750Z"
        conn.execute("UPDATE endpoint SET rests_until = '2026-11-21T11:05:00.000Z'")
        bring_forward(conn, 3600)
        assert messages.next_due(conn, ()) == "2026-11-21T10:05:00.000Z"
