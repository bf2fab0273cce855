"""Is the certificate trusted, for how long still, and which protocol does the server speak?"""

from __future__ import annotations

import hashlib
import math
import ssl
from contextlib import closing
from dataclasses import dataclass
from typing import ClassVar, Literal

import pycurl

from sre.core.units import Duration
from sre.journey.result import Outcome, Reason
from sre.probes.dial import Attempt, Trouble, connect, dial, secured
from sre.probes.model import Gauge, ProbeContext, Reading

__all__ = ["ExpiresWithin", "Facts", "TlsProbe", "judge"]

_DAY = 86400.0
_DEGRADED = Duration(14 * _DAY)
_FAILED = Duration(3 * _DAY)
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
class Facts:
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
    """One verified handshake for the verdict, and one without verification for the facts.

    So the expiry and the protocol are known also when the certificate is not trusted.

    Attributes:
        server_name: the name to ask for and to find in the certificate, if it is not `host`.
        expires_within: limits on the earliest expiry in the chain that the server sends.
        verify: whether a certificate that is not trusted fails the probe; it is measured anyway.
        ca_file: PEM file of the authorities to trust instead of the system's.
        min_version: the oldest protocol that counts as good.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
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

    def _observe(self, attempt: Attempt) -> Facts:
        name = self.server_name or self.host
        raw, address = dial(attempt, self.host, self.port)
        context = ssl.create_default_context(cafile=self.ca_file)
        context.minimum_version = _VERSIONS[self.min_version]
        untrusted, session = "", Facts()
        with closing(raw):
            try:
                with closing(secured(attempt, raw, context, name)) as connection:
                    session = _session(connection)
            except Trouble as trouble:
                if trouble.reason is not Reason.TLS:
                    raise
                untrusted = trouble.message
        aside = Attempt("facts", attempt.context)
        if untrusted:
            session = _unverified_session(aside, address, self.port, name)
        expiry, fingerprint = _chain(aside, address, self.port, name)
        return Facts(
            untrusted,
            expiry if expiry is not None else session.earliest_expiry,
            session.version,
            session.cipher,
            fingerprint or session.fingerprint,
        )


def judge(
    facts: Facts, limits: ExpiresWithin, now: float, *, verify: bool
) -> tuple[Outcome, Reason, str]:
    """The verdict on what was found (pure)."""
    left = math.inf if facts.earliest_expiry is None else facts.earliest_expiry - now
    if left <= 0:
        return Outcome.FAILED, Reason.TLS, f"expired {-left / _DAY:.1f} days ago"
    if facts.version is None and facts.untrusted:
        return Outcome.FAILED, Reason.TLS, facts.untrusted
    if facts.untrusted and verify:
        return Outcome.FAILED, Reason.TLS, facts.untrusted
    if left < limits.failed:
        return Outcome.FAILED, Reason.TLS, f"expires in {left / _DAY:.1f} days"
    if left < limits.degraded:
        return Outcome.DEGRADED, Reason.TLS, f"expires in {left / _DAY:.1f} days"
    return Outcome.OK, Reason.NONE, ""


def _session(connection: ssl.SSLSocket) -> Facts:
    cipher = connection.cipher()
    der = connection.getpeercert(binary_form=True) or b""
    until = (connection.getpeercert() or {}).get("notAfter")
    return Facts(
        earliest_expiry=ssl.cert_time_to_seconds(until) if isinstance(until, str) else None,
        version=connection.version(),
        cipher=cipher[0] if cipher else None,
        fingerprint=hashlib.sha256(der).hexdigest() if der else None,
    )


def _unverified_session(attempt: Attempt, address: str, port: int, name: str) -> Facts:
    """Protocol and cipher with a server that is not trusted; nothing is sent over it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    try:
        with (
            closing(connect(attempt, address, port)) as raw,
            closing(secured(attempt, raw, context, name)) as connection,
        ):
            return _session(connection)
    except Trouble:
        return Facts()


def _chain(attempt: Attempt, address: str, port: int, name: str) -> tuple[float | None, str | None]:
    """Earliest expiry of the chain that the server sends, and the first one's fingerprint.

    Python 3.11 shows the server's own certificate at most; libcurl shows all of them.
    """
    curl = pycurl.Curl()
    with closing(curl):
        target = f"[{address}]" if ":" in address else address
        host = f"[{name}]" if ":" in name else name
        curl.setopt(pycurl.URL, f"https://{host}:{port}/")
        curl.setopt(pycurl.CONNECT_TO, [f"::{target}:{port}"])
        curl.setopt(pycurl.CONNECT_ONLY, 1)
        curl.setopt(pycurl.OPT_CERTINFO, 1)
        curl.setopt(pycurl.SSL_VERIFYPEER, 0)
        curl.setopt(pycurl.SSL_VERIFYHOST, 0)
        curl.setopt(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_0)
        curl.setopt(pycurl.SSL_CIPHER_LIST, "ALL:@SECLEVEL=0")
        curl.setopt(pycurl.PROXY, "")
        curl.setopt(pycurl.NOSIGNAL, 1)
        try:
            curl.setopt(pycurl.TIMEOUT_MS, max(1, int(attempt.time_left() * 1000)))
            curl.perform()
            sent = [dict(pairs) for pairs in curl.getinfo(pycurl.INFO_CERTINFO)]
        except (pycurl.error, Trouble):
            return None, None
    ends = [ssl.cert_time_to_seconds(cert["Expire date"]) for cert in sent]
    return min(ends, default=None), _fingerprint(sent[0]) if sent else None


def _fingerprint(certificate: dict[str, str]) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate["Cert"].strip())).hexdigest()


def _gauges(facts: Facts) -> list[Gauge]:
    trusted = "Whether the server's certificate is trusted and names the server."
    gauges = [Gauge("sre_probe_tls_verified", float(not facts.untrusted), trusted)]
    if facts.earliest_expiry is not None:
        name = "sre_probe_tls_earliest_expiry_timestamp_seconds"
        text = "When the first certificate of the chain that the server sends ends."
        gauges.append(Gauge(name, facts.earliest_expiry, text))
    for label, value, text in (
        ("version", facts.version, "Protocol that was agreed on; always 1."),
        ("cipher", facts.cipher, "Cipher that was agreed on; always 1."),
        ("fingerprint_sha256", facts.fingerprint, "The server's own certificate; always 1."),
    ):
        what = "certificate" if label == "fingerprint_sha256" else label
        if value is not None:
            gauges.append(Gauge(f"sre_probe_tls_{what}_info", 1.0, text, ((label, value),)))
    return gauges
