"""What happens on the way from a step to its final answer: hops, cookies, failures. (sans-I/O)"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from sre.core.errors import UsageError
from sre.core.secrets import Redactor
from sre.journey.build import BadRequest, Draft, build, follow
from sre.journey.exchange import Request, Response, Wait
from sre.journey.judge import Judged, cookie_changes
from sre.journey.model import SAFE_METHODS, Step
from sre.journey.result import Outcome, Reason
from sre.journey.shop import Shop, origin_of
from sre.journey.template import MissingVariable, Scope

__all__ = ["MAX_HOPS", "REDIRECTS", "Exchange", "Sent", "send"]

MAX_HOPS = 10
REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NO_TIME = Judged(Outcome.FAILED, Reason.TIMEOUT, "no time was left to send it")
_TOO_MANY = Judged(Outcome.FAILED, Reason.PROTOCOL, f"more than {MAX_HOPS} redirects")


@dataclass(slots=True)
class Exchange:
    """What all requests of one run share: the shop, the names, the last page, the cookies.

    Attributes:
        unknown: keys of unsafe requests that were sent and of which no answer told what came.
        flying: the one among them that is being sent just now.
        drafted: the last request that may be sent again, with its key.
        idempotency_key: of the last request that had one, cleanup left out.
        trace: of the run; requests carry it when it is not empty, each as a span of its own.
    """

    shop: Shop
    scope: Scope
    now: Callable[[], float]
    cookies: dict[str, str]
    redactor: Redactor
    last: str = ""
    referer: str = ""
    sent: bool = False
    cleanup: bool = False
    unknown: set[str] = field(default_factory=set)
    flying: str = ""
    drafted: tuple[str, Draft] | None = None
    idempotency_key: str = ""
    trace: str = ""
    spans: int = 0
    _traced: str = field(init=False)

    def __post_init__(self) -> None:
        self.last = self.last or self.shop.base_url
        self._traced = f"00-{self.trace}-{self.trace[:8]}"

    def traced(self, draft: Draft) -> tuple[tuple[str, str], ...]:
        """`traceparent` of the next request; none where the declaration sets its own."""
        if not self.trace or "traceparent" in draft.headers:
            return ()
        self.spans += 1
        return (("traceparent", f"{self._traced}{self.spans:08x}-01"),)


@dataclass(slots=True)
class Sent:
    """One attempt of a step: every hop's answer, and why there is no usable one."""

    attempt: int
    hops: list[Response] = field(default_factory=list)
    url: str = ""
    error: Judged | None = None
    uncertain: bool = False

    @property
    def response(self) -> Response:
        """The final answer."""
        return self.hops[-1]

    @property
    def answered(self) -> bool:
        """The server said something, whatever it was."""
        return bool(self.hops) and self.response.failure is None

    @property
    def seconds(self) -> float:
        """From the first hop's start to the last one's end."""
        return self.hops[-1].ended - self.hops[0].started if self.hops else 0.0


def send(
    exchange: Exchange, step: Step, key: str, attempt: int, ends: float
) -> Generator[Request | Wait, Response | None, Sent]:
    """Send a step's request and follow its redirects; all of it must be over at `ends`."""
    sent = Sent(attempt)
    fresh = step.method not in SAFE_METHODS and key not in exchange.unknown
    if fresh:
        exchange.flying = key
        exchange.unknown.add(key)
    try:
        draft: Draft | None = _draft(exchange, step, key)
        while draft is not None:
            sent.url = draft.url
            own = origin_of(draft.url) in exchange.shop.trusted_origins
            left = ends - exchange.now()
            if left <= 0:
                sent.error = _NO_TIME
                break
            response = yield _request(exchange, step, draft, left, own=own)
            assert response is not None  # noqa: S101  the driver's part of the contract
            draft = _taken(exchange, step, sent, draft, response, own=own)
    except (MissingVariable, BadRequest, UsageError) as error:
        sent.error = _unsendable(error)
    settled = not sent.uncertain if fresh else sent.answered and step.idempotency_header is not None
    if settled:  # an answer to the same idempotency key tells of the earlier attempts too
        exchange.unknown.discard(key)
    exchange.flying = ""
    return sent


def _draft(exchange: Exchange, step: Step, key: str) -> Draft:
    """The request; a retry sends the very same, for a key with another body is refused."""
    if exchange.drafted is not None and exchange.drafted[0] == key:
        draft = exchange.drafted[1]
    else:
        draft = build(
            step, exchange.scope, exchange.last, exchange.shop, key, referer=exchange.referer
        )
        if step.until is None and (step.retry is not None or step.idempotency_header is not None):
            exchange.drafted = (key, draft)
    for secret in draft.secrets:
        exchange.redactor.add(secret)
    if step.idempotency_header is not None and not exchange.cleanup:
        exchange.idempotency_key = draft.headers[step.idempotency_header.lower()][1]
    return draft


def _unsendable(error: Exception) -> Judged:
    if isinstance(error, MissingVariable):
        return Judged(Outcome.FAILED, Reason.EXTRACT, str(error))
    if not isinstance(error, BadRequest):
        return Judged(Outcome.FAILED, Reason.PROBER, str(error))
    if error.blocked:
        return Judged(Outcome.BLOCKED, Reason.NONE, f"{error}; nothing was sent")
    return Judged(Outcome.FAILED, Reason.PROTOCOL, str(error))


def _taken(
    exchange: Exchange, step: Step, sent: Sent, draft: Draft, response: Response, *, own: bool
) -> Draft | None:
    """Take the answer to `draft` in; where it is a redirect, returns the request that follows."""
    exchange.sent = True
    sent.hops.append(response)
    if response.failure is not None:
        failure = response.failure
        again = step.until is not None and failure.outcome is Outcome.FAILED
        sent.error = Judged(failure.outcome, failure.reason, failure.message, again=again)
        sent.uncertain = failure.sent
        return None
    if own and response.sets_cookies:
        _keep_cookies(exchange, response)
    if not step.follow or response.status not in REDIRECTS:
        return None
    location = response.header("location")
    if not location:
        return None
    if len(sent.hops) > MAX_HOPS:
        sent.error = _TOO_MANY
        return None
    return follow(draft, response.status, location)


def _request(exchange: Exchange, step: Step, draft: Draft, left: float, *, own: bool) -> Request:
    headers = draft.sent_where(own=own)
    return Request(
        draft.method,
        draft.url,
        (*headers, *exchange.traced(draft)) if exchange.trace else headers,
        draft.body,
        left,
        step.body_limit,
        own,
        step.keep_alive,
    )


def _keep_cookies(exchange: Exchange, response: Response) -> None:
    for name, value in cookie_changes(response):
        if value is None:
            exchange.cookies.pop(name, None)
        else:
            exchange.cookies[name] = value
            if len(value) >= 8:
                exchange.redactor.add(value)
