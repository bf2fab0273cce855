"""What does the other side of a TLS connection show of itself, and whom do we trust?"""

from __future__ import annotations

import contextlib
import ssl
import threading
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from sre.probes.wire import tls_context
from sre.probes.x509 import Certificate, read_certificate

__all__ = ["Trust", "lax", "narrow", "sent_chain", "sent_der", "trusting", "verified_chain"]

_DER = 2
"""What Python 3.11 and 3.12 call the DER form in `_ssl`."""

_QUIET = threading.Lock()
"""The filters of warnings are everybody's: one thread at a time sets them aside."""

_MOST = 32
"""Certificates of a chain that are looked at."""


def sent_chain(connection: ssl.SSLSocket) -> list[Certificate]:
    """The certificates that the other side sent, its own first. No trust is implied."""
    return _read(connection, "get_unverified_chain")


def verified_chain(connection: ssl.SSLSocket) -> list[Certificate]:
    """The chain up to the trusted root; only of a connection that was verified."""
    return _read(connection, "get_verified_chain")


def sent_der(connection: ssl.SSLSocket) -> list[bytes]:
    """The same as `sent_chain`, not read yet."""
    return _der(connection, "get_unverified_chain")


def _read(connection: ssl.SSLSocket, method: str) -> list[Certificate]:
    found = []
    for der in _der(connection, method):
        with contextlib.suppress(ValueError):
            found.append(read_certificate(der))
    return found


def _der(connection: Any, method: str) -> list[bytes]:
    """Python 3.13 has the method on the socket; the finished versions before it, one below."""
    owner = connection if hasattr(connection, method) else connection._sslobj
    chain = (getattr(owner, method)() or ())[:_MOST]
    return [one if isinstance(one, bytes) else one.public_bytes(_DER) for one in chain]


@dataclass(frozen=True)
class Trust:
    """Whom a verified connection trusts, and what it offers.

    Attributes:
        ca_file: PEM file of the authorities to trust instead of the system's.
        cert_file, key_file: PEM files of a certificate of our own, where a server asks for one.
        minimum: the oldest protocol that is offered; None is the library's own choice.
        alpn: protocols to offer inside TLS.
    """

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    minimum: ssl.TLSVersion | None = None
    alpn: tuple[str, ...] = ()


def trusting(trust: Trust) -> ssl.SSLContext:
    """A context that verifies; read again when one of its files has changed.

    It is shared: reading the system's authorities takes far longer than a handshake.

    Raises:
        UsageError: a file cannot be read or used; says which.
    """
    paths = ssl.get_default_verify_paths()
    watched = (trust.ca_file,) if trust.ca_file else (paths.cafile, paths.capath)
    files = (*watched, trust.cert_file, trust.key_file)
    return _trusting(trust, tuple(_stamp(file) for file in files))


@lru_cache(maxsize=64)
def _trusting(trust: Trust, _stamps: tuple[object, ...]) -> ssl.SSLContext:
    context = tls_context(trust.ca_file, trust.cert_file, trust.key_file)
    narrow(context, trust.minimum)
    if trust.alpn:
        context.set_alpn_protocols(trust.alpn)
    return context


def _stamp(path: str | None) -> object:
    try:
        found = Path(path).stat() if path else None
    except OSError:
        return None
    return None if found is None else (found.st_mtime_ns, found.st_size, found.st_ino)


def lax(trust: Trust) -> ssl.SSLContext:
    """Takes any certificate, any cipher and any protocol; nothing is ever sent over it.

    It is the caller's own, so that the protocols can be narrowed down.

    Raises:
        UsageError: our own certificate cannot be read.
    """
    own = trust.cert_file is not None
    context = tls_context(None, trust.cert_file, trust.key_file) if own else _bare()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    if trust.alpn:
        context.set_alpn_protocols(trust.alpn)
    return context


def narrow(
    context: ssl.SSLContext,
    lowest: ssl.TLSVersion | None,
    highest: ssl.TLSVersion | None = None,
) -> None:
    """Offer these protocols alone. Python warns of the old ones, which may be what is looked for.

    Raises:
        ValueError: the library does not have one of them.
    """
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        if lowest is not None:
            context.minimum_version = lowest
        if highest is not None:
            context.maximum_version = highest


def _bare() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
