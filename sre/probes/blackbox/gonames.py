"""How does Go write the name of a certificate's subject or issuer?

By pkix.Name.String: its own order, all of one kind joined by a plus.
"""

from __future__ import annotations

import re

from sre.probes.x509 import Name

__all__ = ["go_name"]

_SHORT = {
    "2.5.4.3": "CN", "2.5.4.5": "SERIALNUMBER", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST",
    "2.5.4.9": "STREET", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.17": "POSTALCODE",
}  # fmt: skip
_ORDER = ("SERIALNUMBER", "CN", "OU", "O", "POSTALCODE", "STREET", "L", "ST", "C")
_PRINTABLE = re.compile(r"[A-Za-z0-9 '()+,./:=?*&-]*")
_CODECS = {12: "utf-8", 19: "ascii", 20: "latin-1", 22: "ascii", 26: "ascii", 30: "utf-16-be"}


def go_name(name: Name) -> str:
    """`CN=shop.example.com,O=One+O=Two,C=DE`."""
    known: dict[str, list[str]] = {}
    others: list[str] = []
    for oid, value, tag in name:
        text = value.decode(_CODECS.get(tag, "latin-1"), "replace")
        short = _SHORT.get(oid)
        if short is None:
            others.append(f"{oid}=#{_marshalled(text).hex()}")
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
