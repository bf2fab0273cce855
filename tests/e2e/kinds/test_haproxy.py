"""Does the `haproxy` probe tell the states of a real HAProxy, and which of them matter?"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from sre.core.secrets import Secret
from sre.core.units import Share
from sre.journey.result import Outcome, Reason
from sre.probes.fitting import SAMPLES
from sre.probes.haproxyfacts import gauges_of
from sre.probes.haproxystat import parse
from sre.probes.kinds.haproxy import Backend, HaproxyProbe, Limits
from sre.probes.model import Reading
from sre.probes.watching import WatchOptions
from tests.contracts.test_probe import context
from tests.servers.examples import run_example, serve_example
from tests.servers.haproxy import Haproxy, running_haproxy
from tests.servers.net import wait_until


@pytest.fixture(scope="module")
def balancer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haproxy]:
    with running_haproxy(tmp_path_factory.mktemp("haproxy"), 3, spare=True) as found:
        yield found


@pytest.fixture(autouse=True)
def whole(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test finds and leaves all servers up."""
    yield
    if "balancer" in request.fixturenames:
        found: Haproxy = request.getfixturevalue("balancer")
        for n, web in enumerate(found.webs):
            found.say(f"set server shop/w{n} state ready")
            if web._server is None:
                web.start()
        wait_until(lambda: list(found.states().values()) == ["UP"] * 3, 10, "all servers up")


def look(probe: HaproxyProbe, seconds: float = 5) -> Reading:
    return probe.check(context({}, seconds=seconds))


def number(reading: Reading, name: str, **labels: str) -> float:
    wanted = {"class_": "class"}
    labels = {wanted.get(key, key): value for key, value in labels.items()}
    found = [
        gauge.value
        for gauge in reading.gauges
        if gauge.name == f"sre_probe_haproxy_{name}" and dict(gauge.labels) == labels
    ]
    assert len(found) == 1, (name, labels, found)
    return found[0]


def test_the_example_runs_and_serves(balancer: Haproxy, tmp_path: Path) -> None:
    at = {
        "127.0.0.1:9999": f"127.0.0.1:{balancer.admin}",
        "kind: haproxy": "kind: haproxy, every: 1s",
    }
    code, told = run_example("haproxy", tmp_path, at)
    assert (code, told["results"][0]["outcome"]) == (0, "ok"), told
    with serve_example("haproxy", tmp_path, at) as metrics:
        assert (
            'sre_probe_haproxy_backend_servers_up{backend="shop",probe="balancer"} 3.0' in metrics
        )


@pytest.mark.parametrize("way", ["socket", "tcp", "page"])
def test_the_numbers_are_those_of_haproxy_whichever_way_is_asked(
    balancer: Haproxy, way: str
) -> None:
    probe = {
        "socket": HaproxyProbe(socket=balancer.socket),
        "tcp": HaproxyProbe(socket=f"127.0.0.1:{balancer.admin}"),
        "page": HaproxyProbe(
            url=f"http://127.0.0.1:{balancer.stats}/stats",
            user="watch",
            password=Secret.literal("open-sesame"),
        ),
    }[way]
    before = look(probe)
    assert (before.outcome, before.message) == (Outcome.OK, "")
    for _ in range(5):
        assert requests.get(f"http://127.0.0.1:{balancer.port}/", timeout=5).ok
    assert requests.get(f"http://127.0.0.1:{balancer.port}/broken", timeout=5).status_code == 500
    after = look(probe)

    def grown(name: str, **labels: str) -> float:
        return number(after, name, **labels) - number(before, name, **labels)

    assert grown("backend_responses_total", backend="shop", class_="2xx") == 5
    assert grown("backend_responses_total", backend="shop", class_="5xx") == 1
    assert grown("backend_sessions_total", backend="shop") == 6
    assert number(after, "backend_servers_up", backend="shop") == 3
    assert number(after, "backend_active_servers", backend="shop") == 2
    assert number(after, "server_state_info", backend="shop", server="w2", state="up") == 1
    assert number(after, "frontend_session_limit", frontend="web") == 20
    assert (way == "page") == (not any("uptime" in gauge.name for gauge in after.gauges))
    if way != "page":
        assert number(after, "connection_limit") == 200
        assert 0 <= number(after, "idle_ratio") <= 1


