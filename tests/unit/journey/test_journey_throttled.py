"""Is a 429 told apart from failure, and sent again only as the shop asks and the time allows?"""

from __future__ import annotations

import math
import random
import statistics
from pathlib import Path

import pytest

from sre.core.errors import ConfigError
from sre.journey.model import LogNormal
from sre.journey.result import Outcome
from tests.unit.journey.kit import Script, answer, declare, drive, only

AGAIN = "retry: {times: 2, errors: [throttled]}"


def told(seconds: str, date: str = "") -> dict[str, str]:
    return {"retry-after": seconds} | ({"date": date} if date else {})


def test_without_a_word_a_429_ends_the_journey_as_throttled(tmp_path: Path) -> None:
    script = Script(answer(status=429, headers=told("7")))
    result = drive(declare(tmp_path, "- {name: a, get: /}\n- {name: b, get: /b}"), script)
    assert (result.outcome, result.reason, result.failed_step) == (Outcome.THROTTLED, "", "a")
    assert len(script.requests) == 1
    assert result.message == "status 429; retry after 7 s"
    assert result.steps[0].retry_after == 7


@pytest.mark.parametrize(
    ("headers", "waited"),
    [
        (told("3"), 3.0),
        (told("0"), 0.0),
        (told("Sun, 22 Nov 2026 10:00:04 GMT", "Sun, 22 Nov 2026 10:00:00 GMT"), 4.0),
        (told("Sun, 22 Nov 2026 09:00:00 GMT", "Sun, 22 Nov 2026 10:00:00 GMT"), 0.0),
        (told("soon"), 0.2),
        ({}, 0.2),
    ],
)
def test_retry_after_is_honoured(tmp_path: Path, headers: dict[str, str], waited: float) -> None:
    script = Script(answer(status=429, headers=headers), answer("fine"))
    result = drive(declare(tmp_path, f"- {{name: a, get: /, {AGAIN}}}"), script)
    assert (result.outcome, len(result.steps[0].rows)) == (Outcome.OK, 2)
    assert script.at[1] - script.at[0] == pytest.approx(waited)
    assert result.steps[0].seconds == pytest.approx(waited)  # the customer waited
    assert [row.outcome for row in result.rows] == [Outcome.THROTTLED, Outcome.OK]


def test_it_is_sent_again_as_often_as_told_and_no_more(tmp_path: Path) -> None:
    script = Script(answer(status=429, headers=told("1")))
    result = drive(declare(tmp_path, f"- {{name: a, get: /, {AGAIN}}}"), script)
    assert (result.outcome, len(script.requests)) == (Outcome.THROTTLED, 3)


def test_a_wait_that_does_not_fit_is_not_begun(tmp_path: Path) -> None:
    script = Script(answer(status=429, headers=told("11")), answer("fine"))
    journey = f"timeout: 10s\nsteps:\n  - {{name: a, get: /, {AGAIN}}}"
    result = drive(declare(tmp_path, journey), script)
    assert (result.outcome, len(script.requests)) == (Outcome.THROTTLED, 1)
    assert result.message == "status 429; retry after 11 s"


def test_a_failure_is_not_sent_again_for_the_sake_of_throttling(tmp_path: Path) -> None:
    script = Script(answer(status=503), answer("fine"))
    result = drive(declare(tmp_path, f"- {{name: a, get: /, {AGAIN}}}"), script)
    assert (result.outcome, len(script.requests)) == (Outcome.FAILED, 1)


def test_an_order_is_sent_again_under_its_key_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="idempotency_key"):
        declare(tmp_path, f"- {{name: pay, post: /pay, {AGAIN}}}")
    script = Script(answer(status=429, headers=told("1")), answer("paid"))
    step = f"- {{name: pay, post: /pay, idempotency_key: {{header: Idempotency-Key}}, {AGAIN}}}"
    result = drive(declare(tmp_path, step), script)
    keys = {dict(request.headers)["Idempotency-Key"] for request in script.requests}
    assert (result.outcome, len(script.requests), len(keys)) == (Outcome.OK, 2, 1)
    assert not result.ambiguous


def test_people_think_lognormally(tmp_path: Path) -> None:
    settings = declare(tmp_path, "- {name: a, get: /, pause: {median: 2s, p95: 8s}}")
    pause = only(settings).steps[0].pause
    assert pause == LogNormal(2.0, 8.0, 20.0)
    rng = random.Random(7)  # noqa: S311
    drawn = sorted(pause.draw(rng) for _ in range(20_000))
    assert statistics.median(drawn) == pytest.approx(2.0, rel=0.03)
    assert drawn[19_000] == pytest.approx(8.0, rel=0.05)
    assert (drawn[-1], drawn[0] > 0) == (20.0, True)
    again = random.Random(7)  # noqa: S311
    assert sorted(pause.draw(again) for _ in range(20_000)) == drawn


@pytest.mark.parametrize(
    ("pause", "words"),
    [
        ("{median: 2s}", "{median: 2s, p95: 8s}"),
        ("{median: 2s, p95: 1s}", "0s < median < p95 <= max"),
        ("{median: 2s, p95: 8s, max: 5s}", "0s < median < p95 <= max"),
        ("{median: 2, p95: 8s}", "a duration"),
        ("{median: 2s, p95: 8s, mx: 1s}", "{median: 2s, p95: 8s}"),
        ("[1s]", "'1s..3s'"),
    ],
)
def test_a_pause_that_cannot_be_meant(tmp_path: Path, pause: str, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        declare(tmp_path, f"- {{name: a, get: /, pause: {pause}}}")
    assert words in str(raised.value)
    assert ".pause" in str(raised.value)


def test_a_long_tail_may_be_as_long_as_it_says(tmp_path: Path) -> None:
    step = "- {name: a, get: /, pause: {median: 1s, p95: 30s, max: 1m}}"
    pause = only(declare(tmp_path, step)).steps[0].pause
    assert pause == LogNormal(1.0, 30.0, 60.0)
    assert math.isclose(pause.high, 60.0)
