"""What do the handshakes with one TLS server tell, whether or not it is trusted?"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from socket import socket
from typing import cast

from sre.journey.guard import Admission
from sre.journey.result import Reason
from sre.probes.conversation import Unmatched
from sre.probes.dial import Attempt, Trouble, connect, secured
from sre.probes.dialogue import hold
from sre.probes.peer import Trust, lax, narrow, sent_chain, trusting, verified_chain
from sre.probes.starttls import STARTTLS
from sre.probes.x509 import Certificate, printable

__all__ = ["Seen", "Target", "look"]

_SHOWN = 3
_NAMES = {
    ssl.TLSVersion.SSLv3: "SSLv3",
    ssl.TLSVersion.TLSv1: "TLSv1.0",
    ssl.TLSVersion.TLSv1_1: "TLSv1.1",
    ssl.TLSVersion.TLSv1_2: "TLSv1.2",
    ssl.TLSVersion.TLSv1_3: "TLSv1.3",
}
_ENUM = {name: version for version, name in _NAMES.items()}
_WRONG_NAME = (62, 64)
_NO_ISSUER = (20, 21)
_WORDS = {
    9: "not trusted: a certificate of the chain is not valid yet",
    10: "not trusted: a certificate of the chain has expired",
    18: "not trusted: the certificate is signed by itself",
    19: "not trusted: the chain ends in a root that is unknown here; ca_file can name it",
    20: "not trusted: the issuer is unknown here",
    21: "not trusted: the issuer is unknown here",
}
"""By OpenSSL's X509_V_ERR numbers."""


@dataclass(frozen=True)
class Seen:
    """What the handshakes told.

    Attributes:
        untrusted: why the verified handshake failed; empty when it did not.
        earliest_expiry: of the certificates that the server sent, in seconds since the epoch.
        chain_expiry: of the chain that was verified, its root included.
        depth: how many certificates the server sent.
        own: the server's own certificate.
        accepted: protocols that were tried, and whether the server took them.
    """

    untrusted: str = ""
    earliest_expiry: float | None = None
    chain_expiry: float | None = None
    version: str | None = None
    cipher: str | None = None
    alpn: str | None = None
    depth: int | None = None
    own: Certificate | None = None
    accepted: Mapping[str, bool] = field(default_factory=dict)

    @property
    def ends(self) -> float | None:
        """When it stops working: a certificate that is sent but not needed does not count."""
        return self.earliest_expiry if self.chain_expiry is None else self.chain_expiry


@dataclass(frozen=True)
class Target:
    """One admitted address and how TLS begins there.

    Attributes:
        name: to ask for and to find in the certificate.
        starttls: the protocol that begins in plain text; None: TLS from the first byte.
    """

    admission: Admission
    name: str
    trust: Trust
    starttls: str | None = None

    @contextmanager
    def shaken(self, attempt: Attempt, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
        """A handshake on a connection of its own. Raises Trouble."""
        with closing(connect(attempt, self.admission)) as raw:
            if self.starttls is None:
                connection = secured(attempt, raw, context, self.name)
            else:
                connection = self._begun(attempt, raw, context, self.starttls)
            with closing(connection):
                yield connection

    def _begun(
        self, attempt: Attempt, raw: socket, context: ssl.SSLContext, protocol: str
    ) -> ssl.SSLSocket:
        def secure(plain: socket) -> ssl.SSLSocket:
            return secured(attempt, plain, context, self.name)

        try:
            made, _ = hold(attempt, STARTTLS[protocol](), raw, secure)
        except Unmatched as error:
            raise Trouble(Reason.PROTOCOL, f"no STARTTLS: {error}") from error
        return cast("ssl.SSLSocket", made)

    def accepts(self, attempt: Attempt, version: ssl.TLSVersion) -> bool | None:
        """Whether the server takes this one protocol; None: our own library cannot offer it.

        Raises:
            Trouble: no connection, or no time.
        """
        context = lax(self.trust)
        try:
            narrow(context, version, version)
        except ValueError:
            return None
        try:
            with self.shaken(attempt, context):
                return True
        except Trouble as trouble:
            if trouble.reason is not Reason.TLS:
                raise
            return None if "no protocols available" in trouble.message else False


def look(attempt: Attempt, target: Target) -> Seen:
    """A verified handshake; when it fails, another without verification for the facts.

    Raises:
        Trouble: no TLS session came about at all.
    """
    before = dict(attempt.phases)
    try:
        with target.shaken(attempt, trusting(target.trust)) as connection:
            ends = [one.expires for one in verified_chain(connection)]
            return replace(_seen(connection), chain_expiry=min(ends, default=None))
    except Trouble as trouble:
        if trouble.reason is not Reason.TLS:
            raise
        first = trouble
    attempt.phases.clear()
    attempt.phases.update(before)
    loose = replace(target.trust, minimum=None)
    with target.shaken(attempt, lax(loose)) as connection:
        seen = _seen(connection)
    return replace(seen, untrusted=_why(first, seen, target))


def _seen(connection: ssl.SSLSocket) -> Seen:
    sent, cipher = sent_chain(connection), connection.cipher()
    return Seen(
        earliest_expiry=min((one.expires for one in sent), default=None),
        version=_version(connection),
        cipher=cipher[0] if cipher else None,
        alpn=connection.selected_alpn_protocol(),
        depth=len(sent),
        own=sent[0] if sent else None,
    )


def _version(connection: ssl.SSLSocket) -> str | None:
    found = connection.version()
    return "TLSv1.0" if found == "TLSv1" else found


def _why(trouble: Trouble, seen: Seen, target: Target) -> str:
    """Why the verified handshake failed, in words that name the cure."""
    code = getattr(trouble.__cause__, "verify_code", None)
    oldest = target.trust.minimum
    if code is None:
        version = _ENUM.get(seen.version or "", ssl.TLSVersion.MAXIMUM_SUPPORTED)
        if oldest is not None and ssl.TLSVersion.SSLv3 <= version < oldest:
            return f"speaks {seen.version} at most; min_version is {_NAMES[oldest]}"
        return trouble.message
    if code in _WRONG_NAME:
        return f"the certificate is not for {target.name}; {_names(seen.own)}"
    if code in _NO_ISSUER and seen.depth == 1:
        return f"{_WORDS[code]}; the server sends no intermediate certificate"
    return _WORDS.get(code, trouble.message)


def _names(own: Certificate | None) -> str:
    names = [] if own is None else [printable(one) for one in (*own.dns, *own.ips)]
    if not names:
        return "it names no host"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"it names {', '.join(names[:_SHOWN])}{more}"
