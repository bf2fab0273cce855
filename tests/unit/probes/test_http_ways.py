"""Does an `http` probe find the same on the loop, in a thread and as a step of a journey?"""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from sre.core.secrets import Secret
from sre.journey.guard import Guard
from sre.journey.result import Outcome, Reason
from sre.probes.httpoptions import TlsOptions
from sre.probes.kinds.http import HttpProbe
from sre.probes.model import Check, Reading
from sre.probes.plan import Plan
from sre.probes.record import Record
from sre.probes.scheduler import Scheduler
from tests.servers.hostile import Hostile
from tests.servers.net import wait_until
from tests.servers.onloop import LOCAL, by_engine, context, looping, on_loop
from tests.servers.tls import TlsServers

pytestmark = pytest.mark.alone

MIB = 2**20

PAGES: dict[str, tuple[dict[str, Any], str]] = {
    "/status/200": ({}, "ok "),
    "/status/404": ({}, "failed status"),
    "/status/503": ({"expect": {"status": [200, "500..599"]}}, "ok "),
    "/status/429": ({}, "throttled "),
    "/": ({"expect": {"contains": "hello", "not_contains": "bye"}}, "ok "),
    "/latin1": ({"expect": {"contains": "café"}}, "ok "),
    "/empty-200": ({"expect": {"size": 0}}, "ok "),
    "/http10": ({"expect": {"contains": "old but good"}}, "ok "),
    "/json?a=1": ({"expect": {"json": {"a": 1}}}, "ok "),
    "/json?a=2": ({"expect": {"json": {"a": 1}}}, "failed body"),
    "/big?kb=320": ({"expect": {"css": {"a.last": {"count": 1}}}}, "ok "),
    "/big?kb=321": ({"body_limit": 64 * 1024}, "failed body"),
    "/redirect?to=/status/200": ({}, "ok "),
    "/redirect?to=/status/204": ({"follow": False}, "ok "),
    "/redirect?to=/status/500": ({}, "failed status"),
    "/redirect?to=ftp://127.0.0.1/": ({}, "blocked "),
    "/redirect?to=http://192.0.2.1/": ({}, "blocked "),
    "/loop": ({}, "failed protocol"),
    "/loop-pair": ({}, "failed protocol"),
    "/never": ({}, "failed timeout"),
    "/drip": ({}, "failed timeout"),
    "/slow-headers?ms=20000": ({}, "failed timeout"),
    "/half": ({}, "failed body"),
    "/reset": ({}, "failed protocol"),
    "/gigabyte?mb=64": ({"body_limit": MIB}, "failed body"),
    "/bomb?mb=64": ({"body_limit": 8 * MIB}, "failed body"),
    "/bad-gzip": ({}, "failed body"),
    "/garbage": ({}, "failed protocol"),
    "/headers-flood": ({}, "failed protocol"),
}


def shape(reading: Reading) -> dict[str, Any]:
    """Everything but times, and how far an answer came in them."""
    step = reading.steps[0]
    return {
        "verdict": f"{reading.outcome.value} {reading.reason.value}",
        "message": re.sub(r"[\d.]+", "N", reading.message),
        "status": step.status,
        "retry_after": step.retry_after,
        "ambiguous": reading.ambiguous,
        "rows": [
            (row.outcome, row.reason, row.status, row.hop, sorted(row.phases)) for row in step.rows
        ],
        "gauges": [
            (g.name, g.labels, g.value)
            for g in reading.gauges
            if reading.reason is not Reason.TIMEOUT or not g.name.endswith("body_bytes")
        ],
    }


def probe(origin: str, page: str, **fields: Any) -> HttpProbe:
    return HttpProbe(f"{origin}{page}", **fields)


@pytest.mark.parametrize("page", PAGES)
def test_each_page_on_each_way(page: str, hostile: Hostile):
    fields, verdict = PAGES[page]
    seconds = 0.6 if "timeout" in verdict else 5.0
    made = probe(hostile.url, page, **fields)
    began = time.monotonic()
    thread, (loop,) = made.check(context(seconds)), on_loop((made, context(seconds)))
    (curl,) = on_loop((made, context(seconds)), raw=False)
    assert time.monotonic() - began < 3 * seconds + 1
    assert shape(thread) == shape(loop) == shape(curl)
    assert shape(thread)["verdict"] == verdict
    engine = by_engine(made, context(seconds))
    assert {**shape(engine), "gauges": shape(thread)["gauges"]} == shape(thread)
    if verdict == "ok ":
        sizes = [[row.received_bytes for row in one.steps[0].rows] for one in (engine, thread)]
        assert sizes[0] == sizes[1]


