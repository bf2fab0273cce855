"""How old is that, in words; and how often is `daily`? (pure)"""

from __future__ import annotations

from datetime import UTC, datetime

from sre.core.units import Duration

__all__ = ["LATE", "moment", "rhythm", "span"]

LATE = 1.1
"""A daily job may start a little later than the day before: a tenth is allowed."""

_DAY = 86400.0
_RHYTHMS = {"hourly": 3600.0, "daily": _DAY, "weekly": 7 * _DAY, "monthly": 31 * _DAY}
_UNITS = ((int(_DAY), "d"), (3600, "h"), (60, "m"), (1, "s"))


def span(seconds: float) -> str:
    """The two largest units: `3d 4h`, `1d`, `15m`, `0s`."""
    left, parts = max(0, int(seconds)), []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0s"


def rhythm(text: str | None) -> float | None:
    """Seconds between two of them; None when it is not said, or said in a way we do not know."""
    if text is None or text in _RHYTHMS:
        return _RHYTHMS.get(text or "")
    try:
        return float(Duration.parse(text))
    except ValueError:
        return None


def moment(text: str | None) -> float | None:
    """The Unix time of an ISO date or time, in UTC unless it says otherwise."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
