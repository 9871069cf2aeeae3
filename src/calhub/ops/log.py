"""The log: lines in ``home/log/calhub.log``. Says what was done, never what is in an event, never a secret.

Entries of one pass have its ``run``, those of one request to the API its ``request`` (`calhub.ops.trace`).
"""

from __future__ import annotations

import fcntl
import os
import re
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger, Processor

from calhub.ops import telemetry, trace

LEVELS: Final = ("debug", "info", "warning", "error")

#: Parts of key names whose values must not be written.
_SECRET_WORDS: Final = ("password", "token", "authorization", "secret", "cookie", "credential", "api_key", "sealed")

#: Keys that carry what people wrote into their calendars.
_PRIVATE_KEYS: Final = frozenset(
    {
        "title", "summary", "description", "location", "content", "raw", "text", "body", "before", "after", "fields",
        "attendees", "organizer", "attachments", "conferences", "query", "settings",
    }
)  # fmt: skip

#: User names and passwords inside addresses, secret addresses' query strings, and headers, in messages and tracebacks.
_IN_TEXT: Final = (
    (re.compile(r"(?<=://)[^/@\s]+@"), ""),
    (re.compile(r"(?<=\S)\?[^\s\"'<>]*=[^\s\"'<>]*"), "?..."),
    (re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9+/._~=-]{6,}"), r"\1 ..."),
)

#: A log that has grown to this is set aside as ``calhub.log.1``.
_ROTATE_BYTES: Final = 10_000_000

_file: _File | None = None


def configure(home: Path, *, level: str | None = None, pretty: bool | None = None) -> None:
    """Send the log to ``home/log/calhub.log``, readable by its owner only; to standard error where that cannot be.

    ``level`` and ``pretty`` (for people, else JSON) are by default as the environment says: ``CALHUB_LOG_LEVEL`` and
    ``CALHUB_LOG_FORMAT``; an unknown level is ``info``. May be called again, for another home or level. Every entry
    passes `without_secrets`.
    """
    global _file
    close()
    try:
        _file = _File(home / "log" / "calhub.log")
    except OSError:
        _file = None
    level = level or os.environ.get("CALHUB_LOG_LEVEL", "")
    pretty = os.environ.get("CALHUB_LOG_FORMAT") == "pretty" if pretty is None else pretty
    structlog.configure(
        processors=[*_PROCESSORS, _PRETTY if pretty else _JSON],
        wrapper_class=structlog.make_filtering_bound_logger(level if level in LEVELS else "info"),
        logger_factory=_to_stderr if _file is None else structlog.WriteLoggerFactory(file=cast(TextIO, _file)),
        cache_logger_on_first_use=False,
    )
    if _logged not in trace.listeners:
        trace.listeners.append(_logged)
    try:
        telemetry.start()
    except ImportError:
        get("ops").warning("OpenTelemetry is not installed: pip install 'calhub[otel]'")


def close() -> None:
    """Close the log file. Loggers made before must not be used until `configure` was called again."""
    global _file
    if _file is not None:
        _file.close()
    _file = None
    if _logged in trace.listeners:
        trace.listeners.remove(_logged)


@contextmanager
def _logged(name: str, facts: trace.Facts) -> Iterator[None]:
    """Entries meanwhile have what is known of the span at its beginning; its end is an entry of its own."""
    began = time.perf_counter()
    with structlog.contextvars.bound_contextvars(**facts):
        try:
            yield
        finally:
            logger = get("trace").bind(**{"ms": round((time.perf_counter() - began) * 1000), **facts})
            failed, told = facts.get("status") == "failed", bool(facts.get("changes"))
            (logger.warning if failed else logger.info if told else logger.debug)(name)


def get(room: str) -> FilteringBoundLogger:
    """The logger of one room of the program, such as ``sync``; named in each of its entries.

    Where nobody has configured the log, as in most commands, warnings go to standard error.
    """
    if not structlog.is_configured():
        level = structlog.make_filtering_bound_logger("warning")
        structlog.configure([*_PROCESSORS, _PRETTY], wrapper_class=level, logger_factory=_to_stderr)
    return cast(FilteringBoundLogger, structlog.get_logger(room=room))


def record(error: BaseException, room: str) -> None:
    """Log where an error arose: kinds and places in the code. Its message stays out: it may quote an event."""
    chain: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        chain.append(f"{type(cause).__module__}.{type(cause).__qualname__}")
        chain += [
            f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(cause.__traceback__)
        ]
        cause = cause.__cause__ or cause.__context__
    get(room).error("unexpected error", trace=chain)


def without_secrets(_logger: object, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop keys that hold secrets or event contents, at any depth, and secrets inside other texts."""
    return cast(MutableMapping[str, Any], _clean(entry))


def _clean(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _clean(inner) for key, inner in value.items() if not _is_private(str(key))}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(inner) for inner in value]
    if isinstance(value, str | BaseException | Path):
        text = str(value)
        for pattern, replacement in _IN_TEXT:
            text = pattern.sub(replacement, text)
        return text
    return value


def _is_private(key: str) -> bool:
    key = key.lower().replace("-", "_")
    return key in _PRIVATE_KEYS or any(word in key for word in _SECRET_WORDS)


_JSON: Final = structlog.processors.JSONRenderer(sort_keys=True, ensure_ascii=False)
_PRETTY: Final = structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)

_PROCESSORS: Final[tuple[Processor, ...]] = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    without_secrets,
)


def _to_stderr(*_: object) -> structlog.PrintLogger:
    """Standard error as it is at that time."""
    return structlog.PrintLogger(sys.stderr)


class _File:
    """Appends whole lines, so that several processes may write to the one file. Raises OSError where it cannot be.

    Grown too big it is set aside, by whoever notices first; the others find that theirs is not there any more.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._handle = self._open()

    def write(self, line: str) -> None:
        """Append, in one call; called by one thread at a time (`structlog.WriteLogger`).

        What the file does not take, on a full disk for one, is dropped. Nothing may fail because it could not be told.
        """
        with suppress(OSError):
            if not self._is_there() or os.fstat(self._handle).st_size > _ROTATE_BYTES:
                self._change()
            os.write(self._handle, line.encode("utf-8", "backslashreplace"))

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """What is written afterwards is dropped: the number may soon stand for another file."""
        handle, self._handle = self._handle, -1
        os.close(handle)

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._handle))
        except OSError:
            return False

    def _change(self) -> None:
        """Go on in a new file; in the old one where that cannot be."""
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX)  # released when it is closed
            if self._is_there():
                self._path.replace(self._path.with_name(self._path.name + ".1"))
            fresh = self._open()
        except OSError:
            return
        os.close(self._handle)
        self._handle = fresh

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
