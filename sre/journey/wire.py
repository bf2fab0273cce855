"""Which bytes is a plain request over HTTP/1.1, and is what comes back a plain answer? (pure)

"Plain" is what nearly every request to `http://` meets: whole and well-formed. Whatever is anything
else is UNUSUAL and left to libcurl, with the same bytes: there is one judge of hard cases.
"""

from __future__ import annotations

import ipaddress
import re
import zlib
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

import pycurl

__all__ = [
    "ANY_ENCODING",
    "LARGEST",
    "LONGEST_REQUEST",
    "Found",
    "Unfit",
    "header_line",
    "read",
    "target_of",
]

LARGEST = 256 * 2**10
"""Bytes of an answer that are held here; a longer one is unusual."""

_LONGEST_HEAD = 32 * 2**10
LONGEST_REQUEST = 8 * 2**10
_URL = re.compile(
    r"http://(?P<host>[A-Za-z0-9.-]+|\[[0-9a-f:]+\])(?P<port>:[1-9][0-9]{0,4})?"
    r"(?P<path>/[A-Za-z0-9._~!$&'()*+,;=:@/-]*)?(?P<query>\?[A-Za-z0-9._~!$&()*+,;=:@/?%-]+)?"
)
_LINE = re.compile(rb"([A-Za-z0-9!#$&'*+.^_`|~-]+)(: [!-~]([ -~]*[!-~])?|;)")
_NOT_OURS = frozenset(
    b"host accept-encoding connection keep-alive proxy-connection transfer-encoding content-length "
    b"te trailer upgrade expect cookie range http2-settings".split()
)
"""Headers of which libcurl has an opinion."""

_HEAD = re.compile(
    rb"HTTP/1\.([01]) ([2345][0-9][0-9])(?: [^\r\n\0]*)?\r\n"
    rb"((?:[A-Za-z0-9!#$%&'*+.^_`|~-]+:[^\r\n\0]*\r\n)*)\r\n"
)
_HEADS = tuple(b"HTTP/1."[:length] for length in range(8))
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,6})\r\n")
_LENGTH = re.compile(r"[ \t]*([0-9]{1,9})[ \t]*\r\n")


def _encodings() -> bytes:
    """What libcurl asks for when any encoding will do."""
    features = pycurl.version_info()[4]
    names = [b"deflate, gzip"] if features & pycurl.VERSION_LIBZ else []
    names += [b"br"] if features & pycurl.VERSION_BROTLI else []
    names += [b"zstd"] if features & getattr(pycurl, "VERSION_ZSTD", 0) else []
    return b", ".join(names)


ANY_ENCODING = _encodings()


def target_of(url: str) -> tuple[bytes, bytes] | None:
    """Path with query, and Host; None where libcurl would write them in another way."""
    match = _URL.fullmatch(url)
    if match is None:
        return None
    host, port = match["host"], match["port"] or ""
    path, query = match["path"] or "/", match["query"] or ""
    if "/." in path or "%" in query or not _is_canonical(host):
        return None
    return f"{path}{query}".encode(), f"{host}{'' if port == ':80' else port}".encode()


def _is_canonical(host: str) -> bool:
    """Not an address that is written in one of the many other ways."""
    bare = host.strip("[]")
    if host.startswith("[") or host.rstrip(".").rpartition(".")[2][:1].isdigit():
        try:
            return str(ipaddress.ip_address(bare)) == bare
        except ValueError:
            return False
    return not host.startswith((".", "-")) and not host.endswith(".") and ".." not in host


@lru_cache(maxsize=4096)
def header_line(line: bytes) -> tuple[bytes, bytes] | None:
    """(lower-case name, the line as it is sent) of a header as libcurl is told it; None: unfit."""
    match = _LINE.fullmatch(line)
    if match is None or match[1].lower() in _NOT_OURS:
        return None
    empty = line[-1:] == b";" and match[2] == b";"
    return match[1].lower(), b"%s\r\n" % (line[:-1] + b":" if empty else line)


class Unfit(Enum):
    """What has come is no answer to be told: it is not all here yet, or it is unusual."""

    MORE = 1
    UNUSUAL = 2


@dataclass(slots=True)
class Found:
    """A plain answer. `size` is that of the body, after decompression; `taken`: bytes as sent."""

    version: str
    status: int
    head: str
    lower: str
    body: bytes
    size: int
    taken: int


@dataclass(frozen=True, slots=True)
class _Head:
    """What an answer's head says. `length` and `chunked`: how its body is framed; None: not so."""

    version: str
    status: int
    head: str
    lower: str
    length: int | None
    chunked: bool | None
    encoded: bool


