"""Does the kind `memcached` say what a real server says, and end in time?"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from sre.core.units import Share
from sre.journey.result import Outcome, Reason
from sre.probes.kinds.memcached import MemcachedLimits, MemcachedProbe, read_stats
from tests.servers.child import child, program
from tests.servers.examples import run_example, serve_example
from tests.servers.looks import look, sample, values
from tests.servers.memcached import Memcached, running_memcached
from tests.servers.net import wait_until
from tests.servers.redis import running_redis


def test_the_example(memcached: Memcached, tmp_path: Path) -> None:
    here = f"port: {memcached.port}, every: 1s"
    at = {"127.0.0.1:11211": f"127.0.0.1:{memcached.port}", "port: 11211": here}
    code, data = run_example("memcached", tmp_path, at)
    assert (code, [one["outcome"] for one in data["results"]]) == (0, ["ok"])
    with serve_example("memcached", tmp_path, at) as metrics:
        assert sample(metrics, "sre_probe_up", probe="cache") == 1
        name = "sre_probe_memcached_connections_used_ratio"
        assert 0 < (sample(metrics, name, probe="cache") or 0) < 1


def test_the_numbers_are_the_server_s_own(memcached: Memcached) -> None:
    memcached.tell("set a 0 0 3\r\nabc\r\nset b 0 0 1\r\nx\r\nget a\r\nget missing")
    lines = memcached.tell("stats").splitlines()
    stats = {row[1]: row[2] for row in (line.split(" ", 2) for line in lines) if len(row) == 3}
    reading = look("memcached", port=memcached.port)
    found = values(reading, "memcached")
    assert (reading.outcome, reading.reason, reading.message) == (Outcome.OK, Reason.NONE, "")
    assert set(reading.steps[0].phases) == {"connect", "processing"}
    assert found["version_info", stats["version"]] == 1
    for ours, theirs in (
        ("items", "curr_items"), ("hits_total", "get_hits"), ("misses_total", "get_misses"),
        ("memory_limit_bytes", "limit_maxbytes"), ("connections_limit", "max_connections"),
        ("threads", "threads"), ("evictions_total", "evictions"), ("memory_used_bytes", "bytes"),
    ):  # fmt: skip
        assert found[ours] == float(stats[theirs]), ours
    hits, misses = float(stats["get_hits"]), float(stats["get_misses"])
    assert found["hit_ratio"] == hits / (hits + misses)
    assert found["connections_used_ratio"] == found["connections"] / found["connections_limit"]


def test_limits_are_judged(memcached: Memcached) -> None:
    tight = look("memcached", port=memcached.port, max=MemcachedLimits(connections=Share(0.0001)))
    assert (tight.outcome, tight.reason) == (Outcome.FAILED, Reason.STATUS)
    assert tight.message.startswith("connections ")
    memcached.tell("get missing")
    warn = MemcachedLimits(min_hit_ratio=Share(1.0))
    warned = look("memcached", port=memcached.port, warn=warn)
    assert warned.outcome is Outcome.DEGRADED
    assert warned.message.endswith("(at least 100.0%)")


def test_a_frozen_server_ends_at_the_deadline_and_a_dead_one_at_once(tmp_path: Path) -> None:
    with running_memcached(tmp_path) as server:
        os.kill(server.process.pid, signal.SIGSTOP)
        frozen = look("memcached", port=server.port, seconds=0.5)
        assert (frozen.outcome, frozen.reason) == (Outcome.FAILED, Reason.TIMEOUT)
        assert frozen.seconds < 1
        server.process.kill()
        server.process.wait(5)
        dead = look("memcached", port=server.port)
        assert (dead.outcome, dead.reason) == (Outcome.FAILED, Reason.CONNECT)


def test_no_connection_is_left(tmp_path: Path) -> None:
    with (
        running_memcached(tmp_path, "-c", "16", "-t", "1") as server,
        contextlib.ExitStack() as held,
    ):
        for _ in range(20):
            held.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=5))

        def full() -> bool:
            reading = look("memcached", port=server.port, seconds=1)
            return reading.reason is Reason.STATUS and "no more connections" in reading.message

        wait_until(full, 10, "the server to be full")


def test_an_evicting_cache_counts(tmp_path: Path) -> None:
    with running_memcached(tmp_path, "-m", "1", "-I", "512k") as server:
        for n in range(12):
            server.tell(f"set k{n} 0 0 400000\r\n{'x' * 400000}")
        found = values(look("memcached", port=server.port), "memcached")
        assert found["evictions_total"] > 0
        assert found["items"] < 12


def test_another_protocol_is_not_taken_for_it(tmp_path: Path) -> None:
    with running_redis(tmp_path, password=None) as server:
        reading = look("memcached", port=server.port)
    assert (reading.outcome, reading.reason) == (Outcome.FAILED, Reason.PROTOCOL)


def test_the_redis_kind_does_not_take_it_for_its_own(memcached: Memcached) -> None:
    reading = look("redis", port=memcached.port)
    assert (reading.outcome, reading.reason) == (Outcome.FAILED, Reason.PROTOCOL)


def test_what_an_old_server_does_not_tell_is_left_out() -> None:
    gauges, measured = read_stats({"uptime": "5", "curr_connections": "3", "bytes": "odd"})
    assert {gauge.name for gauge in gauges} == {
        "sre_probe_memcached_uptime_seconds", "sre_probe_memcached_connections",
    }  # fmt: skip
    assert measured == {}


def test_a_socket_of_this_machine(tmp_path: Path) -> None:
    path = f"/tmp/sre-test-{os.getpid()}.memcached"  # a path of at most 107 bytes
    argv = [program("memcached"), "-s", path, "-a", "700", "-m", "16"]
    here: dict[str, Any] = {"host": None, "unix_socket": path}
    with child([*argv, *(["-u", "root"] if os.geteuid() == 0 else [])], home=tmp_path):
        wait_until(lambda: Path(path).is_socket(), 10, "the socket")
        reading = look("memcached", allow=(), **here)
        assert (reading.outcome, reading.message) == (Outcome.OK, "")
        assert values(reading, "memcached")["connections"] >= 1
    Path(path).unlink(missing_ok=True)
    gone = look("memcached", **here)
    assert (gone.outcome, gone.reason) == (Outcome.FAILED, Reason.CONNECT)
    assert gone.message == f"{path}: No such file or directory"


def test_a_bad_declaration_is_refused() -> None:
    with pytest.raises(ValueError, match="either host or unix_socket"):
        MemcachedProbe()
    with pytest.raises(ValueError, match="must be a path"):
        MemcachedProbe(unix_socket="memcached")
    with pytest.raises(ValueError, match="port must be"):
        MemcachedProbe("127.0.0.1", port=70000)
    with pytest.raises(ValueError, match="need tls"):
        MemcachedProbe("127.0.0.1", ca_file="x")
