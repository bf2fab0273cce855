"""Does an address answer ICMP echo requests, and how long does the answer take?

Linux' own sockets for pings need no privilege where `net.ipv4.ping_group_range` covers one of our
groups; else a raw socket needs CAP_NET_RAW. The arrival is timed by the kernel, so that a busy
process of ours does not look like a slow network.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address

from sre.journey.result import Reason
from sre.probes.arrival import SPACE, Start, stamped
from sre.probes.dial import Attempt, Trouble

__all__ = ["Echoed", "Pinger", "Reply", "Request", "ping"]

_LINUX = sys.platform == "linux"
_IP_MTU_DISCOVER, _IP_RECVERR, _IP_RECVTTL = 10, 11, 12
_IPV6_MTU_DISCOVER, _IPV6_RECVERR = 23, 25
_ALWAYS_WHOLE = 2  # IP_PMTUDISC_DO: don't fragment
_HEADER = struct.Struct("!BBHHH")
_REFUSED = (
    "this process may not send ICMP: put its group into the sysctl net.ipv4.ping_group_range "
    "(such as '0 2147483647'), or give it the capability CAP_NET_RAW (setcap, or "
    "AmbientCapabilities= of its systemd unit)"
)


@dataclass(frozen=True)
class Request:
    """What each packet is like.

    Attributes:
        payload: bytes behind the header.
        hops: the time to live to send with; None is the system's.
        whole: forbid to fragment the packet.
        source: the address of ours to send from.
        label: text at the start of the payload, for who reads the traffic.
    """

    payload: int = 56
    hops: int | None = None
    whole: bool = False
    source: str = ""
    label: bytes = b"sre probe"


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `hop_limit` is what its time to live had come down to, where it is known."""

    sequence: int
    seconds: float
    hop_limit: int | None


@dataclass(frozen=True)
class Echoed:
    """What came of some requests. `trouble` is the last error that a network reported."""

    sent: int
    replies: Sequence[Reply]
    trouble: str = ""

    @property
    def loss(self) -> float:
        """Share of the requests without an answer."""
        return 1 - len(self.replies) / self.sent if self.sent else 0.0


class Pinger:
    """A socket for pings to one address.

    Raises:
        Trouble: `prober` when neither kind of socket is permitted, `connect` without a route.
    """

    def __init__(self, address: str, request: Request) -> None:
        self._peer = ip_address(address)
        self._six = self._peer.version == 6
        self._request = request
        self._token = os.urandom(8)
        self._number = int.from_bytes(os.urandom(2), "big")
        self._sent: dict[int, Start] = {}
        self._plug, self._raw = _opened(socket.AF_INET6 if self._six else socket.AF_INET)
        try:
            self._set()
            if request.source:
                self._plug.bind((request.source, 0))
            self._plug.connect((address, 0))
        except OSError as error:
            self.close()
            raise Trouble(Reason.CONNECT, _words(error, request)) from error

    def close(self) -> None:
        """Give the socket back."""
        self._plug.close()

    def send(self, sequence: int) -> None:
        """Send one request. Raises OSError."""
        kind = 128 if self._six else 8
        data = self._payload()
        packet = _HEADER.pack(kind, 0, 0, self._number, sequence) + data
        if not self._six:  # the kernel sums up ICMPv6 by itself
            packet = _HEADER.pack(kind, 0, _checksum(packet), self._number, sequence) + data
        self._sent[sequence] = Start()
        self._plug.send(packet)

    def receive(self, seconds: float) -> Reply | None:
        """The next packet, if it answers one of ours. Raises OSError; TimeoutError in time."""
        self._plug.settimeout(max(0.001, seconds))
        data, ancillary, _, peer = self._plug.recvmsg(65535, SPACE)
        if ip_address(str(peer[0]).partition("%")[0]) != self._peer:
            return None  # an unprivileged socket is given everybody's, connected or not
        if not self._six and (self._raw or not _LINUX):
            data = data[(data[0] & 0x0F) * 4 :]
        if len(data) < _HEADER.size:
            return None
        kind, code, _, number, sequence = _HEADER.unpack_from(data)
        ours = not self._raw or number == self._number
        if (kind, code) != (129 if self._six else 0, 0) or not ours or sequence not in self._sent:
            return None
        if data[_HEADER.size :] != self._payload():
            return None
        return Reply(sequence, self._sent.pop(sequence).seconds(ancillary), _hops(ancillary))

    def _payload(self) -> bytes:
        """The token first, then the label, filled up: an answer must bring it all back."""
        text = self._token + self._request.label
        return text[: self._request.payload].ljust(self._request.payload, b"\0")

    def _set(self) -> None:
        request, plug = self._request, self._plug
        level = socket.IPPROTO_IPV6 if self._six else socket.IPPROTO_IP
        if request.hops is not None:
            name = socket.IPV6_UNICAST_HOPS if self._six else socket.IP_TTL
            plug.setsockopt(level, name, request.hops)
        if not _LINUX:
            return
        stamped(plug)
        plug.setsockopt(level, _IPV6_RECVERR if self._six else _IP_RECVERR, 1)
        plug.setsockopt(level, socket.IPV6_RECVHOPLIMIT if self._six else _IP_RECVTTL, 1)
        if request.whole:
            name = _IPV6_MTU_DISCOVER if self._six else _IP_MTU_DISCOVER
            plug.setsockopt(level, name, _ALWAYS_WHOLE)


