"""What does blackbox_exporter tell about a TLS session, and how is it read off ours?"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from sre.probes.blackbox.clientoptions import TlsConfig
from sre.probes.blackbox.gonames import go_name
from sre.probes.blackbox.model import Metrics
from sre.probes.x509 import Certificate, Name, pem_certificates, read_certificate

__all__ = ["NEVER", "cipher_name", "last_chain_expiry", "record", "sent_chain", "trusted"]

NEVER = -62135596800.0
"""Go's zero time in seconds since the epoch: blackbox_exporter's word for "no verified chain"."""

_DEPTH = 8
_MAC = re.compile(r"(.+)-(SHA(?:256|384)?|MD5)")


def record(metrics: Metrics, chain: Sequence[Certificate], tls: TlsConfig, session: str) -> None:
    """Set the metrics of a finished handshake.

    Args:
        chain: what the server sent, its own certificate first.
        session: libcurl's words for it: `TLSv1.3 / TLS_AES_256_GCM_SHA384`.
    """
    version, _, cipher = session.partition(" / ")
    metrics.set("probe_tls_version_info", 1, version=version.replace("TLSv", "TLS ") or "unknown")
    if cipher:
        metrics.set("probe_tls_cipher_info", 1, cipher=cipher_name(cipher))
    if not chain:
        return
    leaf = chain[0]
    metrics.set("probe_ssl_earliest_cert_expiry", min(one.expires for one in chain))
    expiry = NEVER if tls.insecure_skip_verify else last_chain_expiry(chain, trusted(tls))
    metrics.set("probe_ssl_last_chain_expiry_timestamp_seconds", expiry)
    metrics.set(
        "probe_ssl_last_chain_info",
        1,
        fingerprint_sha256=leaf.fingerprint,
        subject=go_name(leaf.subject),
        issuer=go_name(leaf.issuer),
        subjectalternative=",".join(leaf.dns),
    )


def sent_chain(certinfo: Iterable[Sequence[tuple[str, str]]]) -> list[Certificate]:
    """libcurl's CERTINFO as certificates; one that cannot be read is left out."""
    found = []
    for pairs in certinfo:
        for der in pem_certificates(dict(pairs).get("Cert", "")):
            try:
                found.append(read_certificate(der))
            except ValueError:
                continue
    return found


def last_chain_expiry(
    sent: Sequence[Certificate], roots: Mapping[Name, Sequence[Certificate]]
) -> float:
    """Of all ways from the server's certificate to a trusted one, the end of the longest lasting.

    A way ends when its first certificate does. Names alone are followed: signatures were verified.
    """
    between: dict[Name, list[Certificate]] = {}
    for one in sent[1:]:
        between.setdefault(one.subject, []).append(one)
    best = NEVER
    ways: list[tuple[Certificate, float, tuple[str, ...]]] = [(sent[0], sent[0].expires, ())]
    while ways:
        at, ends, seen = ways.pop()
        own = [root for root in roots.get(at.subject, ()) if root.fingerprint == at.fingerprint]
        for root in own or roots.get(at.issuer, ()):
            best = max(best, min(ends, root.expires))
        if len(seen) < _DEPTH and at.subject != at.issuer:
            ways += [
                (up, min(ends, up.expires), (*seen, at.fingerprint))
                for up in between.get(at.issuer, ())
                if up.fingerprint not in seen
            ]
    return best


def trusted(tls: TlsConfig) -> Mapping[Name, Sequence[Certificate]]:
    """The trusted certificates by subject: the module's own authorities, or the system's."""
    if tls.ca:
        return _by_subject(tls.ca)
    name = tls.ca_file or ssl.get_default_verify_paths().cafile
    if not name:
        return {}
    try:
        return _from_file(name, Path(name).stat().st_mtime_ns)
    except OSError:
        return {}


@lru_cache(maxsize=16)
def _from_file(name: str, _changed: int) -> Mapping[Name, Sequence[Certificate]]:
    return _by_subject(Path(name).read_text(encoding="latin-1"))


def _by_subject(text: str) -> Mapping[Name, Sequence[Certificate]]:
    found: dict[Name, list[Certificate]] = {}
    for der in pem_certificates(text):
        try:
            one = read_certificate(der)
        except ValueError:
            continue
        found.setdefault(one.subject, []).append(one)
    return found


def cipher_name(openssl: str) -> str:
    """The suite's registered name, as Go writes it: `ECDHE-RSA-AES128-GCM-SHA256` has another."""
    if openssl.startswith("TLS_"):
        return openssl
    match = _MAC.fullmatch(openssl)
    if match is None:
        if openssl.endswith("CHACHA20-POLY1305"):
            return f"TLS_{openssl[:-18].replace('-', '_')}_WITH_CHACHA20_POLY1305_SHA256"
        return openssl
    rest, mac = match[1], match[2]
    exchange, found, cipher = rest.partition("-AES")
    if not found:
        exchange, cipher = ("RSA", rest[3:]) if rest.startswith("AES") else ("", rest)
    if not exchange:
        return openssl
    bits, _, mode = cipher.partition("-")
    how = exchange.replace("-", "_")
    return f"TLS_{how}_WITH_AES_{bits}_{mode or 'CBC'}_{mac}"
