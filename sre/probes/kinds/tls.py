"""Is the certificate trusted, for how long still, and which protocol does the server speak?"""

from __future__ import annotations

import contextlib
import hashlib
import math
import ssl
from contextlib import closing
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import pycurl

from sre.core.units import Duration
from sre.journey.guard import Admission
from sre.journey.result import Outcome, Reason
from sre.probes.dial import Attempt, Trouble, admitted, connect, handle_for, perform, secured
from sre.probes.facts import Facts
from sre.probes.model import Gauge, ProbeContext, Reading

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
    ("version_info", "Protocol that was agreed on; always 1.", "version"),
    ("cipher_info", "Cipher that was agreed on; always 1.", "cipher"),
    ("certificate_info", "The server's own certificate; always 1.", "fingerprint_sha256"),
)
_VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


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
class Seen:
    """What the handshakes told.

    Attributes:
        untrusted: why the verified handshake failed; empty when it did not.
        earliest_expiry: of the certificates that the server sent, in seconds since the epoch.
        fingerprint: SHA-256 of the server's own certificate, in hex.
    """

    untrusted: str = ""
    earliest_expiry: float | None = None
    version: str | None = None
    cipher: str | None = None
    fingerprint: str | None = None


@dataclass(frozen=True)
class TlsProbe:
    """One handshake without verification for the facts, and a verified one for the verdict.

    So the expiry and the protocol are known also when the certificate is not trusted.

    Attributes:
        server_name: the name to ask for and to find in the certificate, if it is not `host`.
        expires_within: limits on the earliest expiry in the chain that the server sends.
        verify: whether a certificate that is not trusted fails the probe; it is measured anyway.
        ca_file: PEM file of the authorities to trust instead of the system's.
        min_version: the oldest protocol that counts as good.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    facts: ClassVar[Facts] = FACTS
    host: str
    port: int = 443
    server_name: str | None = None
    expires_within: ExpiresWithin = ExpiresWithin()
    verify: bool = True
    ca_file: str | None = None
    min_version: Literal["TLSv1.2", "TLSv1.3"] = "TLSv1.2"

    def __post_init__(self) -> None:
        if not 0 < self.port < 65536:
            raise ValueError("port must be 1 to 65535")

    def check(self, context: ProbeContext) -> Reading:
        """Shake hands, judge, hang up."""
        attempt = Attempt("tls", context)
        try:
            facts = self._observe(attempt)
        except Trouble as trouble:
            return attempt.ended_by(trouble)
        attempt.gauges += _gauges(facts)
        now = context.clock.wall()
        return attempt.reading(*judge(facts, self.expires_within, now, verify=self.verify))

    def _observe(self, attempt: Attempt) -> Seen:
        name = self.server_name or self.host
        admission = admitted(attempt, self.host, self.port)
        expiry, fingerprint = _chain(attempt, admission, name)
        session, untrusted = Seen(), ""
        aside = Attempt("verdict", attempt.context)
        try:
            session = _session(aside, admission, self._strict(), name)
        except Trouble as trouble:
            if trouble.reason is not Reason.TLS:
                raise
            untrusted = trouble.message
            with contextlib.suppress(Trouble):
                session = _session(aside, admission, _lax(), name)
        return replace(
            session, untrusted=untrusted, earliest_expiry=expiry, fingerprint=fingerprint
        )

    def _strict(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca_file)
        context.minimum_version = _VERSIONS[self.min_version]
        return context


def judge(
    facts: Seen, limits: ExpiresWithin, now: float, *, verify: bool
) -> tuple[Outcome, Reason, str]:
    """The verdict on what was found (pure)."""
    left = math.inf if facts.earliest_expiry is None else facts.earliest_expiry - now
    if left <= 0:
        return Outcome.FAILED, Reason.TLS, f"expired {-left / _DAY:.1f} days ago"
    if facts.untrusted and verify:
        return Outcome.FAILED, Reason.TLS, facts.untrusted
    if left < limits.failed:
        return Outcome.FAILED, Reason.TLS, f"expires in {left / _DAY:.1f} days"
    if left < limits.degraded:
        return Outcome.DEGRADED, Reason.TLS, f"expires in {left / _DAY:.1f} days"
    return Outcome.OK, Reason.NONE, ""


def _lax() -> ssl.SSLContext:
    """Takes any certificate and any protocol; nothing is ever sent over it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def _session(attempt: Attempt, admission: Admission, context: ssl.SSLContext, name: str) -> Seen:
    """Protocol and cipher of a handshake on a connection of its own. Raises Trouble."""
    with (
        closing(connect(attempt, admission)) as raw,
        closing(secured(attempt, raw, context, name)) as connection,
    ):
        cipher = connection.cipher()
        return Seen(version=connection.version(), cipher=cipher[0] if cipher else None)


def _chain(attempt: Attempt, admission: Admission, name: str) -> tuple[float | None, str | None]:
    """Earliest expiry of the chain that the server sends, and the first one's fingerprint.

    Without verification. Python 3.11 shows the server's own certificate at most, libcurl all of
    them; its clock times the phases too. Raises Trouble.
    """
    host = f"[{name}]" if ":" in name else name
    with closing(handle_for(admission, f"https://{host}:{admission.port}/")) as curl:
        curl.setopt(pycurl.OPT_CERTINFO, 1)
        curl.setopt(pycurl.SSL_VERIFYPEER, 0)
        curl.setopt(pycurl.SSL_VERIFYHOST, 0)
        curl.setopt(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_0)
        curl.setopt(pycurl.SSL_CIPHER_LIST, "ALL:@SECLEVEL=0")
        perform(attempt, curl)
        sent = [dict(pairs) for pairs in curl.getinfo(pycurl.INFO_CERTINFO)]
    ends = [ssl.cert_time_to_seconds(cert["Expire date"]) for cert in sent]
    return min(ends, default=None), _fingerprint(sent[0]) if sent else None


def _fingerprint(certificate: dict[str, str]) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate["Cert"].strip())).hexdigest()


def _gauges(facts: Seen) -> list[Gauge]:
    gauges = [FACTS("verified", not facts.untrusted)]
    if facts.earliest_expiry is not None:
        gauges.append(FACTS("earliest_expiry_timestamp_seconds", facts.earliest_expiry))
    if facts.version is not None:
        gauges.append(FACTS("version_info", 1, version=facts.version))
    if facts.cipher is not None:
        gauges.append(FACTS("cipher_info", 1, cipher=facts.cipher))
    if facts.fingerprint is not None:
        gauges.append(FACTS("certificate_info", 1, fingerprint_sha256=facts.fingerprint))
    return gauges
