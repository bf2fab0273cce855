"""How is an HTTP connection made: which family, version and TLS, and what did it turn out to be?

Shared by the `http` kind and by blackbox modules. `apply` says it to a libcurl handle before a
request; `told` reads back what the finished handle knows.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, Literal

import pycurl

from sre.core.secrets import Secret

__all__ = ["HttpOptions", "Proxy", "Session", "TlsOptions", "Told", "apply", "told"]

TlsVersion = Literal["TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"]

_LOWEST = {
    "TLSv1.0": pycurl.SSLVERSION_TLSv1_0,
    "TLSv1.1": pycurl.SSLVERSION_TLSv1_1,
    "TLSv1.2": pycurl.SSLVERSION_TLSv1_2,
    "TLSv1.3": pycurl.SSLVERSION_TLSv1_3,
}
_HIGHEST = {
    "TLSv1.0": pycurl.SSLVERSION_MAX_TLSv1_0,
    "TLSv1.1": pycurl.SSLVERSION_MAX_TLSv1_1,
    "TLSv1.2": pycurl.SSLVERSION_MAX_TLSv1_2,
    "TLSv1.3": pycurl.SSLVERSION_MAX_TLSv1_3,
}
_OFFERS = {
    "any": pycurl.CURL_HTTP_VERSION_2TLS,
    "1.0": pycurl.CURL_HTTP_VERSION_1_0,
    "1.1": pycurl.CURL_HTTP_VERSION_1_1,
    "2": pycurl.CURL_HTTP_VERSION_2TLS,
    "3": pycurl.CURL_HTTP_VERSION_3ONLY,
}
_SPOKEN = {1: "1.0", 2: "1.1", 3: "2", 30: "3"}
_OLD = ("TLSv1.0", "TLSv1.1")
_MAX_CHAIN = 10


@dataclass(frozen=True)
class TlsOptions:
    """How TLS is spoken.

    Attributes:
        ca_file: PEM file of the authorities to trust instead of the system's.
        ca: the same as a text.
        cert_file, key_file: our own certificate and its key, where the server asks for one.
        cert, key: the same as texts.
        server_name: the name to ask for and to find in the certificate, if it is not the URL's.
        verify: whether a certificate that is not trusted fails the probe.
        min_version, max_version: protocols that are offered.
        groups: key exchanges that are offered, the first one right away. Post-quantum ones are
            left out: their key share costs CPU in each new connection and proves nothing more
            about the shop. Add X25519MLKEM768 for a server that takes nothing else.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    ca_file: str | None = None
    ca: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    cert: str | None = None
    key: Secret | None = None
    server_name: str | None = None
    verify: bool = True
    min_version: TlsVersion = "TLSv1.2"
    max_version: TlsVersion | None = None
    groups: str = "X25519:P-256:P-384:P-521"

    def __post_init__(self) -> None:
        if self.max_version is not None and self.max_version < self.min_version:
            raise ValueError("max_version must not be older than min_version")
        for one, other in (("ca_file", "ca"), ("cert_file", "cert"), ("key_file", "key")):
            if getattr(self, one) is not None and getattr(self, other) is not None:
                raise ValueError(f"{one} and {other} say the same; write one of them")
        has_cert = self.cert_file is not None or self.cert is not None
        has_key = self.key_file is not None or self.key is not None
        if has_cert != has_key:
            raise ValueError("a certificate of our own needs its key, and a key its certificate")


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy on the way; its own address must be on the allow-list too.

    Attributes:
        url: http://HOST:PORT, without user and password.
        resolve: whether we resolve the target's name, to know that its address is allowed, and ask
            the proxy for that address; false leaves it to the proxy.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    url: str
    username: str | None = None
    password: Secret | None = None
    resolve: bool = True


@dataclass(frozen=True)
class HttpOptions:
    """Everything about a connection that is not the request itself.

    Attributes:
        ip: the address family to use; with `ip_fallback` the other one where there is none.
        http_version: what is offered: any (2 over TLS, else 1.1), 1.0, 1.1, 2 or 3 (nothing else).
        compress: which encodings are asked for and decoded: any, gzip, br, deflate, or none.
        keep_alive: whether connections may be kept and used again.
    """

    ip: Literal["any", 4, 6] = "any"
    ip_fallback: bool = True
    http_version: str = "any"
    compress: str = "any"
    keep_alive: bool = False
    tls: TlsOptions = field(default_factory=TlsOptions)
    proxy: Proxy | None = None

    def __post_init__(self) -> None:
        if self.http_version not in _OFFERS:
            raise ValueError(f"http_version must be one of {', '.join(_OFFERS)}")

    @property
    def families(self) -> tuple[int, ...]:
        """Address families in the order of preference; empty when any will do."""
        if self.ip == "any":
            return ()
        return (self.ip, 10 - self.ip) if self.ip_fallback else (self.ip,)


