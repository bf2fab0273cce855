"""Is the certificate trusted, for how long still, and which protocols does the server speak?"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from sre.core.units import Duration
from sre.journey.result import Outcome, Reason
from sre.probes.dial import Attempt, Trouble, admitted
from sre.probes.facts import Facts
from sre.probes.handshake import Seen, Target, look
from sre.probes.model import Gauge, ProbeContext, Reading
from sre.probes.peer import Trust

__all__ = ["ExpiresWithin", "Seen", "TlsProbe", "judge"]

_DAY = 86400.0
_DEGRADED = Duration(14 * _DAY)
_FAILED = Duration(3 * _DAY)
FACTS = Facts(
    "tls",
    (
        "verified",
        "Whether a verified handshake worked: trust, name, dates, protocol.",
    ),
    (
        "earliest_expiry_timestamp_seconds",
        "When the first certificate of the chain that the server sends ends.",
    ),
    (
        "chain_expiry_timestamp_seconds",
        "When the first certificate of the chain that was verified, up to its root, ends.",
    ),
    (
        "certificate_expiry_timestamp_seconds",
        "When the server's own certificate ends.",
    ),
    ("chain_certificates", "Certificates that the server sends."),
    ("version_info", "Protocol that was agreed on; always 1.", "version"),
    ("version_accepted", "Whether the server accepts this protocol (versions: true).", "version"),
    ("cipher_info", "Cipher that was agreed on; always 1.", "cipher"),
    ("alpn_info", "Protocol inside TLS that was agreed on; always 1.", "protocol"),
    (
        "certificate_info",
        "The server's own certificate; always 1.",
        "fingerprint_sha256",
        "serial_number",
    ),
    ("key_info", "Key of the server's own certificate; always 1.", "algorithm", "bits"),
    ("signature_info", "How the server's own certificate is signed; always 1.", "algorithm"),
)
_VERSIONS = {
    "TLSv1.0": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}


@dataclass(frozen=True)
class ExpiresWithin:
    """How close to its end a certificate may come, in seconds: then degraded, then failed."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    degraded: Duration = _DEGRADED
    failed: Duration = _FAILED

    def __post_init__(self) -> None:
        if self.failed > self.degraded:
            raise ValueError("failed must not be longer than degraded")


