"""Does the service's log tell each change of a probe once?"""

from __future__ import annotations

import logging

import pytest

from sre.core.secrets import redactor
from sre.journey.result import Outcome, Reason
from sre.probes.changes import Changes
from sre.probes.model import Reading, Result


def run(outcome: Outcome, reason: Reason = Reason.NONE, message: str = "") -> Result:
    return Result("home", "http", Reading(outcome, 0.1, reason, message), 0.0)


def test_each_change_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    redactor.add("hunter22")
    changes = Changes()
    for one in (
        run(Outcome.OK),
        run(Outcome.FAILED, Reason.STATUS, "got 500\nwith hunter22"),
        run(Outcome.FAILED, Reason.STATUS, "got 503"),
        run(Outcome.FAILED, Reason.TIMEOUT, "no answer"),
        run(Outcome.OK),
        run(Outcome.OK),
        run(Outcome.DEGRADED, Reason.SLOW),
    ):
        changes.hear(one)
    assert [record.getMessage() for record in caplog.records] == [
        "probe home: failed status: got 500 with <secret>",
        "probe home: failed timeout: no answer",
        "probe home is well again",
        "probe home: degraded slow",
    ]
