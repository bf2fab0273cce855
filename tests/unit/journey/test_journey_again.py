"""What is sent again, what leaves a doubt, and what is cleaned up however a run ends?"""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

import sre.journey.engine as engine
import sre.journey.judge as judging
from sre.core.errors import ConfigError, Terminated
from sre.journey.compile import single_step
from sre.journey.drive import run_once
from sre.journey.engine import Cancelled, RunContext, run
from sre.journey.exchange import Request, Response
from sre.journey.guard import Guard
from sre.journey.result import Outcome, Reason
from tests.unit.journey.kit import BASE, Script, answer, declare, drive, failure, one, only


def test_retry_sends_again_for_its_reasons_alone(tmp_path: Path) -> None:
    bad = failure(Reason.CONNECT)
    keys = "get: /, retry: {times: 2, errors: [connect]}"
    result, script = one(tmp_path, keys, bad, bad, answer())
    assert result.outcome is Outcome.OK
    assert [(r.attempt, r.outcome, r.reason) for r in result.rows] == [
        (0, Outcome.FAILED, "connect"), (1, Outcome.FAILED, "connect"), (2, Outcome.OK, "")
    ]  # fmt: skip
    assert script.at == pytest.approx([0.0, 0.2, 0.4])
    result, script = one(tmp_path, keys, bad)
    assert (len(script.requests), result.reason) == (3, "connect")
    result, script = one(tmp_path, keys, failure(Reason.TIMEOUT))
    assert len(script.requests) == 1
    result, script = one(tmp_path, "get: /", bad)
    assert len(script.requests) == 1


def test_a_retry_sends_the_very_same_request(tmp_path: Path) -> None:
    keys = (
        'post: "/?n=${int:1..999999}", json: {ref: "${uuid}"}, headers: {X-Try: "${uuid}"}, '
        "idempotency_key: {header: Key}, retry: {times: 2, errors: [connect]}"
    )
    bad = failure(Reason.CONNECT)
    _, script = one(tmp_path, keys, bad, bad, answer())
    sent = {(r.url, r.body, str(sorted(map(str, r.headers)))) for r in script.requests}
    assert (len(script.requests), len(sent)) == (3, 1)


def test_retry_stops_where_the_journey_has_no_time_left(tmp_path: Path) -> None:
    slow = failure(Reason.TIMEOUT, seconds=1.9)
    keys = "get: /, retry: {times: 5}, timeout: 5s"
    result, script = one(tmp_path, keys, slow, journey="timeout: 2s")
    assert (len(script.requests), result.reason, len(list(result.rows))) == (1, "timeout", 1)


def test_until_asks_again_and_each_time_is_a_row(tmp_path: Path) -> None:
    keys = "post: /, until: {expect: {json: {s: PAID}}, every: 500ms, within: 10s}"
    wait, paid = answer('{"s":"NEW"}', seconds=0.1), answer('{"s":"PAID"}')
    result, script = one(tmp_path, keys, wait, failure(Reason.CONNECT), wait, paid)
    assert result.outcome is Outcome.OK
    assert [row.attempt for row in result.rows] == [0, 1, 2, 3]
    assert script.at == pytest.approx([0.0, 0.6, 1.1, 1.7])
    assert result.seconds == pytest.approx(1.7)


def test_until_gives_up_in_time(tmp_path: Path) -> None:
    keys = "get: /, until: {expect: {json: {s: PAID}}, every: 500ms, within: 2s}"
    result, script = one(tmp_path, keys, answer('{"s":"NEW"}'))
    assert (result.outcome, result.reason) == (Outcome.FAILED, Reason.TIMEOUT)
    assert script.at == pytest.approx([0.0, 0.5, 1.0, 1.5])
    assert 'expected "PAID", got "NEW"' in result.message


@pytest.mark.parametrize(
    ("given", "outcome"),
    [(answer(status=429), Outcome.THROTTLED), (answer("sold out"), Outcome.REFUSED)],
)
def test_until_ends_where_the_shop_says_no(
    tmp_path: Path, given: Response, outcome: Outcome
) -> None:
    keys = "get: /, refused: {contains: sold}, until: {expect: {contains: x}, within: 9s}"
    result, script = one(tmp_path, keys, answer("wait"), given)
    assert (result.outcome, len(script.requests)) == (outcome, 2)


