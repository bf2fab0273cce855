"""May this address be contacted, and at which one, pinned, IP address?

Default deny. Name, port and the connected address must all be admitted:

- `shop.example.com:443`, `*.example.com:443`: a name admits global addresses alone, so that a name
  which suddenly resolves to 127.0.0.1 or 10.0.0.5 (DNS rebinding) leads nowhere;
- `10.0.0.0/8:8080`, `127.0.0.1:*`, `[::1]:443`: addresses and networks; what a listed name resolves
  to is admitted too when such an entry covers it;
- link-local and metadata addresses only when listed literally, as one address.

`localhost` is special by RFC 6761: it is loopback and nothing else, and is never asked of DNS.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

from sre.core.errors import Refused
from sre.journey.host import Address, Inadmissible, canonical_host, literal, origin_of, unwrapped
from sre.journey.resolve import Resolver, Unresolved, system_resolve, within

__all__ = [
    "Admission",
    "Blocked",
    "Guard",
    "Resolver",
    "Unresolved",
    "parse_entry",
    "system_resolve",
]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_METADATA = (
    ipaddress.ip_network("169.254.0.0/16"),
    ipaddress.ip_network("fe80::/10"),
    ipaddress.ip_network("fd00:ec2::254/128"),
    ipaddress.ip_network("100.100.100.200/32"),
    ipaddress.ip_network("168.63.129.16/32"),
)
_NOT_GLOBAL = tuple(
    ipaddress.ip_network(text) for text in ("192.0.0.0/24", "64:ff9b:1::/48", "fec0::/10")
)  # which is_global of some Python versions takes for global


class Blocked(Refused):
    """The allow-list does not admit this target. Nothing was sent."""


@dataclass(frozen=True, slots=True)
class Admission:
    """One admitted, pinned address. `seconds` is what resolving took; None for a literal."""

    host: str
    port: int
    address: str
    seconds: float | None = None

    @property
    def authority(self) -> str:
        """address:port, an IPv6 address in brackets."""
        return (
            f"[{self.address}]:{self.port}"
            if ":" in self.address
            else f"{self.address}:{self.port}"
        )


@dataclass(frozen=True, slots=True)
class _Entry:
    port: int | None
    network: Network | None = None
    name: str = ""
    suffix: str = ""

    def for_port(self, port: int) -> bool:
        return self.port is None or self.port == port

    def names(self, host: str) -> bool:
        return host == self.name if self.name else bool(self.suffix) and host.endswith(self.suffix)

    def covers(self, address: Address) -> bool:
        if self.network is None or self.network.version != address.version:
            return False
        if any(address in special for special in _METADATA if special.version == address.version):
            return self.network.num_addresses == 1 and address in self.network
        return address in self.network


def parse_entry(text: str) -> _Entry:
    """Parse one line of `targets.allow`.

    Raises:
        ValueError: not NAME:PORT, *.NAME:PORT, IP:PORT or CIDR:PORT.
    """
    host, colon, port_text = text.rpartition(":")
    good_port = port_text == "*" or (port_text.isdecimal() and 0 < int(port_text) < 65536)
    if not colon or not host or not good_port:
        raise ValueError(
            f"{text!r} is not an entry; write 'shop.example.com:443', '127.0.0.1:*' or "
            "'10.0.0.0/8:8080'"
        )
    port = None if port_text == "*" else int(port_text)
    bare = host.removeprefix("[").replace("]", "", 1) if host.startswith("[") else host
    if "/" in bare or literal(bare) is not None:
        try:
            network = ipaddress.ip_network(bare, strict=True)
            if network.num_addresses == 1:
                network = ipaddress.ip_network(unwrapped(network.network_address))
            return _Entry(port, network=network)
        except ValueError as error:
            raise ValueError(f"{text!r}: {error}; write a network as '10.0.0.0/8:443'") from error
    try:
        name = canonical_host(bare.removeprefix("*."))
    except Inadmissible as error:
        raise ValueError(
            f"{text!r}: a name, or '*.' and a name; no scheme and no other wildcard"
        ) from error
    return _Entry(port, suffix=f".{name}") if bare.startswith("*.") else _Entry(port, name=name)


class Guard:
    """The allow-list. Thread-safe; holds no state but the list."""

    def __init__(
        self,
        allow: Sequence[str],
        base_url: str | None = None,
        resolve: Resolver | None = None,
    ) -> None:
        """Without entries, only `base_url`'s own host and port are admitted.

        Raises:
            ValueError: a malformed entry.
        """
        entries = list(allow)
        if not entries and base_url is not None:
            _, host, port = origin_of(base_url)
            entries = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"]
        self._entries = tuple(parse_entry(entry) for entry in entries)
        self._resolve = resolve or system_resolve

    def using(self, resolve: Resolver) -> Guard:
        """The same list with another resolver, for a caller that prefers some addresses."""
        other = copy(self)
        other._resolve = resolve
        return other

    def admit(
        self, host: str, port: int, timeout: float | None, families: Sequence[int] = ()
    ) -> Admission:
        """The one address to connect to. Called for each connection and each redirect hop.

        Args:
            timeout: seconds that resolving may take; None: the caller's thread may hang in it.
            families: 4 and 6 in the order of preference; a family that is left out is not used.

        Raises:
            Blocked: name, port or address is not on the list.
            Unresolved: the name has no address (of these families), or no answer in time.
        """
        host = _canonical(host)
        address = literal(host)
        if address is not None:
            return self._literal(host, address, port, families)
        if not any(entry.for_port(port) and entry.names(host) for entry in self._entries):
            raise self._blocked(host, port, None)
        began = time.monotonic()
        found = _preferred(self._lookup(host, port, timeout), host, families)
        for address in found:
            if self._admitted(host, unwrapped(address), port):
                return Admission(host, port, str(address), time.monotonic() - began)
        raise self._blocked(host, port, str(unwrapped(found[0])))

    def asks(self, host: str, port: int) -> bool:
        """Whether `admit` would ask DNS, and so take its time."""
        host = _canonical(host)
        named = any(entry.for_port(port) and entry.names(host) for entry in self._entries)
        return named and literal(host) is None and not _is_localhost(host)

    def check_name(self, host: str, port: int) -> None:
        """The name alone is on the list; its address is somebody else's choice. Raises Blocked."""
        host = _canonical(host)
        address = literal(host)
        if address is not None:
            self._literal(host, address, port, ())
        elif not any(entry.for_port(port) and entry.names(host) for entry in self._entries):
            raise self._blocked(host, port, None)

    def _literal(
        self, host: str, address: Address, port: int, families: Sequence[int]
    ) -> Admission:
        if not self._covered(unwrapped(address), port):
            raise self._blocked(host, port, str(unwrapped(address)))
        _preferred([address], host, families)
        return Admission(host, port, str(address))

    def _lookup(self, host: str, port: int, timeout: float | None) -> list[Address]:
        if _is_localhost(host):
            return [ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")]
        names = within(lambda: self._resolve(host, port), timeout, host)
        found = [address for name in names if (address := literal(name)) is not None]
        if not found:
            raise Unresolved(f"{host} has no address")
        return found

    def _admitted(self, host: str, address: Address, port: int) -> bool:
        if _is_localhost(host):
            return address.is_loopback
        return (address.is_global and not _special(address)) or self._covered(address, port)

    def _covered(self, address: Address, port: int) -> bool:
        return any(entry.for_port(port) and entry.covers(address) for entry in self._entries)

    def _blocked(self, host: str, port: int, address: str | None) -> Blocked:
        where = f"{_bracketed(host)}:{port}" if port else host  # ICMP has no port
        where += f" ({address})" if address and address != host else ""
        cure = f"{_bracketed(address or host)}:{port or '*'}"
        return Blocked(
            f"{where} is not on the allow-list; nothing was sent. "
            f"If it is meant, add {cure!r} to targets.allow"
        )


def _canonical(host: str) -> str:
    try:
        return canonical_host(host.removeprefix("[").removesuffix("]"))
    except Inadmissible as error:
        raise Blocked(f"{error}; nothing was sent") from error


def _preferred(found: list[Address], host: str, families: Sequence[int]) -> list[Address]:
    """The addresses of the wanted families, the first family's first. Raises Unresolved."""
    if not families:
        return found
    wanted = [address for family in families for address in found if address.version == family]
    if not wanted:
        raise Unresolved(f"{host} has no IPv{families[0]} address")
    return wanted


def _is_localhost(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost")


def _special(address: Address) -> bool:
    nets = (*_METADATA, *_NOT_GLOBAL)
    return any(address in net for net in nets if net.version == address.version) or (
        address.is_multicast or address.is_unspecified or address.is_reserved
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
