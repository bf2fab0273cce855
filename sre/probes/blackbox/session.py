"""How does a prober of /probe connect and begin TLS, as a module of blackbox_exporter says?"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from functools import partial

from sre.core.errors import UsageError
from sre.journey.guard import Admission
from sre.journey.result import Reason
from sre.journey.shop import Shop
from sre.probes.blackbox.clientoptions import TlsConfig
from sre.probes.blackbox.model import BlackboxContext
from sre.probes.dial import Attempt, Trouble, secured
from sre.probes.model import ProbeContext
from sre.probes.peer import Trust, narrow, sent_der, trusting
from sre.probes.wire import tls_context
from sre.probes.x509 import Certificate, read_certificate

__all__ = ["attempt_of", "certificates", "dialled", "encrypted", "split_host_port"]

_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_NO_SHOP = Shop("none", "http://127.0.0.1")


def attempt_of(step: str, context: BlackboxContext) -> Attempt:
    """One run within the deadline of the request, for the protocols that the kinds share."""
    inner = ProbeContext(context.deadline, context.guard, _NO_SHOP, context.deadline.clock)
    return Attempt(step, inner)


def split_host_port(target: str) -> tuple[str, int] | None:
    """`HOST:PORT` as Go splits it; None when it is not of that form. Port 0 is one unheard of."""
    host, colon, name = target.rpartition(":")
    inside = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or (":" in inside and inside == host) or "[" in inside or "]" in inside:
        return None
    if name.isascii() and name.isdecimal():
        return inside, int(name) if 0 < int(name) < 65536 else 0
    try:
        return inside, socket.getservbyname(name)
    except (OSError, ValueError):
        return inside, 0


def dialled(attempt: Attempt, admission: Admission, source: str = "") -> socket.socket:
    """A TCP connection to the admitted address, from an address of ours if it is named.

    Raises:
        Trouble: `connect` or `timeout`.
    """
    with attempt.phase("connect"):
        try:
            return socket.create_connection(
                (admission.address, admission.port),
                attempt.time_left(),
                (source, 0) if source else None,
            )
        except TimeoutError as error:
            raise Trouble(Reason.TIMEOUT, "no connection in time") from error
        except OSError as error:
            raise Trouble(Reason.CONNECT, str(error.strerror or error).lower()) from error


def encrypted(
    attempt: Attempt, tls: TlsConfig, host: str
) -> Callable[[socket.socket], ssl.SSLSocket]:
    """What makes a plain connection one with TLS; it raises Trouble.

    Raises:
        UsageError: a file or secret of `tls_config` cannot be read or used.
    """
    context, name = _context(tls), tls.server_name or host
    return lambda raw: secured(attempt, raw, context, name)


def certificates(connection: ssl.SSLSocket) -> list[Certificate]:
    """What the server sent, its own certificate first."""
    found = []
    for der in sent_der(connection):
        with contextlib.suppress(ValueError):
            found.append(read_certificate(der))
    return found


def _context(tls: TlsConfig) -> ssl.SSLContext:
    lowest = _VERSIONS[tls.min_version or "TLS12"]
    highest = _VERSIONS[tls.max_version] if tls.max_version else None
    own = tls.ca or tls.cert or tls.insecure_skip_verify or highest
    if not own:
        files = (tls.ca_file or None, tls.cert_file or None, tls.key_file or None)
        return trusting(Trust(*files, minimum=lowest))
    with _files(tls) as (cert_file, key_file):
        if tls.insecure_skip_verify:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            _load(context, cert_file, key_file)
        elif tls.ca:
            context = _with_authorities(tls.ca)
            _load(context, cert_file, key_file)
        else:
            context = tls_context(tls.ca_file or None, cert_file, key_file)
    if highest is not None and highest < lowest and not tls.min_version:
        lowest = highest  # as Go: the default floor gives way
    narrow(context, lowest, highest)
    return context


def _with_authorities(text: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cadata=text)
    except (ssl.SSLError, ValueError) as error:
        raise UsageError("tls_config: ca is no PEM certificate") from error


def _load(context: ssl.SSLContext, cert_file: str | None, key_file: str | None) -> None:
    if cert_file is None:
        return
    try:
        context.load_cert_chain(cert_file, key_file)
    except (OSError, ssl.SSLError) as error:
        raise UsageError("tls_config: the client certificate or key cannot be used") from error


@contextlib.contextmanager
def _files(tls: TlsConfig) -> Iterator[tuple[str | None, str | None]]:
    """Certificate and key as files, for OpenSSL reads nothing else; our own are gone afterwards."""
    with contextlib.ExitStack() as stack:
        kept = partial(_kept, stack)
        cert = kept(tls.cert) if tls.cert else tls.cert_file or None
        key = kept(tls.key.reveal()) if tls.key else tls.key_file or None
        yield cert, key


def _kept(stack: contextlib.ExitStack, text: str) -> str:
    handle, path = tempfile.mkstemp(prefix="sre-")
    stack.callback(os.unlink, path)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    return path