def test_a_second_run_is_as_the_first(hostile: Hostile):
    made = probe(hostile.url, "/status/200")
    first, second = (on_loop((made, context()))[0] for _ in range(2))
    assert shape(first) == shape(second)
    moved = probe(hostile.url, "/redirect?to=/status/404")
    assert shape(moved.check(context())) == shape(on_loop((moved, context()))[0])
    assert shape(moved.check(context())) == shape(moved.check(context()))


def test_a_post_whose_answer_never_came_is_ambiguous(hostile: Hostile):
    made = probe(hostile.url, "/reset", method="post", form={"a": "1"})
    thread, (loop,) = made.check(context()), on_loop((made, context()))
    assert thread.ambiguous
    assert (
        shape(thread)
        == shape(loop)
        == {**shape(by_engine(made, context())), "gauges": shape(loop)["gauges"]}
    )


@pytest.mark.parametrize(
    ("server", "tls", "verdict"),
    [
        ("good", {}, "ok "),
        ("chain", {}, "ok "),
        ("expired", {}, "failed tls"),
        ("self_signed", {}, "failed tls"),
        ("wrong_host", {}, "failed tls"),
        ("wrong_host", {"server_name": "wrong.example.test"}, None),
        ("expired", {"verify": False}, "ok "),
        ("tls12_only", {}, "ok "),
        ("tls12_only", {"min_version": "TLSv1.3"}, "failed tls"),
        ("good", {"max_version": "TLSv1.2"}, "ok "),
        ("handshake_stall", {}, "failed timeout"),
    ],
)
def test_tls_on_both_ways(
    server: str, tls: dict[str, Any], verdict: str | None, tls_servers: TlsServers
):
    url = f"https://localhost:{getattr(tls_servers, server)}/"
    made = HttpProbe(url, tls=TlsOptions(ca_file=tls_servers.ca_file, **tls))
    thread, (loop,) = made.check(context(1.0)), on_loop((made, context(1.0)))
    assert shape(thread) == shape(loop)
    if verdict is not None:
        assert shape(thread)["verdict"] == verdict
    if verdict == "ok " and server in ("good", "chain", "expired"):
        ends = tls_servers.expires[server]
        at = ends.timestamp() if hasattr(ends, "timestamp") else float(ends)
        own = [g.value for g in loop.gauges if ("position", "0") in g.labels]
        assert own == [pytest.approx(at, abs=1)]
        assert "tls" in loop.steps[0].phases


def test_a_certificate_of_our_own(tls_servers: TlsServers):
    url = f"https://localhost:{tls_servers.mutual}/"
    none = HttpProbe(url, tls=TlsOptions(ca_file=tls_servers.ca_file))
    for reading in (none.check(context()), *on_loop((none, context()))):
        assert reading.outcome is Outcome.FAILED, "the server wants one"
    files = {
        "cert_file": tls_servers.cert_file("client"),
        "key_file": tls_servers.key_file("client"),
    }
    made = HttpProbe(url, tls=TlsOptions(ca_file=tls_servers.ca_file, **files))
    for reading in (made.check(context()), *on_loop((made, context()))):
        assert (reading.outcome, reading.message) == (Outcome.OK, "")


def test_names_and_a_resolver_that_hangs_hold_up_nobody(hostile: Hostile):
    hanging = threading.Event()

    def resolve(host: str, _port: int) -> list[str]:
        if host == "hangs.test":
            hanging.wait(10)
        if host == "gone.test":
            raise OSError("no such name")
        return ["127.0.0.1"]

    allow = ("127.0.0.1:*", "hangs.test:*", "gone.test:*", "good.test:*")
    port = hostile.port
    runs = [
        (HttpProbe(f"http://{host}:{port}/status/200"), context(0.5, allow, resolve))
        for host in ("hangs.test", "gone.test", "good.test", "127.0.0.1")
    ]
    began = time.monotonic()
    readings = on_loop(*runs)
    hanging.set()
    assert time.monotonic() - began < 3
    assert [(r.outcome, r.reason) for r in readings] == [
        (Outcome.FAILED, Reason.DNS),
        (Outcome.FAILED, Reason.DNS),
        (Outcome.OK, Reason.NONE),
        (Outcome.OK, Reason.NONE),
    ]
    assert "no answer from DNS" in readings[0].message
    assert "resolve" in readings[2].steps[0].phases
    assert "resolve" not in readings[3].steps[0].phases


