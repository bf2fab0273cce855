"""Which bytes is a plain GET of a probe over HTTP/1.1? (pure)"""

from __future__ import annotations

from sre.journey.exchange import Request
from sre.journey.wire import ANY_ENCODING, LONGEST_REQUEST, header_line, target_of
from sre.probes.httpoptions import HttpOptions

__all__ = ["opening_of"]

_NEEDED = {b"user-agent", b"accept"}
_LIBCURLS = frozenset({b"content-type", b"referer"})


def opening_of(request: Request, options: HttpOptions, lines: list[bytes]) -> bytes | None:
    """The request up to (without) the empty line at its end, as libcurl writes it; None: unfit.

    Args:
        lines: its headers as libcurl is told them.
    """
    fits = options.proxy is None and not options.keep_alive and options.tls.server_name is None
    if not fits or request.method != "GET" or request.body is not None or not request.credentials:
        return None
    target = target_of(request.url)
    headers = _headers(lines)
    if target is None or headers is None or options.http_version not in ("any", "1.1"):
        return None
    written = b"GET %s HTTP/1.1\r\nHost: %s\r\n" % target
    if options.compress != "none":
        named = ANY_ENCODING if options.compress == "any" else options.compress.encode()
        written += b"Accept-Encoding: %s\r\n" % named
    written += headers
    return written if len(written) < LONGEST_REQUEST else None


def _headers(lines: list[bytes]) -> bytes | None:
    written, names = list[bytes](), set[bytes]()
    for line in lines:
        if line in (b"Content-Type:", b"Expect:"):  # libcurl's own, left out
            continue
        known = header_line(line)
        if known is None or known[0] in _LIBCURLS:
            return None
        names.add(known[0])
        written.append(known[1])
    return b"".join(written) if names >= _NEEDED else None
