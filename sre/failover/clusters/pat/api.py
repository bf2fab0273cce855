"""How is one Patroni asked, so that a frozen one costs its own deadline and no more? (effects)"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests
from requests.auth import HTTPBasicAuth

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, Transient, UsageError
from sre.core.secrets import Secret, redactor
from sre.failover.clusters.common.together import Silent, in_time

__all__ = ["Answer", "Api", "Login", "Unheard", "refusal"]

_LIMIT = 4 * 2**20
_CONNECT = 2.0


class Unheard(Silent):
    """A request got no answer.

    Attributes:
        sent: whether it may have been heard all the same.
    """

    def __init__(self, message: str, state: str, *, sent: bool) -> None:
        super().__init__(message, state)
        self.sent = sent


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        body: the JSON; None when it was none.
        words: its beginning as text, for people; secrets masked.
    """

    status: int
    body: Any
    words: str

    @property
    def ok(self) -> bool:
        """Whether it was taken."""
        return 200 <= self.status < 300


@dataclass(frozen=True)
class Login:
    """How a REST API is convinced, and how it convinces us."""

    user: Secret | None = None
    password: Secret | None = None
    verify: bool | str = True
    cert: str | tuple[str, str] | None = None


class Api:
    """The REST API of one member. Threads may share it: each request has its own connection."""

    def __init__(self, node: str, url: str, login: Login) -> None:
        self.node, self._url, self._login = node, url.rstrip("/"), login

    def get(self, path: str, deadline: Deadline) -> Answer:
        """Read something. Raises as `ask`."""
        return self.ask("GET", path, None, deadline)

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None, deadline: Deadline
    ) -> Answer:
        """One request; a bad status is an answer. The login goes with those that change something.

        Raises:
            Unheard: no answer by the deadline.
            CheckFailed: its certificate is not one to be trusted.
            UsageError: a secret or a file of the declaration cannot be read.
        """
        held: list[requests.Session] = []
        try:
            return in_time(
                f"Patroni on {self.node}", lambda: self._ask(method, path, body, deadline, held),
                deadline, lambda: _close(held),
            )  # fmt: skip
        except Unheard:
            raise
        except Silent as error:
            raise Unheard(str(error), error.state, sent=True) from error

    def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        deadline: Deadline,
        held: list[requests.Session],
    ) -> Answer:
        with requests.Session() as session:
            held.append(session)
            session.trust_env = False  # neither proxies nor somebody's .netrc
            limits = (min(_CONNECT, max(deadline.left(), 0.001)), max(deadline.left(), 0.001))
            try:
                answer = session.request(
                    method, self._url + path, json=body, timeout=limits, stream=True,
                    allow_redirects=False, auth=self._auth(method), verify=self._login.verify,
                    cert=self._login.cert,
                )  # fmt: skip
                return _answer(answer.status_code, self._read(answer, deadline))
            except requests.RequestException as error:
                raise self._error(error) from error
            except OSError as error:  # a file of certificates that is not there
                raise UsageError(f"Patroni on {self.node}: {error}") from error

    def _auth(self, method: str) -> HTTPBasicAuth | None:
        login = self._login
        if method == "GET" or login.user is None or login.password is None:
            return None
        user, password = login.user.reveal_unmasked(), login.password.reveal()
        return HTTPBasicAuth(user.encode(), password.encode())

    def _read(self, answer: requests.Response, deadline: Deadline) -> bytes:
        read = bytearray()
        for chunk in answer.iter_content(65536):
            read += chunk
            if len(read) > _LIMIT or deadline.passed():
                raise Unheard(f"Patroni on {self.node} answers without end", "silent", sent=True)
        return bytes(read)

    def _error(self, error: requests.RequestException) -> Exception:
        who, why = f"Patroni on {self.node}", redactor.mask(_reason(error))
        if isinstance(error, requests.exceptions.SSLError):
            return CheckFailed(f"{who}: {why}; mend ca:, cert: or the name in api:")
        if isinstance(error, requests.exceptions.ConnectTimeout):
            return Unheard(f"{who} ({self._url}) does not answer", "silent", sent=False)
        if isinstance(error, requests.exceptions.ReadTimeout):
            return Unheard(f"{who} did not answer in time", "silent", sent=True)
        fresh = "NewConnectionError" in repr(error) or "NameResolution" in repr(error)
        return Unheard(f"{who} ({self._url}): {why}", "refused", sent=not fresh)


def _close(held: list[requests.Session]) -> None:
    for session in held:
        session.close()


def _answer(status: int, raw: bytes) -> Answer:
    text = raw.decode("utf-8", "replace")
    try:
        body = json.loads(text) if text.strip() else None
    except (ValueError, RecursionError):
        body = None
    words = " ".join(text.split())[:300]
    return Answer(status, body, redactor.mask(words))


def _reason(error: BaseException) -> str:
    """The innermost words of what requests wraps in what urllib3 wraps."""
    while error.args and isinstance(error.args[-1], BaseException):
        error = error.args[-1]
    inner = getattr(error, "reason", None)
    if isinstance(inner, BaseException):
        return _reason(inner)
    text = str(error).rpartition(": ")[2] if "object at 0x" in str(error) else str(error)
    return text or type(error).__name__


def refusal(answer: Answer, node: str) -> Transient | CheckFailed:
    """What it means that Patroni did not take a request."""
    if answer.status == 401:
        return CheckFailed(
            f"Patroni on {node} wants another login ({answer.words}); mend user: and password: "
            "of the cluster (restapi.authentication in patroni.yml)"
        )
    if answer.status == 403:
        return CheckFailed(
            f"Patroni on {node} does not let us change anything ({answer.words}); see "
            "restapi.allowlist and restapi.verify_client in patroni.yml"
        )
    return CheckFailed(f"Patroni on {node} says {answer.status}: {answer.words}")