def test_a_dead_server_degrades_and_the_last_one_fails(balancer: Haproxy) -> None:
    probe = HaproxyProbe(socket=balancer.socket)
    strict = HaproxyProbe(socket=balancer.socket, backends={"shop": Backend(min_up=3)})
    balancer.webs[0].stop()
    wait_until(lambda: balancer.states()["w0"] == "DOWN", 10, "w0 down")
    one = look(probe)
    assert (one.outcome, one.reason) == (Outcome.DEGRADED, Reason.STATUS)
    assert one.message.startswith("shop: 2 of 3 servers up (w0 DOWN ")
    assert number(one, "server_check_failures_total", backend="shop", server="w0") >= 1
    assert look(strict).message.startswith("shop: 2 of 3 servers get requests, at least 3 must")
    balancer.webs[1].stop()
    wait_until(lambda: balancer.states()["w1"] == "DOWN", 10, "w1 down")
    assert look(probe).outcome is Outcome.DEGRADED
    balancer.webs[2].stop()
    wait_until(lambda: balancer.states()["w2"] == "DOWN", 10, "w2 down")
    none = look(probe)
    assert (none.outcome, none.reason) == (Outcome.FAILED, Reason.STATUS)
    assert "0 of 3 servers get requests, at least 1 must" in none.message
    assert number(none, "backend_servers_up", backend="shop") == 0


def test_servers_taken_out_are_no_failure_until_none_is_left(balancer: Haproxy) -> None:
    probe = HaproxyProbe(socket=balancer.socket)
    balancer.say("set server shop/w0 state drain")
    drained = look(probe)
    assert (drained.outcome, drained.message) == (Outcome.OK, "")
    assert number(drained, "server_state_info", backend="shop", server="w0", state="drain") == 1
    half = HaproxyProbe(socket=balancer.socket, backends={"shop": Backend(min_share=Share(0.9))})
    assert look(half).message.startswith("shop: 2 of 3 servers get requests, at least 90% must")
    balancer.say("set server shop/w1 state maint")
    spare = look(probe)
    assert (spare.outcome, "only spare servers are left" in spare.message) == (
        Outcome.DEGRADED,
        True,
    )
    balancer.say("set server shop/w2 state maint")
    nothing = look(probe)
    assert nothing.outcome is Outcome.FAILED
    assert "(w0 DRAIN, w1 MAINT, w2 MAINT)" in nothing.message


def test_a_queue_and_full_servers_have_limits(balancer: Haproxy) -> None:
    """Each server takes two at once: the fifth waits, for the spare one is not used meanwhile."""
    probe = HaproxyProbe(
        socket=balancer.socket, warn=Limits(sessions=Share(0.9)), max=Limits(queue=0)
    )
    assert look(probe).outcome is Outcome.OK
    url = f"http://127.0.0.1:{balancer.port}/held"
    clients = [threading.Thread(target=requests.get, args=(url,), daemon=True) for _ in range(6)]
    for client in clients:
        client.start()
    full = wait_until(lambda: _queued(probe), 10, "a queue")
    assert (full.outcome, full.reason) == (Outcome.FAILED, Reason.STATUS)
    assert "requests wait (limit 0)" in full.message
    assert number(full, "session_ratio") == 1
    only = HaproxyProbe(socket=balancer.socket, warn=Limits(sessions=Share(0.9)))
    assert "has 100% of its sessions (limit 90%)" in look(only).message
    for web in balancer.webs:
        web.held.set()
    for client in clients:
        client.join(10)
    assert look(probe).outcome is Outcome.OK
    for web in balancer.webs:
        web.held.clear()


def _queued(probe: HaproxyProbe) -> Reading | None:
    reading = look(probe)
    return reading if number(reading, "backend_queue", backend="shop") >= 2 else None


def test_a_backend_that_is_not_there_is_named(balancer: Haproxy) -> None:
    reading = look(HaproxyProbe(socket=balancer.socket, backends={"shpo": Backend()}))
    assert reading.outcome is Outcome.FAILED
    assert reading.message == "no backend is named 'shpo'; there are: shop, stats"


def test_the_page_asks_for_its_password(balancer: Haproxy) -> None:
    url = f"http://127.0.0.1:{balancer.stats}/stats"
    wrong = look(HaproxyProbe(url=url, user="watch", password=Secret.literal("hunter2-wrong")))
    assert (wrong.outcome, wrong.reason) == (Outcome.FAILED, Reason.STATUS)
    assert "hunter2" not in wrong.message
    assert "stats auth" in wrong.message
    other = look(HaproxyProbe(url=f"http://127.0.0.1:{balancer.port}/"))
    assert (other.reason, "not HAProxy's statistics" in other.message) == (Reason.BODY, True)


