"""In which order does an `http` probe send, follow, judge and tell? (sans-I/O)

A generator, as the journey engine is one: it yields hops and is sent answers, so that one thread
carries a single probe and one loop carries hundreds. It means what a journey of one step means;
a test holds the two to each other.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from random import Random

import orjson

from sre.core.errors import UsageError
from sre.core.secrets import Redactor, redactor
from sre.journey.build import BadRequest, Draft, follow
from sre.journey.exchange import Request, Response
from sre.journey.judge import Judged, cookie_changes, judge
from sre.journey.page import Page
from sre.journey.result import Outcome, Reason, Row, StepResult
from sre.journey.send import MAX_HOPS, REDIRECTS
from sre.journey.shop import origin_of
from sre.journey.template import MissingVariable, Scope
from sre.probes.httpfacts import gauges_of
from sre.probes.httphop import Answer, Hop, Talk
from sre.probes.httpscript import Opening, Script
from sre.probes.model import ProbeContext, Reading

__all__ = ["talk"]

_RANDOM = Random()
_NAME = "http"
_GOOD = Judged(Outcome.OK)


@dataclass(slots=True)
class _Run:
    """One run as it goes."""

    script: Script
    context: ProbeContext
    begun: float
    run_id: str
    masks: Redactor = field(default_factory=lambda: Redactor(redactor))
    url: str = ""
    own: tuple[str, str, int] | None = None
    answers: list[Answer] = field(default_factory=list)
    error: Judged | None = None
    uncertain: bool = False


def talk(script: Script, context: ProbeContext) -> Talk:
    """One run. What the target does, and a secret that cannot be read, is part of the reading."""
    begun, run_id = context.clock.now(), f"{_RANDOM.getrandbits(64):016x}"
    plain = script.plain(run_id, context.deadline.at - begun)
    answer = None
    if plain is not None and plain.seconds > 0:
        answer = yield plain
        if _is_good(script, answer):
            return _good(answer, begun, run_id)
    run = _Run(script, context, begun, run_id)
    scope = Scope({}, _RANDOM, run_id, 0, mask=run.masks.mask)
    try:
        token = yield from _token(run)
        if run.error is None:
            run.begun = begun if answer is not None else context.clock.now()
            authorization = script.auth.header(token)
            opening = script.open(scope, run_id)
            for secret in opening.secrets:
                run.masks.add(secret)
            yield from _hops(run, opening, authorization, answer)
    except MissingVariable as error:
        run.error = Judged(Outcome.FAILED, Reason.EXTRACT, str(error))
    except BadRequest as error:
        run.error = _bad(error)
    except UsageError as error:
        run.error = Judged(Outcome.FAILED, Reason.PROBER, str(error))
    return _reading(run, scope)


def _is_good(script: Script, answer: Answer) -> bool:
    """The commonest end: a first answer that is as expected, where its status alone is asked."""
    response = answer.response
    if response.failure is not None or (script.step.follow and response.status in REDIRECTS):
        return False
    easy, status = script.easy, response.status
    return easy is not None and status != 429 and easy.admits(status)


def _good(answer: Answer, begun: float, run_id: str) -> Reading:
    """What `_reading` makes of one good answer."""
    response = answer.response
    seconds, started = response.ended - response.started, response.started - begun
    status, none = response.status, Reason.NONE
    row = Row(  # in the order of their declaration: this is done for each run of each probe
        _NAME, Outcome.OK, seconds, None, none, status, response.phases, 0, 0, started, answer.size
    )
    step = StepResult(_NAME, Outcome.OK, seconds, None, none, status, started, started, (row,))
    gauges = gauges_of(answer, 0)
    return Reading(Outcome.OK, seconds, none, "", (step,), gauges, None, run_id)


def _bad(error: BadRequest) -> Judged:
    if error.blocked:
        return Judged(Outcome.BLOCKED, Reason.NONE, f"{error}; nothing was sent")
    return Judged(Outcome.FAILED, Reason.PROTOCOL, str(error))


def _hops(
    run: _Run, opening: Opening, authorization: str | None, answer: Answer | None
) -> Generator[Hop, Answer, None]:
    """Send the request (unless it was: `answer`) and follow its redirects, up to the deadline."""
    script, context = run.script, run.context
    part: Opening | Draft = opening
    run.own = origin_of(part.url)
    for hop in range(MAX_HOPS + 1):
        run.url = part.url
        left = context.deadline.at - context.clock.now()
        if answer is None:
            if left <= 0:
                run.error = Judged(Outcome.FAILED, Reason.TIMEOUT, "no time was left to send it")
                return
            answer = yield _hop(run, part, authorization, left)
        run.answers.append(answer)
        response, answer = answer.response, None
        if response.failure is not None:
            failure = response.failure
            run.error = Judged(failure.outcome, failure.reason, failure.message)
            run.uncertain = failure.sent
            return
        if _own(run, part.url):
            _mask_cookies(run, response)
        location = response.header("location") if response.status in REDIRECTS else None
        if not script.step.follow or not location:
            return
        if hop == MAX_HOPS:
            break
        draft = part.draft() if isinstance(part, Opening) else part
        part = follow(draft, response.status, location)
    run.error = Judged(Outcome.FAILED, Reason.PROTOCOL, f"more than {MAX_HOPS} redirects")


def _own(run: _Run, url: str) -> bool:
    """Cookies of this address may be sent and kept."""
    origin = origin_of(url)
    return origin == run.own or origin in run.script.shop.trusted_origins


def _hop(run: _Run, part: Opening | Draft, authorization: str | None, left: float) -> Hop:
    script, lines = run.script, None
    if isinstance(part, Opening):
        headers, lines = part.headers, part.lines
    else:
        headers = part.sent_to(script.shop)
    if authorization is not None and origin_of(part.url) == run.own:
        headers, lines = (*headers, ("Authorization", authorization)), None
    request = Request(
        method=part.method,
        url=part.url,
        headers=headers,
        body=part.body,
        timeout=left,
        body_limit=script.step.body_limit,
        credentials=_own(run, part.url),
        keep_alive=script.options.keep_alive,
    )
    return Hop(request, script.options, script.keep_body, lines)


def _mask_cookies(run: _Run, response: Response) -> None:
    for _, value in cookie_changes(response):
        if value is not None and len(value) >= 8:
            run.masks.add(value)


def _token(run: _Run) -> Generator[Hop, Answer, str | None]:
    """The token of an authorization server; its time is not the target's."""
    wanted = run.script.auth.oauth2
    if wanted is None:
        return None
    left = run.context.deadline.at - run.context.clock.now()
    response = (yield Hop(wanted.request(left), run.script.token_options)).response
    failure = response.failure
    if failure is not None:
        run.error = Judged(failure.outcome, failure.reason, f"the token: {failure.message}")
        return None
    if response.status != 200:
        message = f"the token: expected status 200, got {response.status}"
        run.error = Judged(Outcome.FAILED, Reason.STATUS, message)
        return None
    token = _access_token(response.body)
    if token is None:
        message = "the token: the answer has no access_token"
        run.error = Judged(Outcome.FAILED, Reason.BODY, message)
        return None
    run.masks.add(token)
    return token


