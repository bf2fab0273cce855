"""How does the status page say a reason, a moment, a duration or a share? (pure)

All times are UTC. A reason is from the bounded set; what it says about the cause ends there.
"""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction

__all__ = ["iso", "lasting", "latency", "moment", "note", "share", "times", "upper", "why"]

_REASONS = {
    "dns": "the name could not be resolved",
    "connect": "no connection",
    "tls": "the TLS handshake failed",
    "timeout": "no answer in time",
    "status": "unexpected status",
    "header": "unexpected header",
    "body": "unexpected content",
    "extract": "something was missing from the page",
    "slow": "slower than its limit",
    "protocol": "the answer broke the protocol",
}
_NOTES = {
    "refused": "the last run was refused by the shop (out of stock, say)",
    "throttled": "the last run was throttled (429)",
    "blocked": "the last run was blocked by the allow-list",
    "prober": "the last run failed on our side; see the log",
}


def why(step: str, reason: str, status: int | None) -> str:
    """`payment: unexpected status 500`, from the bounded reason."""
    words = _REASONS.get(reason, reason)
    if reason == "status" and status is not None:
        words = f"{words} {status}"
    return f"{step}: {words}" if step and words else words


def note(outcome: str) -> str:
    """Why the last run has no verdict."""
    return _NOTES.get(outcome, outcome)


def moment(at: float, now: float) -> str:
    """`03:12` today, `21 Nov 03:12` before, with the year in another year."""
    then, today = _utc(at), _utc(now)
    if then.date() == today.date():
        return f"{then:%H:%M}"
    year = "" if then.year == today.year else f" {then.year}"
    return f"{then.day} {then:%b}{year} {then:%H:%M}"


def iso(at: float) -> str:
    """`2026-11-22T03:12:05Z`."""
    return f"{_utc(at):%Y-%m-%dT%H:%M:%SZ}"


def lasting(seconds: float) -> str:
    """`less than a minute`, `12 min`, `3 h 5 min`, `4 days`."""
    minutes = int(max(0.0, seconds) // 60)
    hours, minutes_left = divmod(minutes, 60)
    if minutes < 1:
        return "less than a minute"
    if hours < 1:
        return f"{minutes} min"
    if hours < 48:
        return f"{hours} h" + (f" {minutes_left} min" if minutes_left else "")
    return f"{hours // 24} days"


def latency(seconds: float | None) -> str:
    """`0.4 ms`, `34 ms`, `1.25 s`, `12.5 s`, `3 min`."""
    if seconds is None:
        return "–"
    if seconds >= 120:
        return lasting(seconds)
    if seconds >= 1:
        return f"{seconds:.1f} s" if seconds >= 10 else f"{seconds:.2f} s"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"


def share(value: Fraction | float | None, digits: int = 0) -> str:
    """`78%`, `99.95%`; never 100% when something is missing, nor 0% when something is left."""
    if value is None:
        return "–"
    percent, unit = float(value) * 100, 10.0**-digits
    shown = round(percent, digits)
    if shown >= 100 > percent:
        shown = 100 - unit
    if shown <= 0 < percent:
        return f"under {unit:.{digits}f}%"
    if shown == int(shown):
        return f"{int(shown)}%"
    return f"{shown:.{digits}f}%"


def times(value: Fraction | float) -> str:
    """How many times, in three digits or whole: 0.25, 14.4, 1,000."""
    return f"{float(value):,.0f}" if float(value) >= 100 else f"{float(value):.3g}"


def upper(text: str) -> str:
    """As the beginning of a sentence."""
    return text[:1].upper() + text[1:]


def _utc(at: float) -> datetime:
    try:
        return datetime.fromtimestamp(at, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0, UTC)
