"""What stands in a certificate? The few fields that blackbox_exporter tells, read from its DER.

Reading only, without trust: libcurl has verified what there was to verify.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

__all__ = ["Certificate", "parse", "pem_certificates"]

_PEM = re.compile(r"-----BEGIN (?:TRUSTED )?CERTIFICATE-----(.+?)-----END", re.DOTALL)
_SAN = "2.5.29.17"
_SHORT = {
    "2.5.4.3": "CN", "2.5.4.5": "SERIALNUMBER", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST",
    "2.5.4.9": "STREET", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.17": "POSTALCODE",
}  # fmt: skip
_ORDER = ("SERIALNUMBER", "CN", "OU", "O", "POSTALCODE", "STREET", "L", "ST", "C")
_PRINTABLE = re.compile(r"[A-Za-z0-9 '()+,./:=?*&-]*")
_CODECS = {12: "utf-8", 19: "ascii", 20: "latin-1", 22: "ascii", 26: "ascii", 30: "utf-16-be"}


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate.

    Attributes:
        not_before, not_after: seconds since the epoch.
        subject, issuer: as Go writes names.
        raw_subject, raw_issuer: the names' own bytes, to find the issuer by.
    """

    fingerprint: str
    not_before: float
    not_after: float
    subject: str
    issuer: str
    raw_subject: bytes
    raw_issuer: bytes
    dns_names: tuple[str, ...]

    @property
    def self_issued(self) -> bool:
        return self.raw_subject == self.raw_issuer


def pem_certificates(text: str) -> list[bytes]:
    """The DER of each certificate of a PEM text."""
    return [base64.b64decode(match[1]) for match in _PEM.finditer(text)]


def parse(der: bytes) -> Certificate:
    """One certificate.

    Raises:
        ValueError: it is not DER, or no certificate.
    """
    try:
        return _read(der)
    except (IndexError, ValueError, OverflowError) as error:
        raise ValueError("not a certificate") from error


def _read(der: bytes) -> Certificate:
    fields = list(_children(_body(_body(der)), whole=True))
    fields = fields[1:] if fields[0][0] == 0xA0 else fields  # version
    issuer, validity, subject = fields[2][2], fields[3][1], fields[4][2]
    before, after = (_time(tag, value) for tag, value, _ in _children(validity))
    names = tuple(_dns_names(fields[5:]))
    digest = hashlib.sha256(der).hexdigest()
    return Certificate(digest, before, after, _name(subject), _name(issuer), subject, issuer, names)


def _children(data: bytes, *, whole: bool = False) -> Iterator[tuple[int, bytes, bytes]]:
    """(tag, content, the element's own bytes) of each element in `data`."""
    at = 0
    while at < len(data):
        tag, length, start = data[at], data[at + 1], at + 2
        if length & 0x80:
            count = length & 0x7F
            length = int.from_bytes(data[start : start + count], "big")
            start += count
        if start + length > len(data):
            raise ValueError("an element is longer than what holds it")
        yield tag, data[start : start + length], data[at : start + length] if whole else b""
        at = start + length


def _body(data: bytes) -> bytes:
    for _, content, _ in _children(data):
        return content
    raise ValueError("nothing there")


def _time(tag: int, value: bytes) -> float:
    text = value.decode("ascii")
    if tag == 23:  # UTCTime
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _dns_names(fields: list[tuple[int, bytes, bytes]]) -> Iterator[str]:
    for tag, value, _ in fields:
        if tag != 0xA3:
            continue
        for _, extension, _ in _children(_body(value)):
            parts = list(_children(extension))
            if _oid(parts[0][1]) == _SAN:
                for kind, name, _ in _children(_body(parts[-1][1])):
                    if kind == 0x82:
                        yield name.decode("ascii", "replace")


def _oid(data: bytes) -> str:
    numbers, number = [min(data[0] // 40, 2)], 0
    numbers.append(data[0] - 40 * numbers[0])
    for byte in data[1:]:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(number)
            number = 0
    return ".".join(map(str, numbers))


def _name(raw: bytes) -> str:
    """The name as Go's pkix.Name writes it: its own order, all of one kind joined by a plus."""
    known: dict[str, list[str]] = {}
    others: list[str] = []
    for _, relative, _ in _children(_body(raw)):
        for _, pair, _ in _children(relative):
            (_, oid, _), (tag, value, _) = _children(pair)
            text = value.decode(_CODECS.get(tag, "latin-1"), "replace")
            short = _SHORT.get(_oid(oid))
            if short is None:
                others.append(f"{_oid(oid)}=#{_marshalled(text).hex()}")
            else:
                known.setdefault(short, []).append(f"{short}={_escaped(text)}")
    for single in ("CN", "SERIALNUMBER"):  # Go keeps the last one of these
        known[single] = known.get(single, [])[-1:]
    parts = ["+".join(known[short]) for short in _ORDER if known.get(short)]
    return ",".join(parts + others[::-1])


def _marshalled(text: str) -> bytes:
    data = text.encode()
    tag = 0x13 if _PRINTABLE.fullmatch(text) and "*" not in text and "&" not in text else 0x0C
    size = len(data)
    if size < 128:
        return bytes([tag, size]) + data
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + data


def _escaped(text: str) -> str:
    found = re.sub(r'([,+"\\<>;])', r"\\\1", text)
    if found.startswith(("#", " ")):
        found = "\\" + found
    return found[:-1] + "\\ " if found.endswith(" ") and len(text) > 1 else found