@lru_cache(maxsize=1024)
def _head(data: bytes) -> _Head | None:
    """None: unusual. Answers of one page mostly have the same head, for a second at least."""
    match = _HEAD.fullmatch(data)
    if match is None:
        return None
    head = data.decode("latin-1")
    lower, status = head.lower(), int(match[2])
    length = chunked = None
    size, coding = lower.find("\ncontent-length:"), lower.find("\ntransfer-encoding:")
    if size >= 0:
        number = _LENGTH.match(lower, size + 16)
        if number is None or lower.find("\ncontent-length:", size + 1) >= 0:
            return None
        length = int(number[1])
    if coding >= 0:
        value = lower[coding + 19 : lower.find("\r", coding + 19)].strip()
        chunked = value == "chunked" and lower.find("\ntransfer-encoding:", coding + 1) < 0
        if not chunked or size >= 0:
            return None
    if status in (205, 304) or (status == 204 and (size >= 0 or coding >= 0)):
        return None
    version = "1.1" if match[1] == b"1" else "1.0"
    return _Head(version, status, head, lower, length, chunked, "\ncontent-encoding:" in lower)


def read(data: bytes, *, ended: bool, limit: int, decode: bool) -> Found | Unfit:
    """Look at all that has come so far.

    Args:
        ended: the other side has closed, in good order.
        limit: bytes of the body, as sent and after decompression.
        decode: encodings were asked for, so that one is to be undone.
    """
    at = data.find(b"\r\n\r\n") + 4
    if at < 4:
        return _headless(data, ended=ended)
    known = _head(data[:at]) if at <= _LONGEST_HEAD else None
    if known is None:
        return Unfit.UNUSUAL
    framed = _body(data, at, known, limit, ended=ended)
    if isinstance(framed, Unfit):
        return Unfit.UNUSUAL if ended else framed
    body, taken = framed
    if known.encoded:
        plain = _decoded(body, known.lower, limit) if decode else None
        if plain is None:
            return Unfit.UNUSUAL
        body = plain
    return Found(known.version, known.status, known.head, known.lower, body, len(body), taken)


def _headless(data: bytes, *, ended: bool) -> Unfit:
    good = data[:7] in _HEADS and len(data) < _LONGEST_HEAD and not ended
    lines = data.count(b"\n") == data.count(b"\r\n")
    return Unfit.MORE if good and lines else Unfit.UNUSUAL


def _body(
    data: bytes, at: int, known: _Head, limit: int, *, ended: bool
) -> tuple[bytes, int] | Unfit:
    """The body as sent, without its framing, and where the answer ends."""
    length = known.length
    if length is not None:
        if length > limit or length > LARGEST:
            return Unfit.UNUSUAL
        if len(data) - at >= length:
            return data[at : at + length], at + length
        return Unfit.UNUSUAL if ended else Unfit.MORE
    if known.chunked:
        return _dechunked(data, at, limit)
    if known.status == 204:
        return b"", at
    if len(data) - at > limit:
        return Unfit.UNUSUAL
    return (data[at:], len(data)) if ended else Unfit.MORE


def _dechunked(data: bytes, at: int, limit: int) -> tuple[bytes, int] | Unfit:
    parts, size = list[bytes](), 0
    while match := _CHUNK.match(data, at):
        length, begin = int(match[1], 16), match.end()
        at, size = begin + length + 2, size + length
        if size > limit:
            return Unfit.UNUSUAL
        if length == 0:
            ended = data[begin : begin + 2]
            known = ended == b"\r\n" or (len(ended) < 2 and b"\r\n".startswith(ended))
            if not known:
                return Unfit.UNUSUAL
            return (b"".join(parts), begin + 2) if len(ended) == 2 else Unfit.MORE
        if data[at - 2 : at] != b"\r\n":
            return Unfit.MORE if len(data) < at else Unfit.UNUSUAL
        parts.append(data[begin : begin + length])
    rest = data[at : at + 9]
    return Unfit.MORE if re.fullmatch(rb"[0-9A-Fa-f]{0,6}\r?", rest) else Unfit.UNUSUAL


def _decoded(body: bytes, lower: str, limit: int) -> bytes | None:
    """The body of a gzip answer that is whole and alone; None: let libcurl have it."""
    start = lower.find("\ncontent-encoding:") + 18
    value = lower[start : lower.find("\r", start)].strip()
    if value != "gzip" or lower.find("\ncontent-encoding:", start) >= 0:
        return None
    machine = zlib.decompressobj(31)
    try:
        plain = machine.decompress(body, limit + 1)
    except zlib.error:
        return None
    whole = machine.eof and not machine.unused_data and len(plain) <= limit
    return plain if whole else None
