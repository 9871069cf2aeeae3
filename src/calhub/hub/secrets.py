"""Secrets at rest: sealed in the operating system's keychain where there is a real one, else with AES-GCM.

What `seal` returns is safe to store beside other data: a reference into the keychain (``keyring:...``), or the value
encrypted (``aesgcm:`` + base64 of nonce and ciphertext). The encryption is bound to account and name, so a sealed value
copied to another row does not open. The key is, in this order: ``CALHUB_KEY`` (32 bytes in base64 or hex; when set, the
keychain is not used), the file ``key`` in the home (made on first use, readable by its owner only).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from calhub.hub.errors import HubError

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

_KEY_VARIABLE: Final = "CALHUB_KEY"
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_SERVICE: Final = "calhub"


def seal(home: Path, account_name: str, name: str, value: str) -> str:
    """Keep a secret and return what to store in its place; sealing again replaces it.

    Raises `HubError` when the key cannot be read or made.
    """
    backend = _keychain()
    if backend is not None:
        from keyring.errors import KeyringError

        reference = hashlib.sha256(os.fsencode(home.absolute())).hexdigest()[:16]
        try:
            backend.set_password(_SERVICE, _entry(reference, account_name, name), value)
        except KeyringError:
            pass  # locked or refused: the key file does as well
        else:
            return f"keyring:{reference}"
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE_BYTES)
    box = AESGCM(_key(home, create=True)).encrypt(nonce, value.encode(), _bound_to(account_name, name))
    return "aesgcm:" + base64.b64encode(nonce + box).decode()


def unseal(home: Path, account_name: str, name: str, sealed: str) -> str:
    """The secret that was sealed for this account under this name.

    Raises `HubError` when it is not there any more, was sealed with another key or for somebody else, or was altered.
    """
    kind, _, rest = sealed.partition(":")
    value = None
    if kind == "keyring":
        value = _from_keychain(_entry(rest, account_name, name))
    elif kind == "aesgcm":
        value = _decrypted(_key(home, create=False), rest, _bound_to(account_name, name))
    if value is None:
        raise HubError(
            f'The {name} of the account "{account_name}" cannot be opened.',
            f"If {_KEY_VARIABLE} or the file {home / 'key'} was changed, put it back; otherwise sign in again with "
            f'`calhub account login "{account_name}"`.',
        )
    return value


def forget(home: Path, account_name: str, name: str, sealed: str) -> None:  # noqa: ARG001 - the same arguments as unseal
    """Remove what `seal` kept outside the database; nothing to do for encrypted values. Idempotent."""
    kind, _, rest = sealed.partition(":")
    if kind != "keyring":
        return
    from keyring.errors import KeyringError

    backend = _keychain()
    entry = _entry(rest, account_name, name)
    if backend is None or _from_keychain(entry) is None:
        return
    try:
        backend.delete_password(_SERVICE, entry)
    except KeyringError as error:
        message = f'The {name} of the account "{account_name}" could not be removed from the keychain.'
        raise HubError(message, "Remove it there by hand.") from error


def _entry(reference: str, account_name: str, name: str) -> str:
    return f"{reference}/{account_name}/{name}"


def _bound_to(account_name: str, name: str) -> bytes:
    # The length keeps ("a", "b/c") and ("a/b", "c") apart.
    return f"calhub/{len(account_name)}/{account_name}/{name}".encode()


def _keychain() -> KeyringBackend | None:
    """The keychain, if it is a real one: not a plain-text file, a dummy, or one that always fails."""
    if os.environ.get(_KEY_VARIABLE):
        return None
    import keyring
    from keyring.errors import KeyringError

    try:
        backend = keyring.get_keyring()
        return backend if backend.priority > 1 and _is_real(backend) else None
    except (KeyringError, RuntimeError):  # a backend that finds out only now that it cannot work here
        return None


def _is_real(backend: KeyringBackend) -> bool:
    module = type(backend).__module__.lower()
    return not any(word in f"{module}.{type(backend).__name__.lower()}" for word in ("fail", "null", "plaintext"))


def _from_keychain(entry: str) -> str | None:
    import keyring
    from keyring.errors import KeyringError

    try:
        return keyring.get_keyring().get_password(_SERVICE, entry)
    except (KeyringError, RuntimeError):
        return None


def _decrypted(key: bytes, text: str, bound_to: bytes) -> str | None:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        box = base64.b64decode(text, validate=True)
        return AESGCM(key).decrypt(box[:_NONCE_BYTES], box[_NONCE_BYTES:], bound_to).decode()
    except (InvalidTag, ValueError):  # too short, no base64, altered, or another key
        return None


def _key(home: Path, *, create: bool) -> bytes:
    given = os.environ.get(_KEY_VARIABLE)
    if given:
        return _key_from(given.strip(), f"The variable {_KEY_VARIABLE}")
    path = home / "key"
    try:
        if create and not path.exists():
            _make_key(path)
        return _key_from(path.read_text("ascii").strip(), f"The file {path}")
    except FileNotFoundError as error:
        hint = f"Put the file back (or set {_KEY_VARIABLE}), or sign in to the accounts again."
        raise HubError(f"The key file {path} is missing.", hint) from error
    except (OSError, UnicodeDecodeError) as error:
        raise HubError(f"The key file {path} cannot be used.", "Check that it belongs to you.") from error


def _make_key(path: Path) -> None:
    """Create the key file whole or not at all, and never replace one: whoever is first has made the key."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".key.{os.getpid()}.{os.urandom(4).hex()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(base64.b64encode(os.urandom(_KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)  # unlike a rename, refuses when the name is taken
        except FileExistsError:
            return
    finally:
        temporary.unlink()


def _key_from(text: str, source: str) -> bytes:
    for decode in (
        bytes.fromhex,
        lambda spelled: base64.b64decode(spelled, altchars=b"-_", validate=True),
        base64.b64decode,
    ):
        try:
            key = decode(text)
        except (ValueError, binascii.Error):
            continue
        if len(key) == _KEY_BYTES:
            return key
    raise HubError(
        f"{source} does not hold a key.",
        f"A key is {_KEY_BYTES} random bytes in base64, such as `openssl rand -base64 {_KEY_BYTES}` prints.",
    )