@dataclass
class _Round:
    """Requests under way: who has answered, and what went wrong."""

    attempt: Attempt
    pinger: Pinger
    request: Request
    replies: dict[int, Reply] = field(default_factory=dict)
    trouble: str = ""

    def send(self, sequence: int) -> bool:
        try:
            self.pinger.send(sequence)
        except OSError as error:
            self.trouble = _words(error, self.request)
            return False
        return True

    def gather(self, seconds: float, sequence: int | None = None) -> None:
        """Take what comes for so long; only until this one's answer, if it is named."""
        until = time.monotonic() + min(seconds, self.attempt.context.deadline.left())
        while (left := until - time.monotonic()) > 0:
            try:
                reply = self.pinger.receive(left)
            except TimeoutError:
                return
            except OSError as error:
                self.trouble = _words(error, self.request)
                if sequence is not None:
                    return
                continue
            if reply is not None:
                self.replies[reply.sequence] = reply
                if reply.sequence == sequence:
                    return


def ping(
    attempt: Attempt, address: str, request: Request, count: int = 1, interval: float = 0.2
) -> Echoed:
    """Send `count` requests, one after the other, and wait for each one's answer.

    Each waits for its share of the time that is left; an answer that comes later counts as well.

    Raises:
        Trouble: nothing can be sent at all.
    """
    with closing(Pinger(address, request)) as pinger:
        run = _Round(attempt, pinger, request)
        sent = 0
        for sequence in range(1, count + 1):
            left = attempt.context.deadline.left()
            if left <= 0 or attempt.context.cancelled.is_set():
                break
            began, sent = time.monotonic(), sent + 1
            if run.send(sequence):
                run.gather(left / (count - sequence + 1), sequence)
            if sequence < count:
                run.gather(began + interval - time.monotonic())
    replies = [run.replies[sequence] for sequence in sorted(run.replies)]
    return Echoed(sent, replies, run.trouble)


def _opened(family: socket.AddressFamily) -> tuple[socket.socket, bool]:
    """A socket, and whether it is a raw one."""
    protocol = socket.IPPROTO_ICMPV6 if family == socket.AF_INET6 else socket.IPPROTO_ICMP
    with suppress(OSError):
        return socket.socket(family, socket.SOCK_DGRAM, protocol), False
    try:
        return socket.socket(family, socket.SOCK_RAW, protocol), True
    except PermissionError as error:
        raise Trouble(Reason.PROBER, _REFUSED) from error
    except OSError as error:
        raise Trouble(Reason.PROBER, f"no socket for ICMP: {error.strerror}") from error


def _hops(ancillary: Sequence[tuple[int, int, bytes]]) -> int | None:
    """What the packet's time to live had come down to."""
    kinds = (
        (socket.IPPROTO_IP, socket.IP_TTL),
        (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT),
    )
    found = [data for level, kind, data in ancillary if (level, kind) in kinds]
    return int.from_bytes(found[0][:4], sys.byteorder) if found else None


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _words(error: OSError, request: Request) -> str:
    if error.errno == errno.EMSGSIZE:
        return f"a payload of {request.payload} bytes does not fit through the path in one piece"
    if error.errno in (errno.EPERM, errno.EACCES):
        return "the firewall of this machine refuses to send it"
    return str(error.strerror or error).lower()
