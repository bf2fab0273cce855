"""Where does the toolkit's own talk go? To stderr, as text or JSON, secrets masked."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TextIO

from sre.core.masking import masked
from sre.core.secrets import redactor

__all__ = ["setup"]

_CHATTY = ("pymongo",)
"""Libraries whose debug log hides ours."""
_OWN = "sre"
_ISO = "%Y-%m-%dT%H:%M:%SZ"
_PLAIN = set(logging.LogRecord("", 0, "", 0, "", None, None).__dict__) | {"message", "asctime"}


def setup(level: str = "warning", format: str = "text", stream: TextIO | None = None) -> None:  # noqa: A002  the option's name
    """Send all logging to stderr. May be called again; the last call wins.

    `level` is for our own loggers; other libraries speak from WARNING on (from `level` if that
    is higher, from DEBUG on only with `debug`).
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Json() if format == "json" else _Text())
    number = getattr(logging, level.upper())
    root = logging.getLogger()
    for old in [old for old in root.handlers if getattr(old, "_sre", False)]:
        root.removeHandler(old)
    handler._sre = True  # type: ignore[attr-defined]  # noqa: SLF001  ours to find again
    root.addHandler(handler)
    root.setLevel(number if number == logging.DEBUG else max(number, logging.WARNING))
    logging.getLogger(_OWN).setLevel(number)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(number, logging.INFO))
    logging.captureWarnings(capture=True)


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in record.__dict__.items() if key not in _PLAIN}


class _Text(logging.Formatter):
    """`2026-11-22T10:00:00Z WARNING sre.probes: message key=value`, traceback below."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", _ISO)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        return time.strftime(datefmt or _ISO, time.gmtime(record.created))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        extra = "".join(f" {key}={value}" for key, value in _extra(record).items())
        return super().formatMessage(record) + extra

    def format(self, record: logging.LogRecord) -> str:
        return redactor.mask(super().format(record))


class _Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": time.strftime(_ISO, time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(masked(entry))