class Session:
    """What libcurl says about a TLS session while it makes one; it is told nowhere else."""

    __slots__ = ("cipher", "version")

    def __init__(self) -> None:
        self.version = self.cipher = ""

    def hear(self, kind: int, text: bytes) -> None:
        """libcurl's debug callback."""
        if kind == 0 and text.startswith(b"SSL connection using "):
            version, _, rest = text[21:].decode("ascii", "replace").strip().partition(" / ")
            self.version, self.cipher = version, rest.partition(" / ")[0]


def apply(curl: Any, options: HttpOptions, session: Session | None = None) -> None:
    """Set the options on a handle that was just reset; URL, proxy and address are the caller's.

    Args:
        session: given for a request over TLS whose facts are wanted.

    Raises:
        UsageError: the key is a secret that cannot be read.
    """
    setopt = curl.setopt
    setopt(pycurl.HTTP_VERSION, _OFFERS[options.http_version])
    if options.compress != "none":
        setopt(pycurl.ACCEPT_ENCODING, "" if options.compress == "any" else options.compress)
    if not options.keep_alive:
        setopt(pycurl.FRESH_CONNECT, 1)
        setopt(pycurl.FORBID_REUSE, 1)
    if session is not None:
        _apply_tls(setopt, options.tls)
        setopt(pycurl.OPT_CERTINFO, 1)
        setopt(pycurl.VERBOSE, 1)
        setopt(pycurl.DEBUGFUNCTION, session.hear)


def _apply_tls(setopt: Any, tls: TlsOptions) -> None:
    setopt(pycurl.SSL_SESSIONID_CACHE, 0)
    setopt(pycurl.SSL_EC_CURVES, tls.groups)
    highest = _HIGHEST[tls.max_version] if tls.max_version else pycurl.SSLVERSION_MAX_DEFAULT
    setopt(pycurl.SSLVERSION, _LOWEST[tls.min_version] | highest)
    if tls.min_version in _OLD:  # OpenSSL 3 speaks these on its lowest security level alone
        setopt(pycurl.SSL_CIPHER_LIST, "DEFAULT:@SECLEVEL=0")
    if not tls.verify:
        setopt(pycurl.SSL_VERIFYPEER, 0)
        setopt(pycurl.SSL_VERIFYHOST, 0)
    texts = {
        pycurl.CAINFO: tls.ca_file,
        pycurl.SSLCERT: tls.cert_file,
        pycurl.SSLKEY: tls.key_file,
        pycurl.CAINFO_BLOB: tls.ca and tls.ca.encode(),
        pycurl.SSLCERT_BLOB: tls.cert and tls.cert.encode(),
        pycurl.SSLKEY_BLOB: tls.key and tls.key.reveal().encode(),
    }
    for option, value in texts.items():
        if value:
            setopt(option, value)


@dataclass(frozen=True, slots=True)
class Told:
    """What a finished transfer tells about its connection.

    Attributes:
        version: of HTTP, as in the answer; empty when there was none.
        reused: the connection was there before.
        tls: the answer came over TLS.
        expiries: when each certificate that the server sent ends, its own first; seconds since the
            epoch. Empty when the handshake did not finish: libcurl shows no others.
        tls_version, cipher: what was agreed on.
    """

    version: str = ""
    reused: bool = False
    tls: bool = False
    expiries: tuple[float, ...] = ()
    tls_version: str = ""
    cipher: str = ""

    @property
    def earliest_expiry(self) -> float | None:
        """The first end of any certificate that the server sent."""
        return min(self.expiries, default=None)


def told(curl: Any, session: Session | None = None) -> Told:
    """What the handle knows after its transfer, good or bad."""
    version = _SPOKEN.get(curl.getinfo(pycurl.INFO_HTTP_VERSION), "")
    reused = bool(version) and curl.getinfo(pycurl.NUM_CONNECTS) == 0
    if session is None:
        return _PLAIN.get((version, reused)) or Told(version, reused)
    ends = (_expiry(one) for one in curl.getinfo(pycurl.INFO_CERTINFO)[:_MAX_CHAIN])
    expiries = tuple(end for end in ends if end is not None)
    return Told(
        version,
        reused,
        tls=True,
        expiries=expiries,
        tls_version=session.version,
        cipher=session.cipher,
    )


_PLAIN = {(v, reused): Told(v, reused) for v in ("", *_SPOKEN.values()) for reused in (False, True)}


def _expiry(certificate: tuple[tuple[str, str], ...]) -> float | None:
    for name, value in certificate:
        if name == "Expire date":
            return _seconds(value)
    return None


@lru_cache(maxsize=1024)
def _seconds(date: str) -> float | None:
    try:
        return float(ssl.cert_time_to_seconds(date))
    except ValueError:
        return None