def test_a_reload_leaves_an_old_worker_and_the_new_one_answers(balancer: Haproxy) -> None:
    probe = HaproxyProbe(socket=balancer.socket)
    held = threading.Thread(
        target=requests.get, args=(f"http://127.0.0.1:{balancer.port}/held",), daemon=True
    )
    held.start()
    wait_until(lambda: number(look(probe), "backend_sessions", backend="shop") == 1, 5, "a session")
    master = psutil.Process(balancer.process.pid)
    balancer.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: len(master.children()) == 2, 10, "two workers")
    fresh = wait_until(lambda: _idle(probe), 10, "the new worker")
    assert number(fresh, "uptime_seconds") < 5
    for web in balancer.webs:
        web.held.set()
    held.join(10)
    wait_until(lambda: len(master.children()) == 1, 15, "the old worker's end")
    for web in balancer.webs:
        web.held.clear()


def _idle(probe: HaproxyProbe) -> Reading | None:
    reading = look(probe)
    good = reading.outcome is Outcome.OK
    return reading if good and number(reading, "backend_sessions", backend="shop") == 0 else None


def test_a_frozen_haproxy_ends_in_time(tmp_path: Path) -> None:
    with running_haproxy(tmp_path, 1) as balancer:
        workers = psutil.Process(balancer.process.pid).children()
        probes = [
            HaproxyProbe(socket=balancer.socket),
            HaproxyProbe(socket=f"127.0.0.1:{balancer.admin}"),
        ]
        for worker in workers:
            os.kill(worker.pid, signal.SIGSTOP)
            wait_until(lambda one=worker: one.status() == psutil.STATUS_STOPPED, 5, "its halt")
        for probe in probes:
            began = time.monotonic()
            reading = look(probe, seconds=0.5)
            assert time.monotonic() - began < 3
            assert (reading.outcome, reading.reason) == (Outcome.FAILED, Reason.TIMEOUT)
        for worker in workers:
            os.kill(worker.pid, signal.SIGCONT)
        assert [look(probe).outcome for probe in probes] == [Outcome.OK] * 2
        for worker in workers:
            os.kill(worker.pid, signal.SIGKILL)
        balancer.process.wait(10)
        dead = [look(probe) for probe in probes]
        assert [(one.outcome, one.reason) for one in dead] == [(Outcome.FAILED, Reason.CONNECT)] * 2


def test_a_socket_that_is_not_there_or_closed_to_us(balancer: Haproxy, tmp_path: Path) -> None:
    missing = look(HaproxyProbe(socket=str(tmp_path / "none.sock")))
    assert missing.reason is Reason.CONNECT
    assert "is not there" in missing.message
    if os.geteuid() != 0:
        Path(balancer.socket).chmod(0)
        closed = look(HaproxyProbe(socket=balancer.socket))
    else:
        closed = _as_nobody(balancer.socket)
    assert closed.reason is Reason.PROBER
    assert f"no permission to open {balancer.socket}" in closed.message


def _as_nobody(path: str) -> Reading:
    """Root may open everything: this thread alone gives its rights up, as an ordinary user has."""
    import ctypes

    box: list[Reading] = []

    def work() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.syscall(122, 65534) >= 0  # setfsuid of this thread
        box.append(look(HaproxyProbe(socket=path)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)
    return box[0]


def test_many_backends_are_cut_whole_and_told(balancer: Haproxy) -> None:
    text = balancer.say("show stat")
    head, rows = text.splitlines()[0], text.splitlines()[1:]
    many = [head]
    for n in range(300):
        many += [row.replace("shop,", f"b{n:03},", 1) for row in rows if row.startswith("shop,")]
    found = gauges_of(parse("\n".join(many)), first=["b250"])
    assert len(found) <= SAMPLES < WatchOptions().max_series_per_probe
    backends = {dict(gauge.labels).get("backend") for gauge in found} - {None}
    assert "b250" in backends
    assert len(backends) >= 15, "a shop's ten or so are told in full"
    left = {gauge.name: gauge.value for gauge in found if gauge.name.endswith("left_out")}
    assert left["sre_probe_haproxy_backends_left_out"] >= 250
    shown = [g for g in found if g.name == "sre_probe_haproxy_server_state_info"]
    assert left["sre_probe_haproxy_servers_left_out"] == 900 - len(shown)


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="either `socket`"):
        HaproxyProbe()
    with pytest.raises(ValueError, match="neither a path"):
        HaproxyProbe(socket="localhost")
    with pytest.raises(ValueError, match="password without user"):
        HaproxyProbe(socket="/a/b", password=Secret.literal("x"))
    with pytest.raises(ValueError, match="are for `url`"):
        HaproxyProbe(socket="/a/b", user="admin")
    with pytest.raises(ValueError, match="at most 100%"):
        Backend(min_share=Share(1.1))
