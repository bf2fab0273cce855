"""Which numbers does an `http` probe export beside its outcome?"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from functools import lru_cache

from sre.journey.exchange import Response
from sre.probes.facts import Facts
from sre.probes.httphop import Answer
from sre.probes.httpoptions import Told
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
    gauges = [_fact("redirects", redirects), _fact("tls", found.tls)]
    if response.status:
        gauges.append(_fact("status_code", response.status))
        gauges.append(_fact("connection_reused", found.reused))
        gauges.append(_fact("body_bytes", answer.size))
        gauges += _of_head(response)
    if found.version:
        gauges.append(_fact("version", float(found.version)))
    if found.tls:
        gauges += _of_tls(found)
    return tuple(gauges)


def _of_head(response: Response) -> list[Gauge]:
    gauges = []
    length = (response.header("content-length") or "").strip()
    if length.isascii() and length.isdigit() and len(length) < 16:
        gauges.append(_fact("content_length_bytes", int(length)))
    modified = response.header("last-modified")
    seconds = _moment(modified) if modified else None
    if seconds is not None:
        gauges.append(_fact("last_modified_timestamp_seconds", seconds))
    return gauges


def _of_tls(found: Told) -> list[Gauge]:
    gauges = [_at_position(end, position) for position, end in enumerate(found.expiries)]
    if found.earliest_expiry is not None:
        gauges.append(_fact("certificate_earliest_expiry_timestamp_seconds", found.earliest_expiry))
    if found.tls_version:
        gauges.append(_info("tls_version_info", "version", found.tls_version))
    if found.cipher:
        gauges.append(_info("tls_cipher_info", "cipher", found.cipher))
    return gauges


@lru_cache(maxsize=4096)
def _fact(name: str, value: float) -> Gauge:
    return FACTS(name, value)


@lru_cache(maxsize=4096)
def _at_position(end: float, position: int) -> Gauge:
    return FACTS("certificate_expiry_timestamp_seconds", end, position=str(position))


@lru_cache(maxsize=256)
def _info(name: str, label: str, value: str) -> Gauge:
    return FACTS(name, 1, **{label: value})


@lru_cache(maxsize=1024)
def _moment(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
