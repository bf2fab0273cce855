"""How does a security check ask: few bytes, one kept connection, each address admitted first?"""

from __future__ import annotations

from contextlib import closing
from typing import Any, Self
from urllib.parse import urljoin

import pycurl

from sre.journey.build import BadRequest
from sre.journey.build import clean as cleaned
from sre.journey.exchange import Request, Response
from sre.journey.guard import Admission
from sre.journey.host import origin_of
from sre.journey.result import Outcome, Reason
from sre.journey.transport import Sink, collect, new_handle, prepare
from sre.probes.dial import Attempt, Trouble, admitted, handle_for, perform

__all__ = ["Asker"]

_ENOUGH = 64 * 2**10
_WHOLE = 4 * 2**20
_HOPS = 5
_OLD = {
    "TLSv1.2": pycurl.SSLVERSION_TLSv1_0 | pycurl.SSLVERSION_MAX_TLSv1_1,
    "TLSv1.3": pycurl.SSLVERSION_TLSv1_0 | pycurl.SSLVERSION_MAX_TLSv1_2,
}


class Asker:
    """Asks one after the other; a context manager that closes the connection."""

    def __init__(
        self,
        attempt: Attempt,
        headers: tuple[tuple[str, str], ...],
        *,
        verify: bool,
        ca_file: str | None,
    ) -> None:
        self._attempt, self._headers = attempt, headers
        self._verify, self._ca_file = verify, ca_file
        self._handle = new_handle()
        self._pins: dict[tuple[str, int], Admission] = {}
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.close()

    def get(self, url: str, *, origin: str = "", whole: bool = False) -> Response:
        """One answer: its beginning, or all of it up to 4 MiB. Follows no redirect.

        Raises:
            Trouble: blocked, or no time is left. Any other failure stands in the answer.
        """
        admission = self._admission(url)
        extra = ("Origin", origin) if origin else None
        part = None if whole else ("Range", f"bytes=0-{_ENOUGH - 1}")
        headers = (*self._headers, *(pair for pair in (extra, part) if pair))
        limit = _WHOLE if whole else _ENOUGH
        request = Request("GET", url, headers, timeout=self._attempt.time_left(),
                          body_limit=limit)  # fmt: skip
        sink = Sink(limit)
        prepare(self._handle, request, admission, sink)
        self._trust(self._handle)
        self._handle.setopt(pycurl.COOKIELIST, "ALL")
        self.count += 1
        error: tuple[int, str] | None = None
        began = self._attempt.context.clock.now()
        try:
            self._handle.perform()
        except pycurl.error as failed:
            error = (int(failed.args[0]), str(failed.args[-1]))
        return collect(self._handle, sink, admission, began, error)

    def page(self, url: str) -> tuple[str, list[Response]]:
        """The final address of a page, and the answers on the way there.

        Raises:
            Trouble: no usable answer came.
        """
        answers: list[Response] = []
        for _ in range(_HOPS + 1):
            response = self.get(url, whole=True)
            if response.failure is not None:
                failure = response.failure
                raise Trouble(failure.reason, failure.message, failure.outcome)
            answers.append(response)
            location = response.header("location")
            if response.status not in (301, 302, 303, 307, 308) or not location:
                return url, answers
            try:
                url = cleaned(urljoin(url, location))
            except BadRequest as error:
                outcome = Outcome.BLOCKED if error.blocked else Outcome.FAILED
                reason = Reason.NONE if error.blocked else Reason.PROTOCOL
                raise Trouble(reason, f"redirect: {error}", outcome) from error
        raise Trouble(Reason.PROTOCOL, f"more than {_HOPS} redirects")

    def accepts_old_tls(self, url: str, least: str) -> bool:
        """Whether the server agrees to a protocol below `least`; nothing is sent over it.

        Raises:
            Trouble: no connection, so nobody knows.
        """
        admission = self._admission(url)
        self.count += 1
        with closing(handle_for(admission, url)) as curl:
            curl.setopt(pycurl.SSL_VERIFYPEER, 0)
            curl.setopt(pycurl.SSL_VERIFYHOST, 0)
            curl.setopt(pycurl.SSLVERSION, _OLD[least])
            curl.setopt(pycurl.SSL_CIPHER_LIST, "ALL:@SECLEVEL=0")
            aside = Attempt("handshake", self._attempt.context)
            try:
                perform(aside, curl)
            except Trouble as trouble:
                if trouble.reason is Reason.TLS:
                    return False
                raise
            return True

    def _admission(self, url: str) -> Admission:
        place = origin_of(url)[1:]
        if place not in self._pins:
            self._pins[place] = admitted(self._attempt, *place)
        self._attempt.time_left()
        return self._pins[place]

    def _trust(self, handle: Any) -> None:
        handle.setopt(pycurl.SSL_VERIFYPEER, int(self._verify))
        handle.setopt(pycurl.SSL_VERIFYHOST, 2 if self._verify else 0)
        if self._ca_file is not None:
            handle.setopt(pycurl.CAINFO, self._ca_file)
