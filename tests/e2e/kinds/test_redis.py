"""Does the kind `redis` say what a real server, replica and sentinel say, and end in time?"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from sre.core.secrets import Secret
from sre.core.units import Duration, Share, Size
from sre.journey.result import Outcome, Reason
from sre.probes.kinds.redis import RedisLimits, RedisProbe
from tests.servers.examples import run_example, serve_example
from tests.servers.looks import look, sample, values
from tests.servers.net import free_port, wait_until
from tests.servers.redis import PASSWORD, Redis, RedisFamily, running_redis
from tests.servers.tls import TlsServers

GOOD = {"password": Secret.literal(PASSWORD)}


def ports(server: Redis) -> dict[str, str]:
    return {"127.0.0.1:6379": f"127.0.0.1:{server.port}", "port: 6379": f"port: {server.port}"}


def told(reading: Any) -> tuple[Outcome, Reason, str]:
    assert PASSWORD not in reading.message
    return reading.outcome, reading.reason, reading.message


def test_the_example(redis_family: RedisFamily, tmp_path: Path) -> None:
    env = {"REDIS_PASSWORD": PASSWORD}
    code, data = run_example("redis", tmp_path, ports(redis_family.master), env)
    assert (code, [one["outcome"] for one in data["results"]]) == (0, ["ok"])
    soon = {"kind: redis,": "kind: redis, every: 1s,"}
    with serve_example("redis", tmp_path, ports(redis_family.master) | soon, env) as metrics:
        assert sample(metrics, "sre_probe_up", probe="sessions") == 1
        assert sample(metrics, "sre_probe_redis_role_info", probe="sessions", role="master") == 1


def test_the_numbers_are_the_server_s_own(redis_family: RedisFamily) -> None:
    master = redis_family.master
    client = master.client()
    client.flushall()
    client.mset({f"k{n}": n for n in range(7)})
    client.expire("k0", 1000)
    client.get("k1"), client.get("nothing")
    client.close()
    with master.client() as other:
        other.execute_command("SELECT", "3")
        other.set("x", 1)
        other.execute_command("SELECT", "0")
    before = master.info()
    reading = look("redis", port=master.port, **GOOD)
    found = values(reading, "redis")
    assert told(reading) == (Outcome.OK, Reason.NONE, "")
    assert set(reading.steps[0].phases) == {"connect", "processing"}
    assert (found["keys", "0"], found["expiring_keys", "0"], found["keys", "3"]) == (7, 1, 1)
    assert found["clients_limit"] == 50
    assert found["memory_limit_bytes"] == 64 * 2**20
    assert found["memory_used_ratio"] == pytest.approx(before["used_memory"] / 2**26, abs=0.01)
    hits, misses = before["keyspace_hits"], before["keyspace_misses"]
    assert (found["keyspace_hits_total"], found["keyspace_misses_total"]) == (hits, misses)
    assert found["hit_ratio"] == hits / (hits + misses)
    assert found["replicas"] == 1
    assert found["replica_lag_seconds"] <= 5
    assert 0 < found["ping_seconds"] < 1


def test_limits_are_judged(redis_family: RedisFamily) -> None:
    port = redis_family.master.port
    tight = look("redis", port=port, max=RedisLimits(memory=Share(0.0001)), **GOOD)
    assert told(tight)[:2] == (Outcome.FAILED, Reason.STATUS)
    assert tight.message.startswith("memory ")
    warned = look("redis", port=port, warn=RedisLimits(min_replicas=2), **GOOD)
    assert told(warned)[::2] == (Outcome.DEGRADED, "replicas 1 (at least 2)")
    limits = RedisLimits(lag=Duration(60), lag_bytes=Size(2**20), min_replicas=1)
    assert look("redis", port=port, max=limits, role="master", **GOOD).outcome is Outcome.OK
    other = look("redis", port=port, role="replica", **GOOD)
    assert told(other)[::2] == (Outcome.FAILED, "its role is master, not replica")


def test_who_may_not_log_in_is_told_why(redis_family: RedisFamily) -> None:
    port = redis_family.master.port
    wrong = {"password": Secret.literal("completely-wrong-4712")}
    for config, words in (
        ({}, "wants a password"),
        (wrong, "password is wrong"),
        ({"username": "nobody", **wrong}, "password is wrong"),
        ({"db": 99, **GOOD}, "no database of this number"),
    ):
        reading = look("redis", port=port, **config)
        assert told(reading)[:2] == (Outcome.FAILED, Reason.STATUS)
        assert words in reading.message
        assert "completely" not in reading.message


def test_a_password_that_the_server_does_not_have(redis_family: RedisFamily) -> None:
    reading = look("redis", port=redis_family.sentinel.port, **GOOD)
    assert told(reading)[:2] == (Outcome.FAILED, Reason.STATUS)
    assert "remove password" in reading.message


@pytest.mark.parametrize(
    ("rights", "outcome", "words"),
    [
        pytest.param("+ping", Outcome.DEGRADED, "+info", id="may not ask INFO"),
        pytest.param("+info", Outcome.DEGRADED, "+ping", id="may not PING"),
        pytest.param("+ping +info", Outcome.OK, "", id="may just do enough"),
        pytest.param(
            "+ping +info +slowlog|len +cluster|info +config|get +select", Outcome.OK, "",
            id="as the documentation says",
        ),
    ],
)  # fmt: skip
def test_a_user_with_few_rights(
    redis_family: RedisFamily, rights: str, outcome: Outcome, words: str
) -> None:
    master = redis_family.master
    master.tell("ACL", "SETUSER", "sre", "reset", "on", ">few", *rights.split())
    reading = look("redis", port=master.port, username="sre", password=Secret.literal("few"))
    assert reading.outcome is outcome, reading.message
    assert words in reading.message


def test_a_replica(redis_family: RedisFamily) -> None:
    reading = look("redis", port=redis_family.replica.port, role="replica", **GOOD)
    found = values(reading, "redis")
    assert told(reading) == (Outcome.OK, Reason.NONE, "")
    assert (found["role_info", "replica"], found["master_link_up"]) == (1, 1)
    assert 0 <= found["master_silence_seconds"] <= 11


def test_a_sentinel(redis_family: RedisFamily) -> None:
    reading = look("redis", port=redis_family.sentinel.port, role="sentinel")
    found = values(reading, "redis")
    assert told(reading) == (Outcome.OK, Reason.NONE, "")
    assert found["sentinel_masters"] == 1
    assert found["sentinel_master_up", "shop"] == 1
    assert found["sentinel_sentinels", "shop"] == 1
    assert found["sentinel_quorum_ok", "shop"] == 1


def test_a_sentinel_that_cannot_agree_with_anybody(redis_family: RedisFamily) -> None:
    sentinel = redis_family.sentinel
    sentinel.tell("SENTINEL", "SET", "shop", "quorum", "3")
    try:
        reading = look("redis", port=sentinel.port)
    finally:
        sentinel.tell("SENTINEL", "SET", "shop", "quorum", "1")
    assert told(reading)[:2] == (Outcome.FAILED, Reason.STATUS)
    assert reading.message.startswith("no failover of 'shop' is possible: NOQUORUM")
    assert values(reading, "redis")["sentinel_quorum_ok", "shop"] == 0


def test_a_frozen_server_ends_at_the_deadline_and_a_dead_one_at_once(tmp_path: Path) -> None:
    with running_redis(tmp_path / "m") as server:
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            frozen = look("redis", port=server.port, seconds=0.5, **GOOD)
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        assert told(frozen)[:2] == (Outcome.FAILED, Reason.TIMEOUT)
        assert frozen.seconds < 1
        server.process.kill()
        server.process.wait(5)
        dead = look("redis", port=server.port, **GOOD)
        assert told(dead)[:2] == (Outcome.FAILED, Reason.CONNECT)


def test_a_replica_that_lost_its_master(tmp_path: Path) -> None:
    with running_redis(tmp_path / "r", "--replicaof", "127.0.0.1", "1") as orphan:
        limits = RedisLimits(lag=Duration(3600))
        reading = look("redis", port=orphan.port, max=limits, **GOOD)
        assert told(reading)[:2] == (Outcome.DEGRADED, Reason.STATUS)
        assert "without its master" in reading.message
        assert values(reading, "redis")["master_link_up"] == 0
        orphan.tell("CONFIG", "SET", "replica-serve-stale-data", "no")
        reading = look("redis", port=orphan.port, **GOOD)
        assert told(reading)[:2] == (Outcome.FAILED, Reason.STATUS)
        assert "MASTERDOWN" in reading.message


def test_a_server_that_cannot_save_refuses_writes(tmp_path: Path) -> None:
    home = tmp_path / "m"
    with running_redis(home, "--stop-writes-on-bgsave-error", "yes") as server:
        server.tell("CONFIG", "SET", "save", "3600 1")
        shutil.rmtree(home)
        server.tell("SET", "a", "1")
        server.tell("BGSAVE")
        wait_until(
            lambda: server.info("persistence")["rdb_last_bgsave_status"] == "err", 10, "the error"
        )
        reading = look("redis", port=server.port, **GOOD)
        server.process.kill()  # asked to end, it would insist on saving
        assert told(reading)[:2] == (Outcome.FAILED, Reason.STATUS)
        assert "MISCONF" in reading.message
        assert values(reading, "redis")["snapshot_ok"] == 0


def test_no_connection_is_left(tmp_path: Path) -> None:
    with running_redis(tmp_path / "m", "--maxclients", "2") as server:
        held = [server.client(), server.client()]
        for client in held:
            client.ping()
        reading = look("redis", port=server.port, **GOOD)
        for client in held:
            client.close()
        assert told(reading)[:2] == (Outcome.FAILED, Reason.STATUS)
        assert "maxclients" in reading.message


def test_a_server_that_is_loading_says_how_far_it_is(tmp_path: Path) -> None:
    options = ("--enable-debug-command", "local", "--loading-process-events-interval-bytes", "1024")
    with running_redis(tmp_path / "m", *options) as server:
        server.tell("DEBUG", "POPULATE", "20000")
        server.tell("CONFIG", "SET", "key-load-delay", "1000")

        def reload() -> None:
            try:
                server.tell("DEBUG", "RELOAD")
            except Exception:  # it is killed before it ends
                return

        thread = threading.Thread(target=reload)
        thread.start()
        reading = wait_until(
            lambda: (r := look("redis", port=server.port, **GOOD)).outcome is Outcome.FAILED and r,
            10, "a server that loads",
        )  # fmt: skip
        server.process.kill()
        thread.join(10)
    assert told(reading)[:2] == (Outcome.FAILED, Reason.STATUS)
    assert "loading its data set" in reading.message


def test_a_cluster_without_all_its_slots_is_down(tmp_path: Path) -> None:
    options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    with running_redis(tmp_path / "c", *options, password=None) as node:
        reading = look("redis", port=node.port)
        assert told(reading)[:2] == (Outcome.FAILED, Reason.STATUS)
        assert reading.message == "the cluster is down: 0 of 16384 hash slots have a node"
        node.tell("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        reading = wait_until(
            lambda: (r := look("redis", port=node.port)).outcome is Outcome.OK and r,
            10,
            "a cluster",
        )
        found = values(reading, "redis")
        assert (found["cluster_ok"], found["slots_assigned"], found["cluster_nodes"]) == (
            1, 16384, 1,
        )  # fmt: skip


def test_a_server_without_auth_repeats_no_password(tmp_path: Path) -> None:
    renamed = ("--rename-command", "AUTH", "")
    with running_redis(tmp_path / "m", *renamed, password=None) as server:
        reading = look("redis", port=server.port, **GOOD)
        assert told(reading)[:2] == (Outcome.FAILED, Reason.STATUS)
        assert "geheim" not in reading.message


def test_tls_with_a_certificate_of_our_own(tls_servers: TlsServers, tmp_path: Path) -> None:
    cert, key = tls_servers.cert_file("good"), tls_servers.key_file("good")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = (
        "--tls-port", str(port), "--tls-cert-file", cert, "--tls-key-file", key,
        "--tls-ca-cert-file", tls_servers.ca_file, "--tls-auth-clients", "yes",
    )  # fmt: skip
    own = {
        "cert_file": tls_servers.cert_file("client"),
        "key_file": tls_servers.key_file("client"),
    }
    trust: dict[str, Any] = {"tls": True, "ca_file": tls_servers.ca_file, "port": port}
    with running_redis(tmp_path / "m", *options) as server:
        good = look("redis", **GOOD, **trust, **own)
        assert told(good) == (Outcome.OK, Reason.NONE, "")
        assert set(good.steps[0].phases) == {"connect", "tls", "processing"}
        distrusted = look("redis", port=port, tls=True, **GOOD, **own)
        assert told(distrusted)[:2] == (Outcome.FAILED, Reason.TLS)
        without = look("redis", **GOOD, **trust)
        assert told(without)[0] is Outcome.FAILED
        plain = look("redis", port=port, **GOOD)
        assert told(plain)[:2] == (Outcome.FAILED, Reason.PROTOCOL)
        without_tls = {**trust, "port": server.port}
        assert told(look("redis", seconds=0.5, **GOOD, **without_tls))[1] is Reason.TIMEOUT


def test_a_socket_of_this_machine(tmp_path: Path) -> None:
    path = f"/tmp/sre-test-{os.getpid()}.redis"  # a path of at most 107 bytes
    with running_redis(tmp_path, "--unixsocket", path) as server:
        here: dict[str, Any] = {"host": None, "unix_socket": path, **GOOD}
        reading = look("redis", allow=(), **here)
        assert told(reading) == (Outcome.OK, Reason.NONE, "")
        assert set(reading.steps[0].phases) == {"connect", "processing"}
        assert values(reading, "redis")["role_info", "master"] == 1
        os.kill(server.process.pid, signal.SIGSTOP)
        assert told(look("redis", seconds=0.3, **here))[1] is Reason.TIMEOUT
        os.kill(server.process.pid, signal.SIGCONT)
    assert told(look("redis", **here))[:2] == (Outcome.FAILED, Reason.CONNECT)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"unix_socket": "/run/redis.sock"}, "either host or unix_socket"),
        ({"port": 0}, "port must be"),
        ({"db": -1}, "db must be"),
        ({"username": "a"}, "needs a password"),
        ({"ca_file": "x"}, "need tls"),
    ],
)
def test_a_bad_declaration_is_refused(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RedisProbe("127.0.0.1", **config)