def test_idempotency_keys(tmp_path: Path) -> None:
    keys = "post: /, idempotency_key: {header: Key}, retry: {times: 1, errors: [connect]}"
    seen = []
    for _ in range(2):
        _, script = one(tmp_path, keys, failure(Reason.CONNECT), answer())
        first, again = script.sent("Key")
        assert first == again
        seen.append(first)
    assert seen[0] != seen[1]


@pytest.mark.parametrize(
    ("keys", "answers", "ambiguous"),
    [
        ("post: /", [failure(Reason.TIMEOUT, sent=True)], True),
        ("post: /", [failure(Reason.CONNECT, sent=False)], False),
        ("get: /", [failure(Reason.TIMEOUT, sent=True)], False),
        ("post: /", [answer(status=500)], False),
        (
            "post: /, idempotency_key: {header: K}, retry: {times: 1}",
            [failure(Reason.TIMEOUT, sent=True), answer()],
            False,
        ),
        (
            "post: /, until: {expect: {contains: x}, within: 5s}",
            [failure(Reason.TIMEOUT, sent=True), answer("x")],
            True,
        ),
    ],
)
def test_what_leaves_a_doubt(
    tmp_path: Path, keys: str, answers: list[Response], ambiguous: bool
) -> None:
    result, _ = one(tmp_path, keys, *answers)
    assert result.ambiguous is ambiguous


CLEANED = """
cleanup_timeout: 3s
timeout: 10s
steps:
  - {name: order, post: /orders, extract: {order: {json: id}}}
  - {name: pay, post: /pay}
cleanup:
  - {name: cancel, post: "/orders/${order}/cancel", when: order}
  - {name: note, post: "/notes/${ticket?}", when: order}
  - {name: logout, post: /logout}
"""
CLEANED = CLEANED.replace('"/notes/${ticket?}"', "/notes")


@pytest.mark.parametrize(
    ("second", "outcome"),
    [
        (answer(), Outcome.OK),
        (answer(status=500), Outcome.FAILED),
        (failure(Reason.TIMEOUT, sent=True, seconds=30.0), Outcome.FAILED),
    ],
)
def test_cleanup_always_runs_and_never_decides(
    tmp_path: Path, second: Response, outcome: Outcome
) -> None:
    script = Script(answer('{"id": 5}'), second, answer(status=500))
    result = drive(declare(tmp_path, CLEANED), script)
    assert result.outcome is outcome
    assert [url.removeprefix(BASE) for url in script.urls] == [
        "/orders", "/pay", "/orders/5/cancel", "/notes", "/logout"
    ]  # fmt: skip
    assert [step.cleanup for step in result.steps] == [False, False, True, True, True]
    assert script.requests[2].timeout == pytest.approx(3.0)


def test_cleanup_leaves_out_what_has_no_variables(tmp_path: Path) -> None:
    script = Script(answer(status=500))
    result = drive(declare(tmp_path, CLEANED), script)
    assert [url.removeprefix(BASE) for url in script.urls] == ["/orders", "/logout"]
    assert (result.outcome, result.failed_step) == (Outcome.FAILED, "order")


@pytest.mark.parametrize("error", [KeyboardInterrupt, Terminated])
@pytest.mark.parametrize("at", [0, 1])
def test_cleanup_runs_after_a_signal_which_then_goes_on(
    tmp_path: Path, error: type[BaseException], at: int
) -> None:
    answers: list[Response | BaseException] = [answer('{"id": 5}'), answer(), answer()]
    answers[at] = error()
    script = Script(*answers)
    with pytest.raises(error):
        drive(declare(tmp_path, CLEANED), script)
    assert script.urls[-1] == f"{BASE}/logout"
    assert (f"{BASE}/orders/5/cancel" in script.urls) is (at == 1)


