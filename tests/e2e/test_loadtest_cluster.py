"""Do several hosts send one load, and is every loss of one of them told?"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest
import zmq

from tests.e2e.loadtest_cluster import KEY, Cluster, Process, cluster_of
from tests.e2e.loadtest_gate import GENERATOR, HOLD, REPORTS
from tests.servers.freeze import FreezeServer
from tests.servers.net import missing, wait_until

pytestmark = [pytest.mark.locust, pytest.mark.timeout(120)]

ROOT = Path(__file__).parents[2]
MASTER, WORKER = "sre.loadtest.cluster.master", "sre.loadtest.cluster.worker"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with cluster_of(tmp_path) as made:
        yield made


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[Cluster]:
    with cluster_of(tmp_path, key=True) as made:
        yield made


def declare(cluster: Cluster, server: FreezeServer, seconds: int, rate: int = 20) -> None:
    test = f'mix: {{home: {rate}/s}}, {HOLD % f"{seconds}s"}, thresholds: ["home.failed < 1%"]'
    cluster.gate.declare(server.url, test)


def sound_or_busy(cluster: Cluster, code: int, said: str) -> None:
    """0, or 3 for nothing but a machine that was too busy to measure on."""
    assert (code == 0) == (not cluster.gate.doubts), said
    assert code == 0 or (code == 3 and cluster.gate.doubts <= GENERATOR), said


def noise(address: str) -> None:
    """What finds an open port: scanners, browsers, half a handshake."""
    host, _, port = address.rpartition(":")
    for data in (os.urandom(4096), b"GET / HTTP/1.1\r\n\r\n", b"\xff" + bytes(8) + b"\x7f\x03"):
        with socket.create_connection((host, int(port)), 5) as connection:
            connection.sendall(data)


def strangers(address: str) -> None:
    """What speaks the protocol, and is not well-behaved."""
    context = zmq.Context()
    peer = context.socket(zmq.DEALER)
    peer.setsockopt(zmq.IDENTITY, b"stranger")
    peer.setsockopt(zmq.LINGER, 500)
    peer.connect(f"tcp://{address}")
    mine = [
        ("client_ready", "2.47.0", "stranger"),
        ("locustfile", {"version": "2.47.0"}, "stranger"),
        ("heartbeat", {"state": 3}, "stranger"),
        ("heartbeat", {}, "stranger"),
        ("spawning_complete", {}, "stranger"),
        ("exception", None, "stranger"),
        ("stats", {"x": 1}, "stranger"),
        ("sre", b"{", "stranger"),
        ("sre", b'{"kind":"delta","delta":{}}', "stranger"),
        ("sre", b'{"kind":"hello","protocol":1}', "stranger"),
        ("quit", None, "another"),
        7,
    ]
    for each in mine:
        peer.send(msgpack.packb(each))
    for raw in (b"", b"\xc1", os.urandom(2000), b"\x93" * 500, b"\xdd\xff\xff\xff\xff"):
        peer.send(raw)
    peer.send_multipart([b"a", b"b", b"c"])
    peer.close()
    context.term()


def test_workers_of_several_hosts_merge_to_exactly_what_the_server_saw(
    keyed: Cluster, hostile_freeze: FreezeServer
) -> None:
    declare(keyed, hostile_freeze, 4)
    run = keyed.run(3)
    noise(keyed.address)
    other = keyed.gate.folder / "other"
    other.write_text(KEY[::-1], encoding="utf-8")
    guests = [keyed.worker(key=()), keyed.worker(key=("--key-file", str(other)))]
    for guest in guests:
        assert guest.ends() == 5, guest.said
        assert "not with our key" in guest.said
    assert "workers are here" not in run.said
    workers = [keyed.worker("--workers", "2"), keyed.worker(key=(), SRE_LOADTEST_KEY=KEY)]
    sound_or_busy(keyed, run.ends(), run.said)
    assert [worker.ends() for worker in workers] == [0, 0], [w.said for w in workers]
    home = keyed.gate.summary["journeys"]["home"]
    assert home["arrivals"] == home["ok"] == len(hostile_freeze.served()) == 80
    assert keyed.gate.summary["workers"] == 3
    assert keyed.gate.files >= REPORTS
    words = "".join(process.said for process in keyed.started)
    assert KEY not in words
    assert KEY not in (keyed.gate.out / "summary.json").read_text(encoding="utf-8")


def test_a_worker_with_another_declaration_is_refused_on_both_sides(
    cluster: Cluster, hostile_freeze: FreezeServer, tmp_path: Path
) -> None:
    declare(cluster, hostile_freeze, 3)
    other = tmp_path / "other"
    other.mkdir()
    text = (tmp_path / "sre.yaml").read_text(encoding="utf-8")
    (other / "sre.yaml").write_text(text.replace("get: /", "get: /basket"), encoding="utf-8")
    run = cluster.run(1)
    worker = cluster.worker(folder=other)
    assert worker.ends() == 2, worker.said
    assert "differs from ours in journey 'home'" in worker.said
    run.hears("refused the worker of .* differs from ours in journey 'home'")
    run.popen.send_signal(signal.SIGTERM)
    assert run.ends() == 143
    assert hostile_freeze.served() == []


def test_whoever_waits_in_vain_says_what_is_missing(
    cluster: Cluster, hostile_freeze: FreezeServer
) -> None:
    declare(cluster, hostile_freeze, 3)
    run = cluster.run(2, "--wait", "1s")
    assert run.ends() == 4
    assert "0 of 2 workers came within 1 s; start them with sre loadtest worker" in run.said
    worker = cluster.worker("--wait", "1s")
    assert worker.ends() == 4
    assert f"no master at {cluster.address} within 1 s" in worker.said


@pytest.mark.long
def test_a_worker_may_be_replaced_before_the_start_and_stay_for_the_next_run(
    cluster: Cluster, hostile_freeze: FreezeServer
) -> None:
    declare(cluster, hostile_freeze, 3)
    run = cluster.run(2)
    strangers(cluster.address)
    noise(cluster.address)
    first = cluster.worker()
    first.hears("joined")
    first.popen.send_signal(signal.SIGTERM)
    assert first.ends() == 143
    run.hears("told to end on its host; another may come")
    staying = cluster.worker("--workers", "2", "--stay")
    staying.hears("has begun")
    late = cluster.worker()
    assert late.ends() == 4
    assert "the run has its 2 workers" in late.said
    sound_or_busy(cluster, run.ends(), run.said)
    assert len(hostile_freeze.served()) == 60
    port = cluster.address.rpartition(":")[2]
    again = cluster.run(2, "--listen", f"127.0.0.1:{port}")
    sound_or_busy(cluster, again.ends(), again.said)
    assert len(hostile_freeze.served()) == 120
    assert staying.popen.poll() is None
    staying.popen.send_signal(signal.SIGTERM)
    assert staying.ends() == 143, staying.said


def test_a_killed_worker_is_lost_and_nobody_takes_its_share(
    cluster: Cluster, hostile_freeze: FreezeServer
) -> None:
    declare(cluster, hostile_freeze, 7)
    run = cluster.run(2)
    workers = [cluster.worker(), cluster.worker()]
    wait_until(lambda: len(hostile_freeze.served()) > 30, 40, "load")
    workers[0].child(WORKER).kill()
    assert run.ends() == 3, run.said
    assert "worker_lost" in cluster.gate.doubts
    (lost,) = cluster.gate.summary["validity"]["lost_workers"]
    assert "was silent for 4" in lost
    assert cluster.gate.files >= REPORTS
    assert workers[1].ends() == 0
    assert workers[0].ends() == 3
    assert "killed by SIGKILL" in workers[0].said
    assert 70 + 15 <= len(hostile_freeze.served()) <= 70 + 55


def victim_of(run: Process, which: str) -> int:
    return run.popen.pid if which == "parent" else run.child(MASTER).pid


@pytest.mark.parametrize("which", ["master", pytest.param("parent", marks=pytest.mark.long)])
def test_without_a_master_there_is_no_load(
    cluster: Cluster, hostile_freeze: FreezeServer, which: str
) -> None:
    declare(cluster, hostile_freeze, 60)
    run = cluster.run(1)
    worker = cluster.worker()
    wait_until(lambda: len(hostile_freeze.served()) > 20, 40, "load")
    os.kill(victim_of(run, which), signal.SIGKILL)
    killed = time.monotonic()
    assert worker.ends(15) == 4
    assert "no more load is sent" in worker.said
    assert max(each.arrived for each in hostile_freeze.served()) < killed + 5
    if which == "master":
        assert run.ends() == 3, run.said
        assert "the load test's master was killed by SIGKILL" in run.said
        assert cluster.gate.files >= REPORTS
    else:
        assert run.ends() == -signal.SIGKILL


def test_a_stopped_run_drains_everywhere_and_reports(
    cluster: Cluster, hostile_freeze: FreezeServer
) -> None:
    declare(cluster, hostile_freeze, 60)
    run = cluster.run(2)
    worker = cluster.worker("--workers", "2")
    wait_until(lambda: len(hostile_freeze.served()) > 20, 40, "load")
    run.popen.send_signal(signal.SIGTERM)
    assert run.ends(12) == 143, run.said
    assert worker.ends() == 0, worker.said
    home = cluster.gate.summary["journeys"]["home"]
    assert home["started"] == home["ok"] == len(hostile_freeze.served())
    assert cluster.gate.files >= REPORTS
    assert cluster.gate.summary["stopped_at_seconds"] < 30


def test_a_run_that_is_called_off_while_it_waits_sends_nothing(
    cluster: Cluster, hostile_freeze: FreezeServer
) -> None:
    declare(cluster, hostile_freeze, 5)
    run = cluster.run(2)
    worker = cluster.worker()
    worker.hears("joined")
    run.popen.send_signal(signal.SIGTERM)
    assert run.ends(12) == 143, run.said
    assert worker.ends() == 4
    assert hostile_freeze.served() == []


@pytest.mark.long
def test_a_worker_that_stood_still_is_lost_but_its_customers_are_counted(
    cluster: Cluster, hostile_freeze: FreezeServer
) -> None:
    declare(cluster, hostile_freeze, 15)
    run = cluster.run(2)
    workers = [cluster.worker(), cluster.worker()]
    wait_until(lambda: len(hostile_freeze.served()) > 30, 40, "load")
    victim = workers[0].child(WORKER)
    victim.suspend()
    time.sleep(5)
    victim.resume()
    assert run.ends() == 3, run.said
    assert "worker_lost" in cluster.gate.doubts
    assert [worker.ends() for worker in workers] == [0, 0]
    assert len(hostile_freeze.served()) == 300


WRONG_CLOCK = """
import time
_wall, _begin = time.time, time.monotonic()
time.time = lambda: _wall() - 86400.0 + (7200.0 if time.monotonic() - _begin > 6.0 else 0.0)
"""


@pytest.mark.long
def test_no_clock_need_be_right(
    cluster: Cluster, hostile_freeze: FreezeServer, tmp_path: Path
) -> None:
    """A monotonic clock of another machine, and a wall clock that is a day off and then jumps."""
    if shutil.which("unshare") is None:
        missing("unshare")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(WRONG_CLOCK, encoding="utf-8")
    declare(cluster, hostile_freeze, 6)
    run = cluster.run(2)
    elsewhere = ("unshare", "-Ur", "--time", "--monotonic", "100000", "--fork", "--")
    workers = [
        cluster.worker(before=elsewhere, PYTHONPATH=str(tmp_path / "site")),
        cluster.worker(),
    ]
    assert workers[0].hears("joined|failed|cannot|Operation not permitted"), workers[0].said
    if "joined" not in workers[0].said:
        missing(f"a time namespace ({workers[0].said.strip()[-200:]})")
    sound_or_busy(cluster, run.ends(), run.said)
    assert [worker.ends() for worker in workers] == [0, 0], workers[0].said
    home = cluster.gate.summary["journeys"]["home"]
    assert home["ok"] == len(hostile_freeze.served()) == 120
    begin = min(each.arrived for each in hostile_freeze.served())
    assert max(each.arrived for each in hostile_freeze.served()) - begin == pytest.approx(6, abs=1)


def test_beyond_loopback_there_is_no_way_without_a_key(
    cluster: Cluster, hostile_freeze: FreezeServer, tmp_path: Path
) -> None:
    declare(cluster, hostile_freeze, 3)
    run = cluster._start("run", "run", "gate", "--expect-workers", "1", "--listen", "0.0.0.0:0")
    worker = cluster._start("worker", "worker", "--master", "192.0.2.1:5557")
    (tmp_path / "short").write_text("secret\n", encoding="utf-8")
    short = cluster._start(
        "worker", "worker", "--master", "192.0.2.1:5557", "--key-file", str(tmp_path / "short")
    )
    assert (run.ends(), worker.ends(), short.ends()) == (5, 5, 2)
    assert "is not loopback" in run.said
    assert "--key-file FILE or SRE_LOADTEST_KEY" in worker.said
    assert "openssl rand -hex 32" in short.said
    assert [path.name for path in tmp_path.glob("loadtest-*")] == []


@pytest.mark.long
def test_two_hosts_with_a_wire_between_them(tmp_path: Path) -> None:
    if not all(shutil.which(program) for program in ("unshare", "nsenter", "ip")):
        missing("unshare, nsenter and ip")
    try:
        subprocess.run(["unshare", "-Urn", "ip", "link", "add", "here", "type", "veth"], check=True)
    except subprocess.CalledProcessError:
        missing("a network namespace")
    argv = ["unshare", "-Urn", "--", sys.executable, "-m", "tests.servers.twohosts", str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, timeout=100)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["codes"][1:] == [0, 0], found["said"]
    assert found["served"] == {"10.8.0.1": 40, "10.8.0.2": 40}, found["said"]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert summary["journeys"]["home"]["ok"] == 80
    assert found["codes"][0] in (0, 3)
    doubts = {reason["code"] for reason in summary["validity"]["reasons"]}
    assert doubts <= GENERATOR, found["said"]
