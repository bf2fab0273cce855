"""Does the `accesslog` probe count what a real nginx served, once, whatever happens to its log?"""

from __future__ import annotations

import gzip
import json
import os
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests

from sre.core.units import Duration, Rate, Share, Size
from sre.journey.result import Outcome, Reason
from sre.probes import logstate
from sre.probes.fitting import SAMPLES
from sre.probes.kinds.accesslog import AccesslogProbe
from sre.probes.logjudge import Limits
from sre.probes.model import Reading
from tests.contracts.test_probe import context
from tests.servers.examples import run_example, serve_example
from tests.servers.net import wait_until
from tests.servers.nginx import Nginx, running_nginx

HTTP = """
log_format timed '$remote_addr - $remote_user [$time_local] "$request" '
                 '$status $body_bytes_sent "$http_referer" "$http_user_agent" $request_time';
log_format asjson escape=json '{"time_iso8601":"$time_iso8601","request_method":"$request_method",'
    '"request_uri":"$request_uri","status":$status,"request_time":$request_time,'
    '"body_bytes_sent":$body_bytes_sent,"http_user_agent":"$http_user_agent"}';
log_format odd '$status|$request_time|$request_method $request_uri|$msec|"$http_user_agent"';
"""
SERVER = """
server {
    listen 127.0.0.1:{port};
    access_log timed.log timed; access_log json.log asjson; access_log odd.log odd;
    location = /broken { return 500; }
    location = /login { return 401; }
    location = /moved { return 302 /cart; }
    location = /cart { return 200 "cart"; }
    location /product/ { return 200 "product"; }
    location /orders/ { return 200 "order"; }
    location / { return 404; }
}
"""
NUMBERS = count()
ROUTES = ("/product/:slug", "/cart")
FORMATS = {
    "timed.log": "combined",
    "json.log": "json",
    "odd.log": '$status|$request_time|$request_method $request_uri|$msec|"$http_user_agent"',
}


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "state"
    monkeypatch.setenv("SRE_STATE", str(folder))
    logstate._memories.clear()
    yield folder
    logstate._memories.clear()


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Nginx]:
    with running_nginx(tmp_path / "nginx", SERVER, http=HTTP) as found:
        yield found


def look(probe: AccesslogProbe, seconds: float = 5) -> Reading:
    return probe.check(context({}, seconds=seconds))


def numbers(reading: Reading, name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(value for _, value in gauge.labels): gauge.value
        for gauge in reading.gauges
        if gauge.name == f"sre_probe_accesslog_{name}"
    }


def one(reading: Reading, name: str, *labels: str) -> float:
    return numbers(reading, name)[labels]


def total(reading: Reading) -> float:
    return sum(numbers(reading, "requests_total").values())


def get(nginx: Nginx, *paths: str) -> None:
    with requests.Session() as session:
        for path in paths:
            query = "&" if "?" in path else "?"
            url = f"{nginx.url}{path}{query}n={next(NUMBERS)}"  # no two lines are the same
            session.get(url, allow_redirects=False, timeout=5)


def logged(nginx: Nginx, name: str, lines: int) -> Path:
    path = nginx.home / name
    wait_until(lambda: path.read_bytes().count(b"\n") >= lines, 5, f"{lines} lines")
    return path


def test_the_example_runs_and_serves(nginx: Nginx, tmp_path: Path) -> None:
    get(nginx, *["/cart"] * 20)
    log = logged(nginx, "timed.log", 21)
    at = {
        "/var/log/nginx/access.log": str(log),
        "kind: accesslog": "kind: accesslog\n    every: 1s",
    }
    code, told = run_example("accesslog", tmp_path, at)
    assert (code, told["results"][0]["outcome"]) == (0, "ok"), told
    with serve_example("accesslog", tmp_path, at) as metrics:
        line = 'sre_probe_accesslog_requests_total{class="2xx",probe="traffic",route="/cart"} '
        assert float(metrics.partition(line)[2].partition("\n")[0]) == 20


