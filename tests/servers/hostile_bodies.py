"""Which answers of the hostile server are broken, endless, or far larger than they look?"""

from __future__ import annotations

import importlib
import importlib.util
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from tests.servers.hostile_exchange import Exchange, Gone
from tests.servers.net import reset_on_close

__all__ = ["BODIES", "GIB", "HAS_BROTLI"]

MIB = 1024**2
GIB = 1024**3
HAS_BROTLI = importlib.util.find_spec("brotli") is not None


def drip(x: Exchange) -> None:
    """One byte every ?ms=100, for ever."""
    x.send(x.head(200, [("Content-Type", "text/plain"), ("Connection", "close")]))
    while True:
        x.send(b".")
        x.pause(x.number("ms", 100) / 1000)


def never(x: Exchange) -> None:
    """Reads the request and says nothing."""
    x.wait_for_client_to_leave()


def half(x: Exchange) -> None:
    """Half of what Content-Length promises, then a clean end of the connection."""
    x.send(x.head(200, [("Content-Type", "text/plain"), ("Content-Length", "1000")]) + b"h" * 500)
    x.keep = False


def reset(x: Exchange) -> None:
    """A TCP reset in place of an answer."""
    reset_on_close(x.connection)
    x.keep = False


def gigabyte(x: Exchange) -> None:
    """?mb=1024 in chunks, as fast as they are read."""
    x.send(x.head(200, [("Content-Type", "text/plain"), ("Transfer-Encoding", "chunked")]))
    size = 64 * 1024
    chunk = f"{size:x}\r\n".encode() + b"g" * size + b"\r\n"
    for _ in range(int(x.number("mb", 1024)) * MIB // size):
        x.send(chunk)
    x.send(b"0\r\n\r\n")


def _gzip_bomb(mebibytes: int) -> Iterator[bytes]:
    """One block compressed once and repeated: a full flush makes it independent of its place."""
    block = b" " * MIB
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = deflate.compress(block) + deflate.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    yield b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
    for _ in range(mebibytes):
        checksum = zlib.crc32(block, checksum)
        yield packed
    length = (mebibytes * MIB) & 0xFFFFFFFF
    yield b"\x03\x00" + checksum.to_bytes(4, "little") + length.to_bytes(4, "little")


def _brotli_bomb(mebibytes: int) -> Iterator[bytes]:
    brotli: Any = importlib.import_module("brotli")
    packer = brotli.Compressor(quality=1)
    for _ in range(mebibytes):
        yield packer.process(b" " * MIB) + packer.flush()
    yield packer.finish()


def _packed(x: Exchange, coding: str, parts: Iterator[bytes]) -> None:
    headers = [("Content-Type", "text/html"), ("Content-Encoding", coding)]
    x.send(x.head(200, [*headers, ("Connection", "close")]))
    for part in parts:
        x.send(part)
    x.keep = False


def bomb(x: Exchange) -> None:
    """About 1 MiB of gzip that becomes ?mb=1024."""
    _packed(x, "gzip", _gzip_bomb(int(x.number("mb", 1024))))


def bomb_br(x: Exchange) -> None:
    """The same in brotli; 501 where that is not installed."""
    if not HAS_BROTLI:
        x.reply_json({"error": "brotli is not installed"}, 501)
        return
    _packed(x, "br", _brotli_bomb(int(x.number("mb", 1024))))


def bad_gzip(x: Exchange) -> None:
    """Content-Encoding says gzip; the body begins like it and is none."""
    x.reply(b"\x1f\x8b\x08\x00" + b"this is not deflate", headers=[("Content-Encoding", "gzip")])


def garbage(x: Exchange) -> None:
    """An answer of another protocol."""
    x.send(b"SSH-2.0-OpenSSH_9.2p1\r\n" + bytes(range(256)))
    x.keep = False


def headers_flood(x: Exchange) -> None:
    """?mb=8 of headers before the body."""
    x.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n")
    line = "v" * 1000
    for n in range(int(x.number("mb", 8) * MIB) // 1024):
        x.send(f"X-Flood-{n:06d}: {line}\r\n".encode())
    x.send(b"\r\nok")


def latin1(x: Exchange) -> None:
    x.reply("<p>café Žluť</p>".encode("latin-1", "replace"), kind="text/html; charset=iso-8859-1")


def empty(x: Exchange) -> None:
    x.reply(b"")


def http10(x: Exchange) -> None:
    """HTTP/1.0 without a length: the end of the connection is the end of the body."""
    x.send(x.head(200, [("Content-Type", "text/plain")], version="1.0") + b"old but good")
    raise Gone


BODIES: dict[str, Callable[[Exchange], None]] = {
    "/bad-gzip": bad_gzip,
    "/bomb": bomb,
    "/bomb-br": bomb_br,
    "/drip": drip,
    "/empty-200": empty,
    "/garbage": garbage,
    "/gigabyte": gigabyte,
    "/half": half,
    "/headers-flood": headers_flood,
    "/http10": http10,
    "/latin1": latin1,
    "/never": never,
    "/reset": reset,
}
