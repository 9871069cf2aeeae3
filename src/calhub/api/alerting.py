"""While the server runs, it looks every minute whether somebody should be told something."""

from __future__ import annotations

import asyncio
from typing import Final

from anyio import to_thread

from calhub.api.surroundings import Surroundings
from calhub.health import alerts
from calhub.ops import log

EVERY_SECONDS: Final = 60.0


async def keep_telling(here: Surroundings) -> None:
    """Until cancelled. Whom to tell is what the settings say at that time."""
    while True:
        try:
            if urls := here.setting("alert_urls").split():
                await to_thread.run_sync(alerts.check, here.hub, urls, here.number("alert_slow_seconds"))
        except Exception as error:  # noqa: BLE001 - alerts that fail now must not end those to come
            log.record(error, "alerts")
        await asyncio.sleep(EVERY_SECONDS)