def test_a_name_is_asked_for_once_by_many_and_checked_each_time(hostile: Hostile):
    asked: list[str] = []

    def resolve(host: str, _port: int) -> list[str]:
        asked.append(host)
        time.sleep(0.05)
        return ["10.1.2.3"] if host == "bad.test" else ["127.0.0.1"]

    its = [context(3.0, ("127.0.0.1:*", "many.test:*", "bad.test:*"), resolve)]
    made = HttpProbe(f"http://many.test:{hostile.port}/status/200")
    bad = HttpProbe(f"http://bad.test:{hostile.port}/")
    readings = on_loop(*[(made, its[0]) for _ in range(40)], (bad, its[0]))
    assert sorted(asked) == ["bad.test", "many.test"]
    assert {r.outcome for r in readings[:40]} == {Outcome.OK}
    assert readings[40].outcome is Outcome.BLOCKED


def test_500_at_the_same_time_and_no_connection_is_left(hostile: Hostile):
    slow = probe(hostile.url, "/delay?first=300")
    began = time.monotonic()
    readings = on_loop(*[(slow, context(10.0)) for _ in range(500)], seconds=20)
    assert {r.outcome for r in readings} == {Outcome.OK}
    assert time.monotonic() - began < 8, "they ran one after the other"
    assert min(r.seconds for r in readings) >= 0.3


def test_what_runs_is_cancelled_when_the_loop_is_closed(hostile: Hostile):
    told: list[Any] = []
    made = probe(hostile.url, "/never")
    with looping() as loop:
        its = context(5.0)
        loop.carry(made.talk(its), its, told.append)
        loop.work(0.2)
        assert told == []
    assert told == [None]


def test_a_bug_of_a_talk_is_told_and_the_others_go_on(hostile: Hostile):
    def broken() -> Any:
        yield from ()
        raise RuntimeError("a bug")

    told: list[Any] = []
    with looping() as loop:
        its = context()
        loop.carry(broken(), its, told.append)
        loop.carry(probe(hostile.url, "/status/200").talk(its), its, told.append)
        while len(told) < 2:
            loop.work(0.05)
    assert isinstance(told[0], RuntimeError)
    assert told[1].outcome is Outcome.OK


def test_the_scheduler_carries_plain_probes_and_gives_the_others_threads(
    hostile: Hostile, tmp_path: Path
):
    password = tmp_path / "password"
    password.write_text("hunter2-planted\n")
    filed = {"bearer": Secret.from_file(password)}
    probes = {
        **{f"plain_{n}": probe(hostile.url, "/status/200") for n in range(60)},
        **{f"stuck_{n}": probe(hostile.url, "/never") for n in range(60)},
        "filed": probe(hostile.url, "/echo", **filed),
    }
    checks = tuple(Check(name, "http", one, 1.0, 0.5) for name, one in probes.items())
    record = Record()
    scheduler = Scheduler(Plan(checks, context().shop, Guard(LOCAL)), record, workers=2)
    thread = threading.Thread(target=scheduler.run)
    thread.start()

    def twice(name: str) -> bool:
        with record.reading() as (series, _):
            return sum(series[name].attempts.values()) >= 2

    try:
        wait_until(lambda: all(twice(check.name) for check in checks), 15, "two runs of each")
    finally:
        scheduler.stop(grace=2)
        thread.join(5)
    assert not thread.is_alive()
    with record.reading() as (series, _):
        assert all(series[f"stuck_{n}"].attempts["failed", "timeout"] >= 2 for n in range(60))
        assert all(series[f"plain_{n}"].attempts["ok", ""] >= 2 for n in range(60))
        assert series["filed"].attempts["ok", ""] >= 2
        assert max(one.lag or 0.0 for one in series.values()) < 0.4, "one held up another"
        assert {one.skipped["late"] + one.skipped["overrun"] for one in series.values()} == {0}
