"""Do finished runs reach a listener, and foreign pages the server, whatever they do?"""

from __future__ import annotations

import threading

import requests

from sre.core.web.answer import Answer
from sre.journey.guard import Guard
from sre.journey.result import Outcome
from sre.probes.model import Check, ProbeContext, Reading
from sre.probes.plan import Plan
from sre.probes.runner import Result
from sre.probes.watch import Watch
from tests.servers.net import wait_until
from tests.unit.page.made import SHOP


class Fine:
    """A probe that is always content."""

    def check(self, context: ProbeContext) -> Reading:
        return Reading(Outcome.OK, 0.001)


def test_a_listener_that_stumbles_ends_nothing() -> None:
    heard: list[str] = []
    twice = threading.Event()

    def listener(result: Result) -> None:
        heard.append(result.probe)
        if len(heard) >= 2:
            twice.set()
        raise RuntimeError("a bug of ours")

    def broken() -> Answer:
        raise RuntimeError("a bug of ours")

    plan = Plan((Check("fine", "fine", Fine(), every=1.0),), SHOP, Guard((), SHOP.base_url))
    routes = {"/": lambda: Answer(200, b"mine", "text/plain"), "/broken": broken}
    watch = Watch(lambda: plan, ("127.0.0.1", 0), listener=listener, routes=routes)
    watch.start()
    try:
        assert twice.wait(20)
        assert requests.get(watch.url + "/", timeout=5).text == "mine"
        assert requests.get(watch.url + "/broken", timeout=5).status_code == 500
        assert requests.get(watch.url + "/-/healthy", timeout=5).status_code == 200
        wait_until(
            lambda: (
                'outcome="ok",probe="fine",reason=""} 2'
                in requests.get(watch.url + "/metrics", timeout=5).text
            ),
            20,
            "both runs in the metrics",
        )
    finally:
        watch.stop()
