"""What the engine goes by."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

#: As many passes at once as any setting may ask for.
MOST_AT_ONCE: Final = 200


@dataclass(frozen=True, kw_only=True)
class Settings:
    """``public_url`` is empty where no service can reach us. History stays for the last ``keep_runs`` runs of each
    replica, and for ``keep_days`` days. All of it may change while the daemon runs, but for the log.
    """

    public_url: str = ""
    at_once: int = 50
    keep_runs: int = 100
    keep_days: int = 30
    log_level: str = "info"
    log_format: str = "json"

    def as_dict(self) -> dict[str, Any]:
        """For `Settings(**...)` at the other end of a line."""
        return asdict(self)
