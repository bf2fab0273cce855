"""Does a DNS server answer, quickly, and with the right records?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import ClassVar, Literal

from sre.journey.guard import Admission
from sre.journey.host import literal
from sre.journey.result import Outcome, Reason
from sre.probes.dial import Attempt, Trouble, admitted, connect, secured
from sre.probes.dnsquery import Answer, Question, Record, ask
from sre.probes.facts import Facts
from sre.probes.model import Gauge, ProbeContext, Reading
from sre.probes.peer import Trust, trusting

__all__ = ["DnsProbe", "Expect", "Records", "judge", "place"]

Rcode = Literal[
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
    "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE",
]  # fmt: skip
Type = Literal[
    "A", "AAAA", "ANY", "CAA", "CDNSKEY", "CDS", "CNAME", "DNAME", "DNSKEY", "DS", "HTTPS", "LOC",
    "MX", "NAPTR", "NS", "NSEC", "NSEC3", "NSEC3PARAM", "OPENPGPKEY", "PTR", "RRSIG", "SMIMEA",
    "SOA", "SPF", "SRV", "SSHFP", "SVCB", "TLSA", "TXT", "URI",
]  # fmt: skip
_RCODES = Rcode.__args__  # type: ignore[attr-defined]
_SYSTEM = Path("/etc/resolv.conf")
FACTS = Facts(
    "dns",
    ("info", "What is asked for; always 1.", "name", "type"),
    ("query_seconds", "From the question to the whole answer, connecting left out."),
    ("rcode_info", "Code of the answer; always 1.", "rcode"),
    ("answer_records", "Records of the answer section."),
    ("authority_records", "Records of the authority section."),
    ("additional_records", "Records of the additional section."),
    ("smallest_ttl_seconds", "Smallest time to live in the answer section."),
    ("soa_serial", "Serial number of the zone, when SOA is asked for."),
    ("authoritative", "Whether the server says that it is the zone's own."),
    ("authenticated", "Whether the server says that it has verified DNSSEC."),
    ("truncated", "Whether the answer over UDP was cut off, and asked for again over TCP."),
)


def _check(
    match: Sequence[str], forbid: Sequence[str], least: int | None, most: int | None
) -> None:
    for pattern in (*match, *forbid):
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error
    if (least is not None and least < 0) or (most is not None and most < (least or 0)):
        raise ValueError("the most must not be less than the least, nor less than 0")


@dataclass(frozen=True)
class Records:
    """What a section must hold. A record reads `shop.example.com. 300 IN A 192.0.2.1`.

    Attributes:
        match: regular expressions; each must match one of the records.
        forbid: regular expressions; none may match a record.
        min: records at least.
        max: records at most.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    match: tuple[str, ...] = ()
    forbid: tuple[str, ...] = ()
    min: int | None = None
    max: int | None = None

    def __post_init__(self) -> None:
        _check(self.match, self.forbid, self.min, self.max)


@dataclass(frozen=True)
class Expect:
    """What the answer must be. A record reads `shop.example.com. 300 IN A 192.0.2.1`.

    Attributes:
        rcode: the code of the answer, or a list of codes that will do.
        answers: regular expressions; each must match one of the answers.
        forbid: regular expressions; none may match an answer.
        min_answers: answers at least; 1 unless something else is said, when the code is NOERROR.
        max_answers: answers at most.
        min_serial: the zone's serial number (query_type SOA) at least.
        authority: the same for the authority section.
        additional: the same for the additional section.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    rcode: Rcode | tuple[Rcode, ...] = "NOERROR"
    answers: tuple[str, ...] = ()
    forbid: tuple[str, ...] = ()
    min_answers: int | None = None
    max_answers: int | None = None
    min_serial: int | None = None
    authority: Records = Records()
    additional: Records = Records()

    def __post_init__(self) -> None:
        _check(self.answers, self.forbid, self.min_answers, self.max_answers)
        if not self.rcodes:
            raise ValueError("rcode: name at least one code")

    @property
    def rcodes(self) -> tuple[str, ...]:
        """All codes that will do."""
        return (self.rcode,) if isinstance(self.rcode, str) else self.rcode


@dataclass(frozen=True)
class DnsProbe:
    """Asks one DNS server one question. The allow-list must name the server with its port.

    Attributes:
        query_name: the name to ask for.
        query_type: the records to ask for.
        query_class: IN, or CH for questions such as `version.bind`.
        server: HOST or HOST:PORT of the server; the system's first one unless said.
        transport: tls is DNS over TLS, verified, on port 853 unless said.
        recursion: let the server ask others; false asks for what it knows itself.
        edns: allow larger answers over UDP; false for a very old server.
        expect: what the answer must be.
        server_name: the name in the server's certificate, if it is not that of `server`.
        ca_file: PEM file of the authorities to trust instead of the system's.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    facts: ClassVar[Facts] = FACTS
    query_name: str
    query_type: Type = "A"
    query_class: Literal["IN", "CH", "HS", "ANY"] = "IN"
    server: str | None = None
    transport: Literal["udp", "tcp", "tls"] = "udp"
    recursion: bool = True
    edns: bool = True
    expect: Expect = Expect()
    server_name: str | None = None
    ca_file: str | None = None

    def __post_init__(self) -> None:
        labels = self.query_name.removesuffix(".").split(".")
        if self.query_name != "." and not all(0 < len(one) < 64 for one in labels):
            raise ValueError("query_name must be a name such as 'shop.example.com'")
        if len(self.query_name) > 253:
            raise ValueError("query_name is longer than any name can be (253)")
        if self.server is not None:
            place(self.server, 53)
        if self.expect.min_serial is not None and self.query_type != "SOA":
            raise ValueError("min_serial needs query_type: SOA")

    def check(self, context: ProbeContext) -> Reading:
        """Ask, judge."""
        attempt = Attempt("dns", context)
        info = FACTS("info", 1, name=self.query_name, type=self.query_type)
        attempt.gauges.append(info)
        try:
            answer = self._ask(attempt)
        except Trouble as trouble:
            return attempt.ended_by(trouble)
        attempt.gauges += _gauges(answer, attempt.phases["processing"])
        return attempt.reading(*judge(answer, self.expect, self.query_name))

    def _ask(self, attempt: Attempt) -> Answer:
        default = 853 if self.transport == "tls" else 53
        host, port = place(self.server or _system_server(), default)
        admission = admitted(attempt, host, port)
        question = Question(
            self.query_name, self.query_type, self.query_class, self.recursion, self.edns
        )
        if self.transport == "udp":
            return ask(attempt, admission, question)
        return ask(attempt, admission, question, stream=lambda: self._open(attempt, admission))

    def _open(self, attempt: Attempt, admission: Admission) -> socket:
        raw = connect(attempt, admission)
        if self.transport == "tcp":
            return raw
        try:
            trust = Trust(self.ca_file, alpn=("dot",))
            return secured(attempt, raw, trusting(trust), self.server_name or admission.host)
        except BaseException:
            raw.close()
            raise


