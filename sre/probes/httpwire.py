"""Which bytes is a plain GET over HTTP/1.1, and is what comes back a plain answer to it? (pure)

"Plain" is what nearly every probe of `http://` meets: whole, well-formed, no redirect. Whatever is
anything else is UNUSUAL and left to libcurl, with the same bytes: there is one judge of hard cases.
"""

from __future__ import annotations

import ipaddress
import re
import zlib
from dataclasses import dataclass
from enum import Enum

import pycurl

from sre.journey.exchange import Request
from sre.probes.httpoptions import HttpOptions

__all__ = ["LARGEST", "Found", "Unfit", "opening_of", "read"]

LARGEST = 256 * 2**10
"""Bytes of an answer that are held here; a longer one is unusual."""

_LONGEST_HEAD = 32 * 2**10
_LONGEST_REQUEST = 8 * 2**10
_URL = re.compile(
    r"http://(?P<host>[A-Za-z0-9.-]+|\[[0-9a-f:]+\])(?P<port>:[1-9][0-9]{0,4})?"
    r"(?P<path>/[A-Za-z0-9._~!$&'()*+,;=:@/-]*)?(?P<query>\?[A-Za-z0-9._~!$&()*+,;=:@/?%-]+)?"
)
_LINE = re.compile(rb"([A-Za-z0-9!#$&'*+.^_`|~-]+)(: [!-~]([ -~]*[!-~])?|;)")
_NOT_OURS = frozenset(
    b"host accept-encoding connection keep-alive proxy-connection transfer-encoding content-length "
    b"te trailer upgrade expect cookie range content-type http2-settings referer".split()
)
"""Headers of which libcurl has an opinion."""

_NEEDED = {b"user-agent", b"accept"}
_HEAD = re.compile(
    rb"HTTP/1\.([01]) ([245][0-9][0-9])(?: [^\r\n\0]*)?\r\n"
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


_ANY = _encodings()


def opening_of(request: Request, options: HttpOptions, lines: list[bytes]) -> bytes | None:
    """The request up to (without) the empty line at its end, as libcurl writes it; None: unfit.

    Args:
        lines: its headers as libcurl is told them.
    """
    fits = options.proxy is None and not options.keep_alive and options.tls.server_name is None
    if not fits or request.method != "GET" or request.body is not None or not request.credentials:
        return None
    target = _target(request.url)
    headers = _headers(lines)
    if target is None or headers is None or options.http_version not in ("any", "1.1"):
        return None
    written = b"GET %s HTTP/1.1\r\nHost: %s\r\n" % target
    if options.compress != "none":
        named = _ANY if options.compress == "any" else options.compress.encode()
        written += b"Accept-Encoding: %s\r\n" % named
    written += headers
    return written if len(written) < _LONGEST_REQUEST else None


def _target(url: str) -> tuple[bytes, bytes] | None:
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


def _headers(lines: list[bytes]) -> bytes | None:
    written, names = list[bytes](), set[bytes]()
    for line in lines:
        if line in (b"Content-Type:", b"Expect:"):  # libcurl's own, left out
            continue
        match = _LINE.fullmatch(line)
        if match is None or match[1].lower() in _NOT_OURS:
            return None
        names.add(match[1].lower())
        written.append(line if line[-1:] != b";" or match[2] != b";" else line[:-1] + b":")
    return b"".join(b"%s\r\n" % line for line in written) if names >= _NEEDED else None


class Unfit(Enum):
    """What has come is no answer to be told: it is not all here yet, or it is unusual."""

    MORE = 1
    UNUSUAL = 2


@dataclass(slots=True)
class Found:
    """A plain answer. `size` is that of the body, after decompression."""

    version: str
    status: int
    head: str
    lower: str
    body: bytes
    size: int


def read(data: bytes, *, ended: bool, limit: int, decode: bool) -> Found | Unfit:
    """Look at all that has come so far.

    Args:
        ended: the other side has closed, in good order.
        limit: bytes of the body, as sent and after decompression.
        decode: encodings were asked for, so that one is to be undone.
    """
    at = data.find(b"\r\n\r\n")
    if at < 0:
        return _headless(data, ended=ended)
    match = _HEAD.fullmatch(data, 0, at + 4)
    if match is None or at > _LONGEST_HEAD:
        return Unfit.UNUSUAL
    head = data[: at + 4].decode("latin-1")
    lower, status = head.lower(), int(match[2])
    body = _body(data, at + 4, lower, status, limit, ended=ended)
    if isinstance(body, Unfit):
        return Unfit.UNUSUAL if ended else body
    if "\ncontent-encoding:" in lower:
        plain = _decoded(body, lower, limit) if decode else None
        if plain is None:
            return Unfit.UNUSUAL
        body = plain
    return Found("1.1" if match[1] == b"1" else "1.0", status, head, lower, body, len(body))


def _headless(data: bytes, *, ended: bool) -> Unfit:
    good = data[:7] in _HEADS and len(data) < _LONGEST_HEAD and not ended
    lines = data.count(b"\n") == data.count(b"\r\n")
    return Unfit.MORE if good and lines else Unfit.UNUSUAL


def _body(
    data: bytes, at: int, lower: str, status: int, limit: int, *, ended: bool
) -> bytes | Unfit:
    """The body as sent, without its framing."""
    size = lower.find("\ncontent-length:")
    if "\ntransfer-encoding:" in lower:
        return _dechunked(data, at, lower, limit) if size < 0 else Unfit.UNUSUAL
    if status in (204, 205):
        return b"" if status == 204 and size < 0 else Unfit.UNUSUAL
    if size >= 0:
        return _measured(data, at, lower, size, limit, ended=ended)
    if len(data) - at > limit:
        return Unfit.UNUSUAL
    return data[at:] if ended else Unfit.MORE


def _measured(
    data: bytes, at: int, lower: str, size: int, limit: int, *, ended: bool
) -> bytes | Unfit:
    """The body whose length is told at `size` of the head."""
    match = _LENGTH.match(lower, size + 16)
    if match is None or lower.find("\ncontent-length:", size + 1) >= 0:
        return Unfit.UNUSUAL
    length = int(match[1])
    if length > limit or length > LARGEST:
        return Unfit.UNUSUAL
    if len(data) - at >= length:
        return data[at : at + length]
    return Unfit.UNUSUAL if ended else Unfit.MORE


def _dechunked(data: bytes, at: int, lower: str, limit: int) -> bytes | Unfit:
    start = lower.find("\ntransfer-encoding:") + 19
    value = lower[start : lower.find("\r", start)].strip()
    if value != "chunked" or lower.find("\ntransfer-encoding:", start) >= 0:
        return Unfit.UNUSUAL
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
            return b"".join(parts) if len(ended) == 2 else Unfit.MORE
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