@pytest.mark.parametrize("error", [KeyboardInterrupt, Terminated])
def test_a_signal_between_two_requests_is_no_different(
    tmp_path: Path, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = judging.judge
    seen: list[str] = []

    def signalled(step, *rest):  # type: ignore[no-untyped-def]
        seen.append(step.name)
        if step.name == "pay":
            raise error
        return judge(step, *rest)

    monkeypatch.setattr(engine, "judge", signalled)
    script = Script(answer('{"id": 5}'))
    with pytest.raises(error):
        drive(declare(tmp_path, CLEANED), script)
    assert script.urls[2:] == [f"{BASE}/orders/5/cancel", f"{BASE}/notes", f"{BASE}/logout"]


def test_a_cancelled_run_stops_at_the_next_request_and_cleans_up(tmp_path: Path) -> None:
    cancel = threading.Event()

    def first(_: Request) -> Response:
        cancel.set()
        return answer('{"id": 5}')

    script = Script(first, answer())
    result = drive(declare(tmp_path, CLEANED), script, cancel=cancel)
    assert [url.removeprefix(BASE) for url in script.urls] == [
        "/orders", "/orders/5/cancel", "/notes", "/logout"
    ]  # fmt: skip
    assert (result.outcome, result.reason) == (Outcome.FAILED, Reason.PROBER)
    assert not result.ambiguous


def test_cancelled_before_anything_was_sent(tmp_path: Path) -> None:
    cancel = threading.Event()
    cancel.set()
    script = Script(answer())
    result = drive(declare(tmp_path, CLEANED), script, cancel=cancel)
    assert (script.urls, result.reason) == ([], Reason.PROBER)


@pytest.mark.parametrize("last", [1, 2, 3, 4])
def test_a_run_that_is_cancelled_late_still_cleans_up(tmp_path: Path, last: int) -> None:
    cancel = threading.Event()

    class Cancelling(Script):
        def __call__(self, request: Request) -> Response:
            if len(self.requests) + 1 == last:
                cancel.set()  # while this request is under way
            return super().__call__(request)

    script = Cancelling(answer('{"id": 5}'), answer())
    drive(declare(tmp_path, CLEANED), script, cancel=cancel)
    paths = [url.removeprefix(BASE) for url in script.urls]
    assert paths[-3:] == ["/orders/5/cancel", "/notes", "/logout"]
    assert len(paths) == (4 if last == 1 else 5)


def test_a_cleanup_request_that_was_cut_off_is_not_sent_twice(tmp_path: Path) -> None:
    class Cut(Script):
        def __call__(self, request: Request) -> Response:
            response = super().__call__(request)
            if request.url.endswith("/cancel"):
                raise Terminated
            return response

    script = Cut(answer('{"id": 5}'), answer())
    with pytest.raises(Terminated):
        drive(declare(tmp_path, CLEANED), script)
    assert [url.removeprefix(BASE) for url in script.urls][2:] == [
        "/orders/5/cancel", "/notes", "/logout",
    ]  # fmt: skip


def test_the_journey_has_one_deadline(tmp_path: Path) -> None:
    steps = "timeout: 3s\nsteps:\n" + "".join(
        f"  - {{name: s{n}, get: /, timeout: 2s}}\n" for n in range(4)
    )
    script = Script(answer(seconds=1.5))
    result = drive(declare(tmp_path, steps), script)
    assert [round(r.timeout, 3) for r in script.requests] == [2.0, 1.5]
    assert (result.outcome, result.reason, result.failed_step) == ("failed", "timeout", "s2")


def test_a_request_under_way_when_the_run_is_ended_leaves_a_doubt(tmp_path: Path) -> None:
    settings = declare(tmp_path, CLEANED)
    for asked, doubt in ((Cancelled(), True), (Cancelled(sent=False), False)):
        script = Script(answer())
        steps = run(only(settings), RunContext(settings.shop, script.clock.now))
        assert isinstance(next(steps), Request)
        with pytest.raises(StopIteration) as ended:
            command = steps.throw(asked)
            while isinstance(command, Request):
                command = steps.send(script(command))
        assert ended.value.value.ambiguous is doubt
        assert script.urls == ([f"{BASE}/logout"] if doubt else [])


def test_a_probe_of_one_request(tmp_path: Path) -> None:
    shop = declare(tmp_path, "- {name: a, get: /}").shop
    journey = single_step("home", {"get": "/x", "expect": {"contains": "ok"}}, shop=shop)
    script = Script(answer("ok"))
    guard = Guard([], BASE)
    assert run_once(
        journey, shop=shop, guard=guard, perform=script, clock=script.clock
    ).outcome.good
    assert script.urls == [f"{BASE}/x"]
    with pytest.raises(ConfigError, match="unknown key 'expct'"):
        single_step("home", {"get": "/x", "expct": {}}, shop=shop)
