"""What does the primary name server of a zone say of a name, and does it take our update?"""

from __future__ import annotations

import base64
import binascii
import contextlib
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.resolver
import dns.rrset
import dns.tsig
import dns.update

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, Transient, UsageError
from sre.core.secrets import Secret
from sre.failover.traffic.addresses import host_and_port

__all__ = ["Seen", "Zone"]


@dataclass(frozen=True)
class Seen:
    """What a name has: addresses in their shortest form, host names in lower case with a dot."""

    values: frozenset[str]
    ttl: int
    authoritative: bool


class Zone:
    """One record of a zone at its primary.

    Args:
        key: name, algorithm and secret of the TSIG key.
    """

    def __init__(
        self, server: str, zone: str, name: str, kind: str, key: tuple[str, str, Secret]
    ) -> None:
        self._host, self._port = host_and_port(server)
        self._server, self._key, self._kind = server, key, kind
        self._zone = dns.name.from_text(zone)
        relative = dns.name.from_text(name, origin=None)
        inside = relative.is_absolute() or dns.name.from_text(name).is_subdomain(self._zone)
        self._name = dns.name.from_text(name) if inside else relative.derelativize(self._zone)
        if not self._name.is_subdomain(self._zone):
            raise UsageError(f"{name} is not in the zone {zone}")

    def read(self, deadline: Deadline) -> Seen:
        """What the server says.

        Raises:
            Transient: it does not answer.
            CheckFailed: it refuses, or the name is a CNAME where addresses are meant.
        """
        kind = dns.rdatatype.from_text(self._kind)
        question = dns.message.make_query(self._name, kind)
        question.flags &= ~dns.flags.RD
        answer = self._send(question, deadline)
        if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise CheckFailed(
                f"{self._server} answers {dns.rcode.to_text(answer.rcode())} for {self._name}"
            )
        found = answer.get_rrset(answer.answer, self._name, dns.rdataclass.IN, kind)
        if found is None and answer.answer:
            raise CheckFailed(f"{self._name} has other records than {self._kind}: change those")
        values = frozenset(map(_value, found)) if found else frozenset[str]()
        authoritative = bool(answer.flags & dns.flags.AA)
        return Seen(values, found.ttl if found else 0, authoritative)

    def replace(self, seen: Seen, wanted: frozenset[str], ttl: int, deadline: Deadline) -> bool:
        """Put `wanted` in the place of `seen`; False when that is no longer there.

        Raises:
            Transient: no answer: it may have been done.
            CheckFailed: the server refuses.
        """
        kind = dns.rdatatype.from_text(self._kind)
        with _readable(self._key):
            update = dns.update.UpdateMessage(self._zone)
            secret = base64.b64decode(self._key[2].reveal().strip(), validate=True)
            ring = {dns.name.from_text(self._key[0]): secret}
            update.use_tsig(ring, keyname=self._key[0], algorithm=f"{self._key[1]}.")
        if seen.values:
            update.present(self._name, dns.rrset.from_text_list(
                self._name, 0, "IN", self._kind, sorted(seen.values)))  # fmt: skip
        else:
            update.absent(self._name, kind)
        update.delete(self._name, kind)
        for each in sorted(wanted):
            update.add(self._name, ttl, self._kind, each)
        try:
            answer = self._send(update, deadline)
        except dns.tsig.PeerError as error:
            raise CheckFailed(f"{self._server} refuses the key {self._key[0]}: {error}") from error
        code = answer.rcode()
        if code in (dns.rcode.NXRRSET, dns.rcode.YXRRSET, dns.rcode.NXDOMAIN, dns.rcode.YXDOMAIN):
            return False
        if code != dns.rcode.NOERROR:
            raise CheckFailed(
                f"{self._server} refuses to change {self._name}: {dns.rcode.to_text(code)}; its "
                f"`allow-update` or `update-policy` must admit the key {self._key[0]}"
            )
        return True

    def _send(self, message: dns.message.Message, deadline: Deadline) -> dns.message.Message:
        """By TCP: nothing is lost on the way or sent twice, and nobody there is known at once."""
        left = max(0.001, deadline.left())
        try:
            return dns.query.tcp(message, self._address(), timeout=left, port=self._port)
        except dns.tsig.PeerError:
            raise
        except (dns.exception.Timeout, OSError, EOFError) as error:
            why = "does not answer" if isinstance(error, dns.exception.Timeout) else str(error)
            raise Transient(f"the name server {self._server}: {why}") from error
        except dns.exception.DNSException as error:
            raise CheckFailed(f"the name server {self._server} says nonsense: {error}") from error

    def _address(self) -> str:
        """The server's number; a name is looked up each time, with the system's resolver."""
        try:
            return str(ipaddress.ip_address(self._host))
        except ValueError:
            return _resolved(self._host)


def _resolved(host: str) -> str:
    import socket  # noqa: PLC0415  for a name alone

    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return str(found[0][4][0])


@contextlib.contextmanager
def _readable(key: tuple[str, str, Secret]) -> Iterator[None]:
    try:
        yield
    except (binascii.Error, dns.exception.DNSException, ValueError, NotImplementedError):
        raise UsageError(
            f"the secret of the key {key[0]} ({key[2].reference}) is not base64"
        ) from None


def _value(rdata: object) -> str:
    text = str(getattr(rdata, "address", None) or getattr(rdata, "target", ""))
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text.rstrip(".").lower() + "."
