"""What does a certificate say of itself? Read from its DER form, without trust in any of it.

Everything in a certificate is its maker's text: names are cut and escaped before they are shown.
"""

from __future__ import annotations

import base64
import calendar
import hashlib
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Certificate", "Name", "pem_certificates", "printable", "read_certificate"]

Name = tuple[tuple[str, bytes, int], ...]
"""Attributes of a subject or an issuer, in order: object identifier, value, the value's tag."""

_KEYS = {
    "1.2.840.113549.1.1.1": "rsa",
    "1.2.840.113549.1.1.10": "rsa-pss",
    "1.2.840.10045.2.1": "ecdsa",
    "1.2.840.10040.4.1": "dsa",
    "1.3.101.112": "ed25519",
    "1.3.101.113": "ed448",
    "2.16.840.1.101.3.4.3.17": "ml-dsa-44",
    "2.16.840.1.101.3.4.3.18": "ml-dsa-65",
    "2.16.840.1.101.3.4.3.19": "ml-dsa-87",
}
_SIGNATURES = {
    "1.2.840.113549.1.1.4": "md5-rsa",
    "1.2.840.113549.1.1.5": "sha1-rsa",
    "1.2.840.113549.1.1.11": "sha256-rsa",
    "1.2.840.113549.1.1.12": "sha384-rsa",
    "1.2.840.113549.1.1.13": "sha512-rsa",
    "1.2.840.113549.1.1.10": "rsa-pss",
    "1.2.840.10045.4.1": "sha1-ecdsa",
    "1.2.840.10045.4.3.2": "sha256-ecdsa",
    "1.2.840.10045.4.3.3": "sha384-ecdsa",
    "1.2.840.10045.4.3.4": "sha512-ecdsa",
    "1.3.101.112": "ed25519",
    "1.3.101.113": "ed448",
    "2.16.840.1.101.3.4.3.17": "ml-dsa-44",
    "2.16.840.1.101.3.4.3.18": "ml-dsa-65",
    "2.16.840.1.101.3.4.3.19": "ml-dsa-87",
}
_CURVES = {
    "1.2.840.10045.3.1.7": 256,
    "1.3.132.0.10": 256,
    "1.3.132.0.34": 384,
    "1.3.132.0.35": 521,
}
_FIXED = {"ed25519": 256, "ed448": 456}
_ALTERNATIVE = "2.5.29.17"
_PEM = re.compile(r"-----BEGIN (?:TRUSTED )?CERTIFICATE-----(.+?)-----END", re.DOTALL)
_MOST_NAMES = 1000