@pytest.mark.parametrize("name", FORMATS)
def test_the_numbers_are_those_of_nginx(nginx: Nginx, name: str) -> None:
    paths = ["/product/a?card=4111", "/product/b/", "/cart", "/orders/17", "/orders/18", "/broken"]
    get(nginx, *paths, "/login", "/moved", "/wp-login.php", "/.env")
    path = logged(nginx, name, 11)
    reading = look(AccesslogProbe(str(path), format=FORMATS[name], routes=ROUTES))
    assert (reading.outcome, reading.message) == (Outcome.OK, "")
    assert numbers(reading, "requests_total") == {
        ("/product/:slug", "2xx"): 2,
        ("/product/:slug", "5xx"): 0,
        ("/cart", "2xx"): 1,
        ("/cart", "5xx"): 0,
        ("/orders/:id", "2xx"): 2,
        ("/orders/:id", "5xx"): 0,
        ("/broken", "2xx"): 0,
        ("/broken", "5xx"): 1,
        ("/moved", "2xx"): 0,
        ("/moved", "3xx"): 1,
        ("/moved", "5xx"): 0,
        ("other", "2xx"): 0,
        ("other", "4xx"): 4,  # the login, two scans, and the fixture's own first question
        ("other", "5xx"): 0,
    }
    assert one(reading, "failed_logins_total") == 1
    assert one(reading, "error_ratio") == pytest.approx(1 / 11)
    assert one(reading, "unparsed_lines_total") == 0
    assert sum(numbers(reading, "timed_requests_total").values()) == 11
    assert 0 <= one(reading, "p95_seconds") < 5
    newest = one(reading, "newest_line_timestamp_seconds")
    assert abs(newest - path.stat().st_mtime) < 5
    if name != "odd.log":
        sizes = [int(found) for found in re.findall(r'"?(\d+)[",]? "', path.read_text())]
        assert one(reading, "response_bytes_total") > 0 or not sizes


def test_rotations_of_a_running_nginx(nginx: Nginx, state: Path) -> None:
    log = logged(nginx, "timed.log", 1)
    probe = AccesslogProbe(str(log), routes=ROUTES)
    assert total(look(probe)) == 1
    seen = 1.0
    for step in ("rename", "copytruncate", "pack", "restart", "rename"):
        get(nginx, "/cart", "/cart")
        logged(nginx, "timed.log", 2)
        if step == "rename":
            log.rename(log.with_name("timed.log.1"))
            get(nginx, "/cart")  # nginx still writes into the renamed file
            nginx.reopen()
            wait_until(log.exists, 5, "the new file")
            seen += 1
        elif step == "copytruncate":
            log.with_name("timed.log.1").rename(log.with_name("timed.log.2"))
            log.with_name("timed.log.1").write_bytes(log.read_bytes())
            os.truncate(log, 0)
        elif step == "pack":
            log.rename(log.with_name("timed.log.0"))
            nginx.reopen()
            wait_until(log.exists, 5, "the new file")
            rotated = log.with_name("timed.log.0")
            log.with_name("timed.log.0.gz").write_bytes(gzip.compress(rotated.read_bytes()))
            rotated.unlink()
        elif step == "restart":
            for old in log.parent.glob("timed.log.*"):
                old.unlink()
            logstate._memories.clear()
        get(nginx, "/cart")
        seen += 3
        wait_until(lambda least=seen: total(look(probe)) >= least, 5, step)
        reading = look(probe)
        assert (total(reading), reading.outcome) == (seen, Outcome.OK), step
        assert one(reading, "gaps_total") == 0, step