@dataclass(frozen=True)
class TlsProbe:
    """One verified handshake for the verdict; if it fails, one without verification for the facts.

    So the expiry and the protocol are known also when the certificate is not trusted. Whether a
    certificate was revoked is not looked at (neither OCSP nor lists), nor is "must staple".

    Attributes:
        server_name: the name to ask for and to find in the certificate, if it is not `host`.
        expires_within: limits on the earliest expiry: of the chain that was verified or, when it
            is not trusted, of what the server sends.
        verify: whether a certificate that is not trusted fails the probe; it is measured anyway.
        ca_file: PEM file of the authorities to trust instead of the system's.
        cert_file: PEM file of a certificate of our own, where the server asks for one.
        key_file: PEM file of its key, if it is not in `cert_file`.
        min_version: the oldest protocol that counts as good.
        versions: try each protocol from TLSv1.0 to TLSv1.3 on a connection of its own; one that
            is older than `min_version` and accepted fails the probe.
        starttls: begin in plain text, as this protocol does.
        alpn: protocols to offer inside TLS, such as [h2, http/1.1]; fails if none is taken.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    facts: ClassVar[Facts] = FACTS
    host: str
    port: int = 443
    server_name: str | None = None
    expires_within: ExpiresWithin = ExpiresWithin()
    verify: bool = True
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    min_version: Literal["TLSv1.2", "TLSv1.3"] = "TLSv1.2"
    versions: bool = False
    starttls: Literal["smtp", "imap", "pop3", "ftp", "postgres"] | None = None
    alpn: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.port < 65536:
            raise ValueError("port must be 1 to 65535")
        if any(not 0 < len(name.encode()) < 256 for name in self.alpn):
            raise ValueError("alpn: a name has 1 to 255 bytes")
        if self.key_file and not self.cert_file:
            raise ValueError("key_file needs a cert_file")

    def check(self, context: ProbeContext) -> Reading:
        """Shake hands, judge, hang up."""
        attempt = Attempt("tls", context)
        try:
            seen = self._observe(attempt)
        except Trouble as trouble:
            return attempt.ended_by(trouble)
        attempt.gauges += _gauges(seen)
        now = context.clock.wall()
        return attempt.reading(
            *judge(
                seen,
                self.expires_within,
                now,
                verify=self.verify,
                alpn=self.alpn,
                oldest=self.min_version,
            )
        )

    def _observe(self, attempt: Attempt) -> Seen:
        admission = admitted(attempt, self.host, self.port)
        trust = Trust(
            self.ca_file, self.cert_file, self.key_file, _VERSIONS[self.min_version], self.alpn
        )
        target = Target(admission, self.server_name or self.host, trust, self.starttls)
        seen = look(attempt, target)
        if not self.versions:
            return seen
        aside = Attempt("versions", attempt.context)
        return replace(seen, accepted=_accepted(aside, target))


def _accepted(attempt: Attempt, target: Target) -> dict[str, bool]:
    found = {}
    for name, version in _VERSIONS.items():
        answer = target.accepts(attempt, version)
        if answer is not None:
            found[name] = answer
    return found


def judge(
    seen: Seen,
    limits: ExpiresWithin,
    now: float,
    *,
    verify: bool,
    alpn: tuple[str, ...] = (),
    oldest: str = "TLSv1.2",
) -> tuple[Outcome, Reason, str]:
    """The verdict on what was found (pure)."""
    bad = _broken(seen, limits, now, verify=verify)
    if not bad and alpn and seen.alpn is None:
        bad = f"the server takes none of alpn: {', '.join(alpn)}"
    older = [
        name for name, yes in seen.accepted.items() if yes and _VERSIONS[name] < _VERSIONS[oldest]
    ]
    if not bad and older:
        bad = f"accepts {' and '.join(older)}, older than min_version {oldest}"
    if bad:
        return Outcome.FAILED, Reason.TLS, bad
    ends = seen.ends
    if ends is not None and ends - now < limits.degraded:
        return Outcome.DEGRADED, Reason.TLS, f"expires in {(ends - now) / _DAY:.1f} days"
    stale = seen.earliest_expiry is not None and seen.earliest_expiry <= now
    if stale:
        told = "trusted, but the server also sends a certificate that has expired: drop it"
        return Outcome.DEGRADED, Reason.TLS, told
    return Outcome.OK, Reason.NONE, ""


def _broken(seen: Seen, limits: ExpiresWithin, now: float, *, verify: bool) -> str:
    ends = seen.ends
    if ends is not None and ends <= now:
        return f"expired {(now - ends) / _DAY:.1f} days ago"
    if seen.untrusted and verify:
        return seen.untrusted
    if ends is not None and ends - now < limits.failed:
        return f"expires in {(ends - now) / _DAY:.1f} days"
    return ""


def _gauges(seen: Seen) -> list[Gauge]:
    gauges = [FACTS("verified", not seen.untrusted)]
    numbers = {
        "earliest_expiry_timestamp_seconds": seen.earliest_expiry,
        "chain_expiry_timestamp_seconds": seen.chain_expiry,
        "certificate_expiry_timestamp_seconds": seen.own.expires if seen.own else None,
        "chain_certificates": seen.depth,
    }
    gauges += [FACTS(name, value) for name, value in numbers.items() if value is not None]
    if seen.version is not None:
        gauges.append(FACTS("version_info", 1, version=seen.version))
    if seen.cipher is not None:
        gauges.append(FACTS("cipher_info", 1, cipher=seen.cipher))
    if seen.alpn is not None:
        gauges.append(FACTS("alpn_info", 1, protocol=seen.alpn))
    gauges += [FACTS("version_accepted", yes, version=name) for name, yes in seen.accepted.items()]
    own = seen.own
    if own is not None:
        ids = {"fingerprint_sha256": own.fingerprint, "serial_number": own.serial[:64]}
        gauges.append(FACTS("certificate_info", 1, **ids))
        gauges.append(FACTS("key_info", 1, algorithm=own.key, bits=str(own.bits)))
        gauges.append(FACTS("signature_info", 1, algorithm=own.signature))
    return gauges
