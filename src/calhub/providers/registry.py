"""The kinds of providers, and how to connect to one.

A provider is a module with ``connect(settings, vault) -> Provider`` that raises a `ProviderError` with trait FATAL
for bad settings and does not talk to the service. It is imported only when an account of its kind is used, so that a
command pays for no service it does not need.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Final

from calhub.ops import samples
from calhub.providers.base import Provider, ProviderError, Trait
from calhub.providers.layers import Retry
from calhub.providers.vault import Vault

_MODULES: Final = {
    "google": "calhub.providers.google",
    "microsoft": "calhub.providers.microsoft",
    "notion": "calhub.providers.notion",
    "caldav": "calhub.providers.caldav",
    "folder": "calhub.providers.folder",
    "feed": "calhub.providers.feed",
}

#: The kinds an account can have, in the order in which they are offered.
KINDS: Final = tuple(_MODULES)


def connect(kind: str, settings: Mapping[str, str], vault: Vault) -> Provider:
    """The provider of an account, with passing failures retried.

    ``settings`` are those of the account, its secrets are in ``vault``; which keys there are is up to the kind. Raises
    `ProviderError` with trait FATAL for an unknown kind or bad settings, LOGIN for secrets that cannot be opened; the
    service itself is first asked by `Provider.discover`.
    """
    if kind not in _MODULES:
        raise ProviderError(f"There is no provider {kind!r}.", f"Use one of: {', '.join(KINDS)}.", Trait.FATAL)
    module = import_module(_MODULES[kind])
    token = samples.kind.set(kind)
    try:
        provider: Provider = module.connect(settings, vault)
    finally:
        samples.kind.reset(token)
    return Retry(provider)


def place(kind: str, settings: Mapping[str, str], calendar: str) -> Path | None:
    """The folder whose files are the items of a remote calendar, where the kind keeps them so: it can be watched."""
    module = import_module(_MODULES[kind])
    return module.place(settings, calendar) if hasattr(module, "place") else None