def judge(answer: Answer, expect: Expect, name: str) -> tuple[Outcome, Reason, str]:
    """The verdict on an answer (pure)."""
    if answer.rcode not in expect.rcodes:
        meant = " (no such name)" if answer.rcode == "NXDOMAIN" else ""
        told = f"the server answered {answer.rcode}{meant} for {name}"
        return Outcome.FAILED, Reason.STATUS, f"{told}, not {' or '.join(expect.rcodes)}"
    least = expect.min_answers
    if least is None and answer.rcode == "NOERROR":
        least = 0 if expect.authority.match or expect.authority.min else 1
    own = Records(expect.answers, expect.forbid, least, expect.max_answers)
    bad = _wrong("answer", answer.answers, own)
    bad = bad or _wrong("authority", answer.authority, expect.authority)
    bad = bad or _wrong("additional", answer.additional, expect.additional)
    if not bad and expect.min_serial is not None and _behind(answer.serial, expect.min_serial):
        bad = f"the zone's serial is {answer.serial}, not at least {expect.min_serial}"
    return (Outcome.FAILED, Reason.BODY, bad) if bad else (Outcome.OK, Reason.NONE, "")


def place(text: str, port: int) -> tuple[str, int]:
    """Host and port of `HOST`, `HOST:PORT`, an IPv6 address, or one in brackets with a port.

    Raises:
        ValueError: it is none of these.
    """
    if literal(text) is not None:
        return text.removeprefix("[").removesuffix("]"), port
    host, colon, number = text.rpartition(":")
    if not colon:
        host, number = text, str(port)
    bare = host.removeprefix("[").removesuffix("]")
    if not bare or (":" in bare and not host.startswith("[")):
        raise ValueError(f"server {text!r} must be HOST, HOST:PORT or [IPV6]:PORT")
    if not (number.isdecimal() and number.isascii() and 0 < int(number) < 65536):
        raise ValueError(f"server {text!r}: the port must be 1 to 65535")
    return bare, int(number)


def _system_server() -> str:
    """The first server of /etc/resolv.conf; this machine where none is named, as in libc."""
    try:
        lines = _SYSTEM.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    words = [line.split() for line in lines]
    return next((w[1] for w in words if len(w) > 1 and w[0] == "nameserver"), "127.0.0.1")


def _wrong(section: str, records: Sequence[Record], wanted: Records) -> str:
    texts = [record.text() for record in records]
    if wanted.min is not None and len(texts) < wanted.min:
        return f"{len(texts)} records in the {section} section, not at least {wanted.min}"
    if wanted.max is not None and len(texts) > wanted.max:
        return f"{len(texts)} records in the {section} section, not at most {wanted.max}"
    for pattern in wanted.match:
        if not any(re.search(pattern, text) for text in texts):
            return f"no record of the {section} section matches {pattern!r}"
    for pattern in wanted.forbid:
        if any(re.search(pattern, text) for text in texts):
            return f"a record of the {section} section matches {pattern!r}, which is forbidden"
    return ""


def _behind(serial: int | None, least: int) -> bool:
    """Serial numbers go round (RFC 1982): one of them is behind by less than half of all."""
    return serial is None or 0 < (least - serial) % 2**32 < 2**31


def _gauges(answer: Answer, seconds: float) -> list[Gauge]:
    rcode = answer.rcode if answer.rcode in _RCODES else "other"
    gauges = [
        FACTS("query_seconds", seconds),
        FACTS("rcode_info", 1, rcode=rcode),
        FACTS("answer_records", len(answer.answers)),
        FACTS("authority_records", len(answer.authority)),
        FACTS("additional_records", len(answer.additional)),
        FACTS("authoritative", answer.authoritative),
        FACTS("authenticated", answer.authenticated),
        FACTS("truncated", answer.truncated),
    ]
    if answer.answers:
        gauges.append(FACTS("smallest_ttl_seconds", min(record.ttl for record in answer.answers)))
    if answer.serial is not None:
        gauges.append(FACTS("soa_serial", answer.serial))
    return gauges