_SEQUENCE, _INTEGER, _BITS, _OID = 0x30, 0x02, 0x03, 0x06
_UTC_TIME, _GENERAL_TIME = 0x17, 0x18


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate.

    Attributes:
        fingerprint: SHA-256 of the DER form, small hex.
        serial: small hex, as long as it is.
        begins, expires: in seconds since the epoch.
        key: the public key's algorithm, of a bounded set; `other` for any other.
        bits: the key's size; 0 when unknown.
        signature: the algorithm by which it was signed, of a bounded set; `other` for any other.
        dns, ips, mails: alternative names of the subject, as they stand there.
    """

    fingerprint: str
    serial: str
    subject: Name
    issuer: Name
    begins: float
    expires: float
    key: str
    bits: int
    signature: str
    dns: tuple[str, ...] = ()
    ips: tuple[str, ...] = ()
    mails: tuple[str, ...] = ()


def pem_certificates(text: str) -> list[bytes]:
    """The DER form of each certificate of a PEM text."""
    return [base64.b64decode(match[1]) for match in _PEM.finditer(text)]


def read_certificate(der: bytes) -> Certificate:
    """Raises ValueError when it is no certificate."""
    try:
        return _read(der)
    except (IndexError, ValueError, OverflowError, StopIteration) as error:
        raise ValueError("not a certificate") from error


def printable(text: str, most: int = 64) -> str:
    """A text out of a certificate as one short line of plain characters."""
    plain = "".join(c if " " <= c <= "~" and c not in '"\\' else "?" for c in text)
    return plain if len(plain) <= most else plain[: most - 1] + "~"


def _read(der: bytes) -> Certificate:
    tbs, signature, *_ = _children(der)
    parts = list(_items(der, *tbs[1:]))
    if parts[0][0] == 0xA0:  # the version, which version 1 leaves out
        del parts[0]
    serial, _, issuer, validity, subject, key, *more = parts
    begins, expires = list(_items(der, *validity[1:]))[:2]
    names = _alternatives(der, more)
    algorithm, bits = _key(der, key)
    return Certificate(
        fingerprint=hashlib.sha256(der).hexdigest(),
        serial=f"{int.from_bytes(der[serial[1] : serial[2]], 'big', signed=True):x}",
        subject=_name(der, subject),
        issuer=_name(der, issuer),
        begins=_time(der, begins),
        expires=_time(der, expires),
        key=algorithm,
        bits=bits,
        signature=_SIGNATURES.get(_oid(der, next(_items(der, *signature[1:]))), "other"),
        dns=tuple(text for tag, text in names if tag == 2),
        ips=tuple(text for tag, text in names if tag == 7),
        mails=tuple(text for tag, text in names if tag == 1),
    )


Item = tuple[int, int, int]
"""Tag, and where its content begins and ends."""


def _item(data: bytes, at: int, end: int) -> Item:
    tag, size, at = data[at], data[at + 1], at + 2
    if size & 0x80:
        count = size & 0x7F
        if not 0 < count <= 4:
            raise ValueError("not DER")
        size, at = int.from_bytes(data[at : at + count], "big"), at + count
    if at + size > end:
        raise ValueError("not DER: longer than what holds it")
    return tag, at, at + size


def _items(data: bytes, at: int, end: int) -> Iterator[Item]:
    while at < end:
        item = _item(data, at, end)
        yield item
        at = item[2]


def _children(data: bytes) -> list[Item]:
    tag, at, end = _item(data, 0, len(data))
    if tag != _SEQUENCE:
        raise ValueError("not a certificate")
    return list(_items(data, at, end))


def _oid(data: bytes, item: Item) -> str:
    tag, at, end = item
    if tag != _OID or at == end:
        raise ValueError("not an object identifier")
    numbers, value = [], 0
    for byte in data[at:end]:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(value)
            value = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, [first, numbers[0] - 40 * first, *numbers[1:]]))


def _time(data: bytes, item: Item) -> float:
    tag, at, end = item
    text = data[at:end].decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != _GENERAL_TIME:
        raise ValueError("not a time")
    if len(text) != 15 or not text.endswith("Z") or not text[:14].isdecimal():
        raise ValueError("not a time in UTC")
    year, *rest = int(text[:4]), *(int(text[i : i + 2]) for i in range(4, 14, 2))
    return float(calendar.timegm((year, *rest, 0, 0, 0)))


def _name(data: bytes, item: Item) -> Name:
    found = []
    for relative in _items(data, *item[1:]):
        for pair in _items(data, *relative[1:]):
            kind, value = list(_items(data, *pair[1:]))[:2]
            found.append((_oid(data, kind), data[value[1] : value[2]], value[0]))
    return tuple(found)


def _key(data: bytes, item: Item) -> tuple[str, int]:
    algorithm, bits = list(_items(data, *item[1:]))[:2]
    kind, *parameters = _items(data, *algorithm[1:])
    name = _KEYS.get(_oid(data, kind), "other")
    if name.startswith("rsa") and bits[0] == _BITS:
        _, at, end = _item(data, bits[1] + 1, bits[2])
        number = _item(data, at, end)
        size = int.from_bytes(data[number[1] : number[2]], "big").bit_length()
        return name, size if number[0] == _INTEGER else 0
    if name == "ecdsa" and parameters and parameters[0][0] == _OID:
        return name, _CURVES.get(_oid(data, parameters[0]), 0)
    return name, _FIXED.get(name, 0)


def _alternatives(data: bytes, more: list[Item]) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for tag, at, end in more:
        if tag != 0xA3:
            continue
        for extension in _items(data, *_item(data, at, end)[1:]):
            kind, *rest = _items(data, *extension[1:])
            if _oid(data, kind) == _ALTERNATIVE:
                value = rest[-1]
                for name in _items(data, *_item(data, value[1], value[2])[1:]):
                    found.append((name[0] & 0x1F, _alternative(data, name)))
                    if len(found) >= _MOST_NAMES:
                        return found
    return found


def _alternative(data: bytes, item: Item) -> str:
    tag, at, end = item
    if tag & 0x1F == 7 and end - at in (4, 16):
        return str(ipaddress.ip_address(data[at:end]))
    return data[at:end].decode("utf-8", errors="replace")