def write(path: Path, *lines: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def line(path: str = "/cart", status: int = 200, seconds: float = 0.1, size: int = 10) -> str:
    return (
        f'203.0.113.9 - alice [21/Nov/2026:04:52:44 +0100] "GET {path} HTTP/1.1" {status} {size} '
        f'"-" "Mozilla" {seconds:.3f}'
    )


def test_counters_survive_a_restart_and_another_process(tmp_path: Path, state: Path) -> None:
    log = tmp_path / "access.log"
    write(log, *[line(seconds=0.5)] * 10)
    probe = AccesslogProbe(str(log), routes=ROUTES)
    assert total(look(probe)) == 10
    write(log, *[line()] * 5)
    logstate._memories.clear()
    again = look(AccesslogProbe(str(log), routes=ROUTES))
    assert total(again) == 15
    assert one(again, "request_seconds_total", "/cart") == pytest.approx(5.5)
    assert one(again, "request_p95_seconds", "/cart") == pytest.approx(0.1)
    assert total(look(probe)) == 15


def test_nothing_personal_is_exported_or_kept(tmp_path: Path, state: Path) -> None:
    log = tmp_path / "access.log"
    write(
        log,
        line("/cart?token=sesame"),
        line("/user/alice"),
        line("/u/alice@example.com"),
        line("/u/203.0.113.9"),
    )
    reading = look(AccesslogProbe(str(log)))
    kept = "".join(path.read_text() for path in state.rglob("*.json")) + repr(reading)
    for word in ("sesame", "alice", "203.0.113", "Mozilla"):
        assert word not in kept


def test_another_configuration_goes_on_where_the_old_one_was(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    write(log, *[line()] * 10)
    assert total(look(AccesslogProbe(str(log)))) == 10
    write(log, *[line()] * 3)
    other = AccesslogProbe(str(log), routes=ROUTES)
    assert total(look(other)) == 3


def test_a_state_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("SRE_STATE", str(tmp_path / "file"))
    log = tmp_path / "access.log"
    write(log, *[line()] * 10)
    probe = AccesslogProbe(str(log))
    first = look(probe)
    assert (first.outcome, total(first)) == (Outcome.DEGRADED, 10)
    assert "until the next restart only" in first.message
    write(log, line())
    assert total(look(probe)) == 11


def test_a_damaged_state_begins_anew(tmp_path: Path, state: Path) -> None:
    log = tmp_path / "access.log"
    write(log, *[line()] * 10)
    probe = AccesslogProbe(str(log))
    look(probe)
    logstate._memories.clear()
    for path in state.rglob("*.json"):
        path.write_text('{"places": [{"x": 1}], "revision": "a"')
    assert total(look(probe)) == 10


def test_several_threads_count_each_line_once(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    write(log, line())
    probe = AccesslogProbe(str(log))
    stop = threading.Event()

    def writing() -> None:
        for _ in range(300):
            write(log, line())
        stop.set()

    writer = threading.Thread(target=writing)
    writer.start()
    with ThreadPoolExecutor(4) as pool:
        while not stop.is_set():
            found = list(pool.map(lambda _: look(probe), range(4)))
            assert {one.outcome for one in found} == {Outcome.OK}
    writer.join()
    assert total(look(probe)) == 301


def test_a_look_reads_so_much_and_says_how_much_is_left(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    write(log, line())
    probe = AccesslogProbe(str(log), max_bytes=Size(128 * 1024), warn=Limits(lag=Size(1)))
    assert total(look(probe)) == 1
    write(log, *[line()] * 5000)
    first = look(probe)
    assert one(first, "lag_bytes") > 200_000
    assert (first.outcome, "bytes behind the log" in first.message) == (Outcome.DEGRADED, True)
    rest = wait_until(
        lambda: found if not one(found := look(probe), "lag_bytes") else None, 5, "end"
    )
    assert (total(rest), rest.outcome) == (5001, Outcome.OK)


def test_limits(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    write(log, line())
    limits = Limits(
        errors=Share(0.05),
        client_errors=Share(0.2),
        p95=Duration(0.5),
        routes={"/cart": Duration(0.2)},
        failed_logins=Rate(1.0),
    )
    probe = AccesslogProbe(str(log), routes=ROUTES, warn=limits)
    assert look(probe).outcome is Outcome.OK

    def after(*lines: str) -> Reading:
        write(log, *lines)
        return look(probe)

    fine = after(*[line()] * 19, line(status=500))
    assert (fine.outcome, fine.message) == (Outcome.OK, "")
    bad = after(*[line()] * 18, *[line(status=502)] * 2)
    assert (bad.outcome, bad.reason) == (Outcome.DEGRADED, Reason.STATUS)
    assert bad.message == "10.0% of 20 requests 5xx (limit 5.0%)"
    assert "of 10 requests 4xx" in after(*[line()] * 7, *[line(status=404)] * 3).message
    slow = after(*[line()] * 18, *[line(seconds=3)] * 2).message
    assert slow == "p95 of all routes 3.00 s (limit 500 ms); p95 of /cart 3.00 s (limit 200 ms)"
    few = after(line(status=500))
    assert few.outcome is Outcome.OK
    logins = after(*[line("/account/login", 401)] * 500)
    assert "failed logins a minute (limit 60)" in logins.message
    strict = AccesslogProbe(str(log), routes=("/cart",), max=Limits(errors=Share(0.1)))
    look(strict)
    write(log, *[line(status=500)] * 20)
    assert look(strict).outcome is Outcome.FAILED


def test_lines_of_another_format_are_told(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_bytes(b"what is this?\n" * 5 + b"\xff\xfe\x80 \x00\n" + b"x" * 10**6 + b"\n")
    wrong = look(AccesslogProbe(str(log)))
    assert (wrong.outcome, wrong.reason) == (Outcome.FAILED, Reason.BODY)
    assert wrong.message.startswith(f"7 of 7 new lines of {log} are of another format")
    write(log, *[line()] * 20)
    with log.open("ab") as file:
        file.write(b'1 - - [21/Nov/2026:04:52:44 +0100] "GET /\xff HTTP/1.1" 200 1\n')
    good = look(AccesslogProbe(str(log)))
    assert (good.outcome, total(good), one(good, "unparsed_lines_total")) == (Outcome.OK, 21, 7)


def test_routes_stay_few_and_scanners_open_none(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    words = [f"{first}{second}" for first in "abcdefghij" for second in "klmnopqrst"]
    write(log, *[line(f"/{word}", 404) for word in words])
    write(log, *[line(f"/{word}/page", kind) for word in words for kind in (200, 302, 500)])
    probe = AccesslogProbe(str(log), max_routes=50)
    reading = look(probe)
    assert one(reading, "routes") == 51
    assert len(reading.gauges) <= SAMPLES
    assert one(reading, "requests_total", "other", "4xx") == 100
    shown = len({labels[0] for labels in numbers(reading, "requests_total")})
    assert (shown, one(reading, "routes_left_out")) == (51, 0)
    few = look(AccesslogProbe(str(log), max_routes=3))
    assert one(few, "routes") <= 4


def test_clocks_that_are_wrong(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    write(log, line().replace("2026", "2099"), line().replace("2026", "1970"), line())
    reading = look(AccesslogProbe(str(log)))
    assert (reading.outcome, total(reading)) == (Outcome.OK, 3)
    assert one(reading, "requests_per_second") >= 0


def test_a_log_that_is_not_there_or_closed_to_us(tmp_path: Path) -> None:
    log = tmp_path / "none" / "access.log"
    reading = look(AccesslogProbe(str(log)))
    assert (reading.outcome, reading.reason) == (Outcome.DEGRADED, Reason.STATUS)
    assert "is not there yet" in reading.message
    folder = look(AccesslogProbe(str(tmp_path)))
    assert (folder.outcome, folder.reason) == (Outcome.FAILED, Reason.PROBER)
    closed = tmp_path / "closed.log"
    write(closed, line())
    closed.chmod(0)
    refused = _as_nobody(closed)
    assert (refused.outcome, refused.reason) == (Outcome.FAILED, Reason.PROBER)
    assert refused.message.startswith(f"no permission to read {closed}")


def _as_nobody(log: Path) -> Reading:
    """Root may open everything: this thread alone gives up its right to files."""
    import ctypes

    box: list[Reading] = []

    def work() -> None:
        if os.geteuid() == 0:
            assert ctypes.CDLL(None, use_errno=True).syscall(122, 65534) >= 0  # setfsuid
        box.append(look(AccesslogProbe(str(log))))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)
    return box[0]


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"file": ""}, "must name a log"),
        ({"file": "a", "max_routes": 0}, "max_routes"),
        ({"file": "a", "max_bytes": Size(10)}, "at least 128KiB"),
        ({"file": "a", "format": "nginx"}, "neither 'combined' nor 'json'"),
        ({"file": "a", "routes": ("cart",)}, "must look like"),
        ({"file": "a", "warn": Limits(routes={"/x": Duration(1.0)})}, "not among routes"),
    ],
)
def test_what_is_refused(config: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        AccesslogProbe(**config)


def test_the_state_is_plain_json(tmp_path: Path, state: Path) -> None:
    log = tmp_path / "access.log"
    write(log, line())
    look(AccesslogProbe(str(log)))
    (path,) = state.rglob("*.json")
    kept = json.loads(path.read_text())
    assert kept["totals"]["routes"]["/cart"]["classes"] == {"2xx": 1}
    assert path.stat().st_mode & 0o77 == 0


def test_rotations_under_traffic(nginx: Nginx) -> None:
    """nginx serves all the while; its log is renamed, and looked at, as fast as it goes."""
    log = logged(nginx, "timed.log", 1)
    probe = AccesslogProbe(str(log), routes=ROUTES)
    before = total(look(probe))
    writers = [threading.Thread(target=get, args=(nginx, *["/cart"] * 400)) for _ in range(3)]
    for writer in writers:
        writer.start()
    found, number = before, 20260000
    while number < 20260025 and any(writer.is_alive() for writer in writers):
        number += 1
        log.rename(log.with_name(f"timed.log-{number}"))
        found = max(found, total(look(probe)))
        nginx.reopen()
        wait_until(log.exists, 5, "the new file")
        found = max(found, total(look(probe)))
    for writer in writers:
        writer.join()
    wait_until(lambda: total(look(probe)) >= before + 1200, 5, "all requests")
    reading = look(probe)
    assert (total(reading), one(reading, "gaps_total")) == (before + 1200, 0)
    assert number > 20260002
