"""What does one DNS server answer to one question, within the deadline of its probe?

Whatever comes is untrusted: it must be DNS and belong to the question, else it does not count.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sre.journey.guard import Admission
from sre.journey.result import Reason
from sre.probes.arrival import SPACE, Start, stamped
from sre.probes.conversation import Hear, Heard, Say, Unmatched
from sre.probes.dial import Attempt, Trouble, connect
from sre.probes.dialogue import hold
from sre.probes.drivers import needs

if TYPE_CHECKING:
    from dns.message import Message

__all__ = ["Answer", "Question", "Record", "ask", "known"]

_PAYLOAD = 1232
"""Bytes of an answer over UDP that fit into every usual packet (the resolvers' common choice)."""

_MOST_STRAYS = 100


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        recursion: let the server ask others for the answer.
        edns: say that larger answers over UDP are welcome; a server of before 1999 minds.
    """

    name: str
    type: str = "A"
    kind: str = "IN"
    recursion: bool = True
    edns: bool = True


@dataclass(frozen=True, slots=True)
class Record:
    """One resource record as text, names with their final dot."""

    name: str
    ttl: int
    kind: str
    type: str
    data: str

    def text(self, separator: str = " ") -> str:
        """`shop.example.com. 300 IN A 192.0.2.1`."""
        return separator.join((self.name, str(self.ttl), self.kind, self.type, self.data))


@dataclass(frozen=True)
class Answer:
    """What came.

    Attributes:
        truncated: whether the answer over UDP was cut off.
        extended: whether it carries EDNS, a pseudo record that is not in `additional`.
        serial: of a SOA record among the answers.
    """

    rcode: str
    answers: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    authoritative: bool = False
    authenticated: bool = False
    truncated: bool = False
    extended: bool = False
    serial: int | None = None


Opener = Callable[[], socket.socket]
"""Connects (and encrypts) for a question over TCP. Raises Trouble."""


def ask(
    attempt: Attempt,
    admission: Admission,
    question: Question,
    *,
    stream: Opener | None = None,
    source: str = "",
    again: bool = True,
) -> Answer:
    """Ask once: over UDP, or over what `stream` opens.

    An answer that is cut off over UDP is asked for again over TCP, as every resolver does.

    Args:
        source: the address of ours to ask from.
        again: whether to do so.

    Raises:
        Trouble: `connect`, `timeout`, `protocol`, or what `stream` raises.
        MissingExtra: dnspython is not installed.
    """
    query = _query(question)
    if stream is not None:
        return _read(_over_stream(attempt, stream, query))
    answer = _read(_over_udp(attempt, admission, query, source))
    if not answer.truncated or not again:
        return answer
    full = _read(_over_stream(attempt, lambda: connect(attempt, admission), query))
    return Answer(**{**vars(full), "truncated": True})


def known(question: Question) -> bool:
    """Whether DNS has such a class and such a type. Raises MissingExtra."""
    with needs("dns", "network"):
        import dns.exception  # noqa: PLC0415  an extra
        import dns.rdataclass  # noqa: PLC0415
        import dns.rdatatype  # noqa: PLC0415
    try:
        dns.rdataclass.from_text(question.kind)
        dns.rdatatype.from_text(question.type)
    except (dns.exception.DNSException, ValueError):
        return False
    return True


def _query(question: Question) -> Message:
    with needs("dns", "network"):
        import dns.exception  # noqa: PLC0415  an extra
        import dns.flags  # noqa: PLC0415
        import dns.message  # noqa: PLC0415
    try:
        made = dns.message.make_query(question.name, question.type, question.kind)
    except (dns.exception.DNSException, ValueError) as error:
        raise Trouble(Reason.PROBER, f"no question can be made of this: {error}") from error
    if not question.recursion:
        made.flags &= ~dns.flags.RD
    if question.edns:
        made.use_edns(0, payload=_PAYLOAD)
    return made


def _over_udp(attempt: Attempt, admission: Admission, query: Message, source: str) -> Message:
    """The first packet from that server that answers the question; others are passed over."""
    family = socket.AF_INET6 if ":" in admission.address else socket.AF_INET
    began, took = Start(), 0.0
    with closing(socket.socket(family, socket.SOCK_DGRAM)) as plug:
        try:
            if source:
                plug.bind((source, 0))
            plug.connect((admission.address, admission.port))
            stamped(plug)
            plug.settimeout(attempt.time_left())
            began = Start()
            plug.send(query.to_wire())
            found, took = _first(attempt, plug, query, began)
        except ConnectionRefusedError as error:
            raise Trouble(Reason.CONNECT, "nothing listens there: port unreachable") from error
        except OSError as error:
            raise Trouble(Reason.CONNECT, f"cannot be reached: {error.strerror}") from error
        finally:
            attempt.phases["processing"] = took or began.seconds(())
    return found


def _first(
    attempt: Attempt, plug: socket.socket, query: Message, began: Start
) -> tuple[Message, float]:
    strays = 0
    try:
        while strays < _MOST_STRAYS:
            plug.settimeout(attempt.time_left())
            data, ancillary, _, _ = plug.recvmsg(65535, SPACE)
            took = began.seconds(ancillary)
            found = _parsed(data)
            if found is not None and query.is_response(found):
                return found, took
            strays += 1
    except (TimeoutError, Trouble) as error:
        if not strays:
            raise Trouble(Reason.TIMEOUT, "no answer came in time") from error
    raise Trouble(
        Reason.PROTOCOL, f"{strays} packets came that are no DNS or answer another question"
    )


def _over_stream(attempt: Attempt, stream: Opener, query: Message) -> Message:
    with closing(stream()) as connection:
        try:
            _, wire = hold(attempt, _framed(query.to_wire()), connection, _no_tls)
        except Unmatched as error:
            raise Trouble(Reason.PROTOCOL, "closed before the answer was complete") from error
        except Trouble as trouble:
            if trouble.reason is not Reason.BODY:
                raise
            raise Trouble(Reason.TIMEOUT, "the answer did not end in time") from trouble
    found = _parsed(wire)
    if found is None:
        raise Trouble(Reason.PROTOCOL, "the answer is no DNS")
    if not query.is_response(found):
        raise Trouble(Reason.PROTOCOL, "the answer belongs to another question")
    return found


def _framed(wire: bytes) -> Generator[Say | Hear, bytes, bytes]:
    """A message over TCP has its length in front (RFC 1035, 4.2.2)."""
    heard = Heard()
    yield Say(len(wire).to_bytes(2, "big") + wire)
    size = int.from_bytes((yield from heard.take(2)), "big")
    return (yield from heard.take(size))


def _no_tls(plain: socket.socket) -> socket.socket:
    return plain


def _parsed(wire: bytes) -> Message | None:
    import dns.exception  # noqa: PLC0415  `_query` was here first
    import dns.message  # noqa: PLC0415

    try:
        return dns.message.from_wire(wire, one_rr_per_rrset=True, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError, LookupError, struct.error):
        return None


def _read(message: Message) -> Answer:
    import dns.flags  # noqa: PLC0415
    import dns.rcode  # noqa: PLC0415

    answers = _records(message.answer)
    return Answer(
        rcode=dns.rcode.to_text(message.rcode()),
        answers=answers,
        authority=_records(message.authority),
        additional=_records(message.additional),
        authoritative=bool(message.flags & dns.flags.AA),
        authenticated=bool(message.flags & dns.flags.AD),
        truncated=bool(message.flags & dns.flags.TC),
        extended=message.edns >= 0,
        serial=_serial(answers),
    )


def _records(section: Any) -> tuple[Record, ...]:
    import dns.rdataclass  # noqa: PLC0415
    import dns.rdatatype  # noqa: PLC0415

    return tuple(
        Record(
            rrset.name.to_text(),
            int(rrset.ttl),
            dns.rdataclass.to_text(rrset.rdclass),
            dns.rdatatype.to_text(rrset.rdtype),
            rdata.to_text(),
        )
        for rrset in section
        for rdata in rrset
    )


def _serial(records: tuple[Record, ...]) -> int | None:
    """The third field of the last SOA record: MNAME RNAME SERIAL …"""
    found = [record.data.split() for record in records if record.type == "SOA"]
    return int(found[-1][2]) if found else None
