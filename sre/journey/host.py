"""Which host does an address name, in whatever spelling? One answer for guard, cookies and libcurl.

Everything that goes out is written with this answer, so what was checked is what is connected.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from functools import lru_cache
from urllib.parse import unquote, urlsplit

__all__ = ["Address", "Inadmissible", "canonical_host", "literal", "origin_of", "unwrapped"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Inadmissible(ValueError):
    """No allow-list could admit it: another scheme, user info, or a host that is none."""


@lru_cache(maxsize=4096)
def origin_of(url: str) -> tuple[str, str, int]:
    """(scheme, host, port) of an absolute http or https URL, the host in its one spelling.

    Raises:
        Inadmissible: another scheme, user info in it, or a host that is no name and no address.
        ValueError: not absolute, or a bad port.
    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS:
        what = Inadmissible if parts.scheme else ValueError
        raise what(f"expected an absolute http or https address, not {url!r}")
    if parts.username is not None or parts.password is not None:
        raise Inadmissible("an address must not carry a user name or a password; use a header")
    if not parts.hostname:
        raise ValueError(f"expected an absolute http or https address, not {url!r}")
    port = _PORTS[parts.scheme] if parts.port is None else parts.port
    if port == 0:
        raise ValueError(f"port 0 in {url!r}")
    return parts.scheme, canonical_host(parts.hostname), port


def canonical_host(text: str) -> str:
    """The host as lower-case ASCII: names in IDNA, addresses in their usual notation.

    Raises:
        Inadmissible: neither a name nor an address.
    """
    host = unquote(text) if ":" not in text else text
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError as error:
            raise Inadmissible(f"{text!r} is not a host name: {error}") from error
    host = host.lower().rstrip(".")
    address = literal(host)
    if address is not None:
        return str(address)
    if not _NAME.fullmatch(host) or _numeric(host):
        raise Inadmissible(f"{text!r} is neither a host name nor an address")
    return host


def literal(host: str) -> Address | None:
    """The address that a host text stands for in any spelling that a C library would take.

    0x7f000001, 2130706433, 017700000001, 127.1, ::ffff:127.0.0.1 are all 127.0.0.1.
    """
    bare = host.removeprefix("[").removesuffix("]").partition("%")[0]
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return _old_style(bare) if _numeric(bare) else None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def unwrapped(address: Address) -> Address:
    """The IPv4 address that a packet to an IPv6 one ends at (mapped, 6to4, NAT64), or itself."""
    if isinstance(address, ipaddress.IPv6Address):
        hidden = address.ipv4_mapped or address.sixtofour
        if hidden is None and address in _NAT64:
            hidden = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return hidden if hidden is not None else address
    return address


def _numeric(host: str) -> bool:
    last = host.rpartition(".")[2]
    return last.isdigit() or re.fullmatch(r"0x[0-9a-f]*", last.lower()) is not None


def _old_style(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None
