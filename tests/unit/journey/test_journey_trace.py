"""Does the shop's own tracing learn which customer of a load test a request belongs to?"""

from __future__ import annotations

import re
from pathlib import Path

from sre.core.clock import FakeClock
from sre.journey.engine import RunContext, run
from sre.journey.exchange import Request, Wait
from tests.unit.journey.kit import answer, declare, only

TRACE = "0123456789abcdef0123456789abcdef"


def headers_of(folder: Path, steps: str, trace: str) -> list[str | None]:
    """`traceparent` of each request of a run under load."""
    settings, clock = declare(folder, steps), FakeClock()
    context = RunContext(settings.shop, clock.now, mode="load", trace=trace)
    sent: list[str | None] = []
    steps_of = run(only(settings), context)
    try:
        command = next(steps_of)
        while True:
            if isinstance(command, Wait):
                command = steps_of.send(None)
                continue
            assert isinstance(command, Request)
            found = [value for name, value in command.headers if name.lower() == "traceparent"]
            sent.append(",".join(found) or None)
            moved = answer(status=302, headers={"location": "/there"})
            command = steps_of.send(moved if command.url.endswith("/moves") else answer("ok"))
    except StopIteration:
        return sent


def test_every_request_of_a_run_is_a_span_of_its_trace_redirects_too(tmp_path: Path) -> None:
    sent = headers_of(
        tmp_path, "- {name: a, get: /moves, follow: true}\n- {name: b, post: /b}", TRACE
    )
    assert len(sent) == len(set(sent)) == 3
    for value in sent:
        assert re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-01", value or "")
        assert "-0000000000000000-" not in (value or "")


def test_a_header_that_the_journey_sets_itself_stays(tmp_path: Path) -> None:
    own = "- {name: a, get: /, headers: {TraceParent: mine}}\n- {name: b, get: /b}"
    first, second = headers_of(tmp_path, own, TRACE)
    assert first == "mine"
    assert (second or "").startswith(f"00-{TRACE}-")


def test_a_run_without_a_trace_sends_none(tmp_path: Path) -> None:
    assert headers_of(tmp_path, "- {name: a, get: /}", "") == [None]
