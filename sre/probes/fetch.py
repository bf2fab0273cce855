"""How does a probe fetch one page, at a pinned address, with its size on the wire and its phases?

For kinds that read numbers from a page, or compare two. Redirects are not followed: a page of
statistics, or one copy of a page, is asked for at its own address.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pycurl

from sre.core.secrets import Secret
from sre.journey.exchange import Request
from sre.journey.host import origin_of
from sre.journey.result import Reason
from sre.journey.transport import Sink, collect, new_handle, prepare
from sre.probes.dial import Attempt, Trouble, admitted

__all__ = ["Fetcher", "Page", "basic", "check_url", "expect_ok", "opened"]

_DOWNLOADED = getattr(pycurl, "SIZE_DOWNLOAD_T", None) or pycurl.SIZE_DOWNLOAD


@dataclass(frozen=True)
class Page:
    """One answer.

    Attributes:
        headers: (lower-case name, value), in order.
        body: decompressed; `wire` is how many bytes of it came over the wire.
        phases: seconds of resolve, connect, tls, processing, transfer; absent if not happened.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    wire: int
    phases: Mapping[str, float]

    def header(self, name: str) -> str:
        """All values of a header in order, joined as HTTP says; empty when it is not there."""
        return ", ".join(value for key, value in self.headers if key == name)


def check_url(url: str) -> None:
    """Raises ValueError when `url` is not an absolute address that a probe may be given."""
    origin_of(url)


def basic(user: str, password: Secret | None) -> tuple[tuple[str, str], ...]:
    """The header of HTTP's basic authentication; none without a user."""
    if not user:
        return ()
    pair = f"{user}:{password.reveal() if password else ''}"
    return (("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}"),)


class Fetcher:
    """Fetches pages of one host over one connection, as long as the server keeps it.

    No cookie is ever sent: each page is fetched as a newcomer sees it.

    Args:
        named: the host name to speak to at that address (Host header, name in the certificate),
            where it is not the one of the URL.
        ca_file: PEM file of the authorities to trust instead of the system's.
    """

    def __init__(
        self, attempt: Attempt, url: str, *, named: str = "", ca_file: str | None = None
    ) -> None:
        _, host, port = origin_of(url)
        self._attempt = attempt
        self._admission = admitted(attempt, host, port)
        self._named = named
        self._ca_file = ca_file
        self._handle: Any = new_handle()

    def get(self, url: str, headers: Sequence[tuple[str, str]] = (), *, limit: int) -> Page:
        """One page of at most `limit` bytes.

        Raises:
            Trouble: no usable answer.
        """
        handle, sink = self._handle, Sink(limit)
        asked = _at(url, self._named) if self._named else url
        request = Request(
            "GET", asked, tuple(headers), timeout=self._attempt.time_left(), body_limit=limit
        )
        handle.setopt(pycurl.COOKIELIST, "ALL")
        prepare(handle, request, self._admission, sink)
        if self._ca_file is not None:
            handle.setopt(pycurl.CAINFO, self._ca_file)
        error: tuple[int, str] | None = None
        try:
            handle.perform()
        except pycurl.error as raised:
            code, *text = raised.args
            error = (int(code), str(text[0]) if text else "")
        answer = collect(handle, sink, self._admission, time.monotonic(), error)
        for name, seconds in answer.phases.items():
            self._attempt.phases[name] = self._attempt.phases.get(name, 0.0) + seconds
        if answer.failure is not None:
            told = answer.failure
            raise Trouble(told.reason, told.message, told.outcome)
        wire = int(handle.getinfo(_DOWNLOADED))
        return Page(answer.status, answer.headers, answer.body, wire, dict(answer.phases))

    def close(self) -> None:
        """Close the connection."""
        self._handle.close()


@contextmanager
def opened(
    attempt: Attempt, url: str, *, named: str = "", ca_file: str | None = None
) -> Iterator[Fetcher]:
    """A Fetcher for the host of `url`, closed at the end. Raises Trouble: blocked, `dns`."""
    with closing(Fetcher(attempt, url, named=named, ca_file=ca_file)) as fetcher:
        yield fetcher


def expect_ok(page: Page, cures: Mapping[int, str]) -> None:
    """Raises Trouble, with the cure where there is one, unless the page came with status 200."""
    if page.status != 200:
        cure = cures.get(page.status, "")
        raise Trouble(Reason.STATUS, f"answered {page.status}{f'; {cure}' if cure else ''}")


def _at(url: str, named: str) -> str:
    """The URL under another host name; libcurl connects to the pinned address all the same."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=named))
