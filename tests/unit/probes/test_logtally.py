"""Do totals only grow, whatever is written, rotated, restarted or crashes between the looks?"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sre.core.accesslog import line_parser
from sre.core.routes import Routes
from sre.probes import logstate
from sre.probes.kinds.accesslog import AccesslogProbe
from sre.probes.logtally import Tally, quantile
from sre.probes.model import Reading
from tests.contracts.test_probe import context

STEPS = st.lists(
    st.sampled_from(["write", "look", "restart", "rotate", "copytruncate", "crash"]), max_size=20
)


class Crash(Exception):
    """The process ends in the middle of a look."""


def counters(reading: Reading) -> dict[tuple[str, object], float]:
    return {(one.name, one.labels): one.value for one in reading.gauges if one.counter}


def crashing(probe: AccesslogProbe, patch: pytest.MonkeyPatch) -> None:
    def to_json(_: Tally) -> dict[str, object]:
        raise Crash

    with patch.context() as inner:
        inner.setattr(Tally, "to_json", to_json)
        with pytest.raises(Crash):
            probe.check(context({}))
    logstate._memories.clear()


@given(steps=STEPS)
@settings(max_examples=60)
def test_each_request_counts_once_and_counters_never_fall(steps) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SRE_STATE", f"{folder}/state")
        log, written = Path(folder) / "access.log", 0
        log.touch()
        probe, before = AccesslogProbe(str(log)), dict[tuple[str, object], float]()
        for number, step in enumerate(["write", "look", *steps, "write", "look"]):
            match step:
                case "write":
                    with log.open("a") as file:
                        for status in (200, 404, 500):
                            file.write(
                                f'::1 - - [21/Nov/2026:03:52:44 +0000] "GET /cart?{written} '
                                f'HTTP/1.1" {status} 1 "-" "-" 0.010\n'
                            )
                            written += 1
                case "look":
                    found = counters(probe.check(context({})))
                    assert all(found[key] >= value for key, value in before.items())
                    before = found
                case "restart":
                    logstate._memories.clear()
                case "rotate":
                    log.replace(log.with_name(f"access.log-{20260000 + number}"))
                    log.touch()
                case "copytruncate":
                    copy = log.with_name(f"access.log-{20260000 + number}")
                    copy.write_bytes(log.read_bytes())
                    os.truncate(log, 0)
                case "crash":
                    crashing(probe, patch)
        logstate._memories.clear()
        total = sum(
            value for (name, _), value in before.items() if name.endswith("g_requests_total")
        )
        assert total == written


def test_a_line_counts_where_it_belongs() -> None:
    kept = {"routes": {"/old": {"classes": {"2xx": 5}, "seconds": 1.5, "timed": 5}}, "bytes": 10}
    tally = Tally(
        kept, line_parser(), Routes(["/cart"]), logins=Routes(["/my/door"]), max_routes=10
    )
    head = '::1 - - [21/Nov/2026:03:52:44 +0000] "GET'
    tally.add(f'{head} /cart HTTP/1.1" 200 7\n{head} /my/door HTTP/1.1" 403 1\n\n\0\nbad\n')
    tally.add(f'{head} /login HTTP/1.1" 401 1\n{head} /x HTTP/1.1" 999 1')
    assert tally.routes["/old"].requests == 5
    assert tally.routes["/cart"].classes == {"2xx": 1}
    assert tally.routes["other"].classes == {"4xx": 2, "none": 1}
    assert (tally.bytes, tally.unparsed, tally.failed_logins) == (20, 1, 1)
    assert (tally.look.requests, tally.look.client_errors) == (4, 2)
    again = Tally(tally.to_json(), line_parser(), Routes(), logins=Routes(), max_routes=10)
    assert again.to_json() == tally.to_json()


@pytest.mark.parametrize(
    ("times", "share", "expected"),
    [([], 0.5, None), ([3.0], 0.95, 3.0), ([1, 2, 3, 4], 0.5, 2), (range(1, 101), 0.95, 95)],
)
def test_quantiles(times, share: float, expected: float | None) -> None:
    assert quantile(times, share) == expected