def _access_token(body: bytes) -> str | None:
    """The token of an answer, where it has one that may stand in a header."""
    try:
        token = orjson.loads(body)["access_token"]
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
        return None
    good = isinstance(token, str) and token.isascii() and token.isprintable()
    return token if good and token else None


def _reading(run: _Run, scope: Scope) -> Reading:
    judged = run.error or _judged(run, scope)
    message = run.masks.mask(judged.message) if judged.message else ""
    rows = _rows(run, judged, message)
    seconds = rows[-1].started + rows[-1].seconds - rows[0].started
    step = StepResult(
        name=_NAME,
        outcome=judged.outcome,
        reason=judged.reason,
        status=rows[-1].status if run.answers else None,
        seconds=seconds,
        due=rows[0].started,
        started=rows[0].started,
        rows=rows,
        retry_after=judged.retry_after,
        message=message,
    )
    return Reading(
        outcome=judged.outcome,
        seconds=seconds,
        reason=judged.reason,
        message=message,
        steps=(step,),
        gauges=gauges_of(run.answers[-1], len(run.answers) - 1) if run.answers else (),
        run_id=run.run_id,
        ambiguous=run.uncertain and not run.script.step.safe,
    )


def _judged(run: _Run, scope: Scope) -> Judged:
    script, answer = run.script, run.answers[-1]
    found = answer.told
    if script.versions and found.version not in script.versions:
        wanted = ", ".join(script.versions)
        message = f"expected HTTP {wanted}, got {found.version or 'another protocol'}"
        return Judged(Outcome.FAILED, Reason.PROTOCOL, message)
    if script.must_be_tls is not None and found.tls != script.must_be_tls:
        message = f"the answer came {'without' if script.must_be_tls else 'over'} TLS"
        return Judged(Outcome.FAILED, Reason.TLS, message)
    seconds = answer.response.ended - run.answers[0].response.started
    try:
        return judge(script.step, Page(answer.response, run.url, {}, seconds), scope, {})
    except UsageError as error:
        return Judged(Outcome.FAILED, Reason.PROBER, str(error))


def _rows(run: _Run, judged: Judged, message: str) -> tuple[Row, ...]:
    """A row for each hop; one without a status where nothing could be sent."""
    answers = run.answers or [Answer(Response(started=run.begun, ended=run.begun))]
    last = len(answers) - 1
    return tuple(
        _row(run, answer, judged if hop == last else _GOOD, hop, message if hop == last else "")
        for hop, answer in enumerate(answers)
    )


def _row(run: _Run, answer: Answer, judged: Judged, hop: int, message: str) -> Row:
    response = answer.response
    return Row(
        step=_NAME,
        outcome=judged.outcome,
        reason=judged.reason,
        status=response.status or None,
        seconds=response.ended - response.started,
        phases=response.phases,
        hop=hop,
        started=response.started - run.begun,
        received_bytes=answer.size,
        message=message,
    )
