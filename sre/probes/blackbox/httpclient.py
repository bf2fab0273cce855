"""Which connection, TLS and proxy does a module ask for, in the words of our HTTP options?"""

from __future__ import annotations

import urllib.request
from typing import Any, Literal
from urllib.parse import urlsplit

from sre.core.errors import UsageError
from sre.journey.guard import Guard
from sre.journey.host import canonical_host
from sre.probes.blackbox.clientoptions import TlsConfig
from sre.probes.blackbox.httphop import Proxied
from sre.probes.blackbox.model import BlackboxContext
from sre.probes.blackbox.modules import HttpOptions
from sre.probes.blackbox.resolve import admit
from sre.probes.httpoptions import HttpOptions as Connection
from sre.probes.httpoptions import TlsOptions

__all__ = ["connection", "name_only", "proxied", "proxy_url"]

TlsVersion = Literal["TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"]

_VERSIONS: dict[str, TlsVersion] = {
    "TLS10": "TLSv1.0", "TLS11": "TLSv1.1", "TLS12": "TLSv1.2", "TLS13": "TLSv1.3",
}  # fmt: skip
_bypassed: Any = urllib.request.proxy_bypass_environment  # type: ignore[attr-defined]  # not in the stubs
_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


def connection(
    tls: TlsConfig, *, http2: bool = True, http3: bool = False, brotli: bool = False
) -> Connection:
    """The options of one connection. Raises UsageError for settings that contradict each other."""
    lowest = _VERSIONS[tls.min_version or "TLS12"]
    highest = _VERSIONS[tls.max_version] if tls.max_version else None
    if highest is not None and highest < lowest and tls.min_version is None:
        lowest = highest  # as Go: the default floor gives way
    try:
        options = TlsOptions(
            ca_file=tls.ca_file or None,
            ca=tls.ca or None,
            cert_file=tls.cert_file or None,
            cert=tls.cert or None,
            key_file=tls.key_file or None,
            key=tls.key,
            verify=not tls.insecure_skip_verify,
            min_version=lowest,
            max_version=highest,
        )
    except ValueError as error:
        raise UsageError(f"tls_config: {error}") from error
    version = "3" if http3 else "any" if http2 else "1.1"
    return Connection(http_version=version, compress="br" if brotli else "none", tls=options)


def proxy_url(options: HttpOptions, scheme: str, host: str) -> str:
    """The proxy for a target, empty without one."""
    if options.proxy_url:
        bypassed = {"no": options.no_proxy}
        bypass = options.no_proxy and _bypassed(host, bypassed)
        return "" if bypass else options.proxy_url
    if not options.proxy_from_environment:
        return ""
    found = urllib.request.getproxies_environment()
    if _bypassed(host, found):
        return ""
    return found.get(scheme, "")


def proxied(options: HttpOptions, url: str, context: BlackboxContext) -> Proxied:
    """The proxy at its admitted address.

    Raises:
        Blocked, Unresolved: as for a target.
        UsageError: the address of the proxy cannot be read, or a header's secret.
    """
    parts = urlsplit(url if "://" in url else f"http://{url}")
    port = parts.port or _PORTS.get(parts.scheme)
    if not parts.hostname or port is None:
        raise UsageError("proxy_url must be http://HOST:PORT")
    admission = admit(context, parts.hostname, port)
    where = parts.netloc.rpartition("@")
    authority = where[2] if parts.scheme == "https" else admission.authority
    headers = [
        f"{name}: {secret.reveal()}"
        for name, secrets in options.proxy_connect_header.items()
        for secret in secrets
    ]
    return Proxied(f"{parts.scheme}://{where[0]}{where[1]}{authority}", tuple(headers))


def name_only(guard: Guard, host: str, port: int, seconds: float) -> None:
    """Admit a name whose address only the proxy will know.

    Raises:
        Blocked: the name is not on the list, or it is an address that is not.
    """
    somewhere = ["1.1.1.1"]  # any global address: what counts is the name
    guard.using(lambda _host, _port: somewhere).admit(canonical_host(host), port, seconds)
