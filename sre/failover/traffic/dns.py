"""Where does a name point, who may have seen the old answer, and how is it changed for certain?

Changes are RFC 2136 updates, signed, and bound to what was read just before: when somebody else
was quicker, ours changes nothing and we look again.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, Transient, UsageError
from sre.core.secrets import Secret
from sre.core.units import format_duration
from sre.failover.switches import Server, Way
from sre.failover.traffic.addresses import host_and_port

if TYPE_CHECKING:
    from sre.failover.traffic.dnstalk import Zone

__all__ = ["DnsTraffic", "Key"]

_TIMES = 5


@dataclass(frozen=True)
class Key:
    """A TSIG key.

    Attributes:
        name: what the server calls it.
        algorithm: as the server's `key` block says.
        secret: base64, as there.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    name: str
    secret: Secret
    algorithm: str = "hmac-sha256"

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("name is the key's name on the server")
        known = ("hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512", "hmac-sha1")
        if self.algorithm not in known:
            raise ValueError(f"algorithm {self.algorithm!r}; known: {', '.join(known)}")


@dataclass(frozen=True)
class DnsTraffic:
    """One name of a zone whose addresses are the servers that take work.

    Attributes:
        server: the zone's primary name server, HOST:PORT.
        zone: the zone that holds the name.
        name: the record, inside the zone or with it (`db` or `db.shop.example`).
        ttl: seconds that resolvers may keep an answer, for records that we write.
        servers: what each is called here -> its address (A, AAAA) or its host name (CNAME).
        park: where the name points while no server is open; without it the last one stays, since
            a name without an address is remembered as missing for longer than a switchover takes.
        key: signs updates (TSIG): `{name: …, algorithm: hmac-sha256, secret: …}`.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    server: str
    zone: str
    name: str
    servers: Mapping[str, str]
    key: Key
    ttl: int = 30
    park: str = ""
    _kind: str = field(default="", init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        host_and_port(self.server)
        if not self.zone.strip(".") or not self.name:
            raise ValueError("zone is the zone's name, name a record in it")
        if not 0 <= self.ttl <= 86400:
            raise ValueError("ttl is seconds, 0 to 86400")
        every = [*self.servers.values(), *([self.park] if self.park else [])]
        kinds = {record_type(each) for each in every}
        if len(kinds) != 1:
            raise ValueError(
                "servers are all IPv4 addresses, or all IPv6, or all host names"
                if kinds
                else "servers is empty; give {a: 10.0.0.1, b: 10.0.0.2}"
            )
        if len(set(map(str.lower, every))) < len(every):
            raise ValueError("servers (and park) give one address twice")
        object.__setattr__(self, "_kind", kinds.pop())

    def look(self, deadline: Deadline) -> Way:
        """What the name server says, asked for the zone itself."""
        seen = self._zone().read(deadline)
        problems = []
        known = {_plain(each): name for name, each in self.servers.items()}
        parked = bool(self.park) and seen.values == {_plain(self.park)}
        strays = sorted(seen.values - set(known) - ({_plain(self.park)} if self.park else set()))
        if strays:
            problems.append(f"{self.name} also points at {', '.join(strays)}, none of `servers`")
        if not seen.values:
            problems.append(f"{self.name} has no {self._kind} record")
        if seen.values and seen.ttl != self.ttl:
            problems.append(f"{self.name} has the TTL {seen.ttl}, and `ttl` says {self.ttl}")
        if not seen.authoritative:
            problems.append(f"{self.server} does not answer for {self.zone} itself")
        notes = [
            f"after a change, clients may go to the old address for {format_duration(seen.ttl)}; "
            "DNS ends no sessions"
        ]
        if parked:
            notes.append(f"{self.name} is parked at {self.park}")
        found = tuple(
            Server(name, each, state, state)
            for name, each in self.servers.items()
            for state in (("open",) if _plain(each) in seen.values else ("closed",))
        )
        return Way(found, tuple(problems), notes=tuple(notes))

    def close(self, server: str, deadline: Deadline) -> None:
        """The name no longer points there; the last one gives way to `park` alone.

        DNS ends no sessions and clients keep answers: only a fence keeps them away for certain.
        """
        gone = self._value(server)
        self._put(lambda now: self._or_parked(now - {gone}, now), deadline)

    def drain(self, server: str, deadline: Deadline) -> None:
        """As `close`: there is no difference here."""
        self.close(server, deadline)

    def open(self, server: str, deadline: Deadline) -> None:
        """The name points there, too; a CNAME points there alone."""
        come = self._value(server)
        parked = frozenset({_plain(self.park)}) if self.park else frozenset[str]()
        if self._kind == "CNAME":
            self._put(lambda _now: frozenset({come}), deadline)
        else:
            self._put(lambda now: (now - parked) | {come}, deadline)

    def repoint(self, server: str, deadline: Deadline) -> None:
        """The name points there alone."""
        come = self._value(server)
        self._put(lambda _now: frozenset({come}), deadline)

    def _or_parked(self, left: frozenset[str], now: frozenset[str]) -> frozenset[str]:
        if left:
            return left
        return frozenset({_plain(self.park)}) if self.park else now

    def _put(
        self, wanted_of: Callable[[frozenset[str]], frozenset[str]], deadline: Deadline
    ) -> None:
        zone = self._zone()
        for _ in range(_TIMES):
            seen = zone.read(deadline)
            wanted = wanted_of(seen.values)
            if wanted == seen.values and (seen.ttl == self.ttl or not wanted):
                return
            if zone.replace(seen, wanted, self.ttl, deadline):
                break
        else:
            raise Transient(f"{self.name} is changed by somebody else all the time; try again")
        now = zone.read(deadline)
        if wanted_of(now.values) != now.values:
            raise CheckFailed(
                f"{self.server} took the update, and {self.name} points at "
                f"{', '.join(sorted(now.values)) or 'nothing'}: somebody else changed it since"
            )

    def _value(self, server: str) -> str:
        if server not in self.servers:
            known = ", ".join(self.servers)
            raise UsageError(f"there is no server {server!r}; known: {known}")
        return _plain(self.servers[server])

    def _zone(self) -> Zone:
        from sre.failover.traffic.dnstalk import Zone  # noqa: PLC0415  dnspython only when asked

        key = self.key
        return Zone(
            self.server, self.zone, self.name, self._kind, (key.name, key.algorithm, key.secret)
        )


def record_type(value: str) -> str:
    """A, AAAA or CNAME."""
    try:
        return "A" if ipaddress.ip_address(value).version == 4 else "AAAA"
    except ValueError:
        if not value.strip(".") or any(each.isspace() or each in ":/\"'" for each in value):
            raise ValueError(f"{value!r} is neither an address nor a host name") from None
        return "CNAME"


def _plain(value: str) -> str:
    """As `dnstalk` writes what it read."""
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        return value.rstrip(".").lower() + "."
