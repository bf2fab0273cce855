"""Which numbers does an `http` probe export beside its outcome?"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from functools import lru_cache

from sre.probes.facts import Facts
from sre.probes.httphop import Answer
from sre.probes.model import Gauge

__all__ = ["FACTS", "gauges_of"]

FACTS = Facts(
    "http",
    ("status_code", "Status code of the last answer."),
    ("redirects", "Redirects that were followed."),
    ("version", "Version of HTTP of the last answer: 1, 1.1, 2 or 3."),
    ("content_length_bytes", "Length that the last answer's head says its body has."),
    ("body_bytes", "Size of the last answer's body, after decompression."),
    ("tls", "Whether the last answer came over TLS."),
    ("connection_reused", "Whether the last request went over a connection that was kept."),
    ("last_modified_timestamp_seconds", "Last-Modified of the last answer."),
    (
        "certificate_expiry_timestamp_seconds",
        "When a certificate ends that the server sent, its own at position 0.",
        "position",
    ),
    (
        "certificate_earliest_expiry_timestamp_seconds",
        "When the first of the certificates that the server sent ends.",
    ),
    ("tls_version_info", "TLS protocol that was agreed on; always 1.", "version"),
    ("tls_cipher_info", "TLS cipher that was agreed on; always 1.", "cipher"),
)


def gauges_of(answer: Answer, redirects: int) -> tuple[Gauge, ...]:
    """What the last answer of a run tells; what it does not tell is left out."""
    response, found = answer.response, answer.told
    length, modified = response.header("content-length"), response.header("last-modified")
    counts = (response.status, redirects, answer.size)
    gauges = _plain(counts, found.version, found.reused, length, modified, found.tls)
    if not found.tls:
        return gauges
    return (*gauges, *_of_tls(found.expiries, found.tls_version, found.cipher))


@lru_cache(maxsize=8192)
def _plain(
    counts: tuple[int, int, int],
    version: str,
    reused: bool,  # noqa: FBT001  a part of the cache's key
    length: str | None,
    modified: str | None,
    tls: bool,  # noqa: FBT001  the same
) -> tuple[Gauge, ...]:
    """Runs of a probe mostly tell the same: it is made once and shared by all of them."""
    status, redirects, size = counts
    gauges = [FACTS("redirects", redirects)]
    if status:
        gauges.append(FACTS("status_code", status))
        gauges.append(FACTS("connection_reused", reused))
        gauges.append(FACTS("body_bytes", size))
    if version:
        gauges.append(FACTS("version", float(version)))
    digits = (length or "").strip()
    if digits.isascii() and digits.isdigit() and len(digits) < 16:
        gauges.append(FACTS("content_length_bytes", int(digits)))
    seconds = _moment(modified) if modified else None
    if seconds is not None:
        gauges.append(FACTS("last_modified_timestamp_seconds", seconds))
    if not tls:
        gauges.append(_NOT_TLS)
    return tuple(gauges)


@lru_cache(maxsize=2048)
def _of_tls(expiries: tuple[float, ...], version: str, cipher: str) -> tuple[Gauge, ...]:
    gauges = [FACTS("tls", 1)]
    for position, end in enumerate(expiries):
        gauges.append(FACTS("certificate_expiry_timestamp_seconds", end, position=str(position)))
    if expiries:
        gauges.append(FACTS("certificate_earliest_expiry_timestamp_seconds", min(expiries)))
    if version:
        gauges.append(FACTS("tls_version_info", 1, version=version))
    if cipher:
        gauges.append(FACTS("tls_cipher_info", 1, cipher=cipher))
    return tuple(gauges)


_NOT_TLS = FACTS("tls", 0)


def _moment(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
