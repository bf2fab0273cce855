"""Does the kind `mongodb` talk as it should with a MOCK of the wire protocol, and end in time?

No MongoDB can be had here (see tests/servers/mongomock.py): what a real server answers is not
tested, nor is logging in to one. The faults are real ones, on real sockets.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path
from typing import Any

import bson
import pytest

from sre.core.secrets import Secret
from sre.core.units import Duration, Share
from sre.journey.result import Outcome, Reason
from sre.probes.kinds.mongodb import MongodbLimits, MongodbProbe
from tests.servers.examples import run_example, serve_example
from tests.servers.hostile import Hostile
from tests.servers.looks import look, sample, values
from tests.servers.mongomock import hello, members, mongo_mock, status
from tests.servers.tls import TlsServers


def oplog(seconds: int) -> dict[str, Any]:
    entry = {"ts": bson.Timestamp(1_700_000_000 + seconds, 1)}
    return {"cursor": {"id": 0, "ns": "local.oplog.rs", "firstBatch": [entry]}, "ok": 1.0}


WHOLE: dict[str, dict[str, Any]] = {
    "hello": hello(setName="shop", hosts=["10.255.255.1:27017", "10.255.255.2:27017"]),
    "serverStatus": status(),
    "replSetGetStatus": members(2, 5),
    "oldest": oplog(0),
    "newest": oplog(7200),
}


def test_the_example(tmp_path: Path) -> None:
    login = 'username: sre,\n     password: "${env:MONGODB_PASSWORD}", '
    with mongo_mock(**WHOLE) as mock:
        at = {
            "127.0.0.1:27017": f"127.0.0.1:{mock.port}",
            "port: 27017": f"port: {mock.port}, every: 1s",
            login: "",  # the mock knows no users
        }
        code, data = run_example("mongodb", tmp_path, at)
        assert (code, [one["outcome"] for one in data["results"]]) == (0, ["ok"]), data
        with serve_example("mongodb", tmp_path, at) as metrics:
            assert sample(metrics, "sre_probe_up", probe="catalogue") == 1
            name = "sre_probe_mongodb_member_lag_seconds"
            assert sample(metrics, name, probe="catalogue", member="2") == 5


def test_a_replica_set_is_asked_directly() -> None:
    with mongo_mock(**WHOLE) as mock:
        limits = MongodbLimits(connections=Share(0.9), lag=Duration(10), min_members=3)
        reading = look("mongodb", port=mock.port, max=limits, role="primary")
        assert sorted(set(mock.asked) - {"endSessions"}) == [
            "find", "replSetGetStatus", "serverStatus",
        ]  # fmt: skip
    found = values(reading, "mongodb")
    assert (reading.outcome, reading.reason, reading.message) == (Outcome.OK, Reason.NONE, "")
    assert set(reading.steps[0].phases) == {"connect", "processing"}
    assert found["role_info", "primary"] == 1
    assert found["oplog_window_seconds"] == 7200
    assert found["connections"] == 40


def test_limits_and_the_wrong_role() -> None:
    with mongo_mock(**WHOLE) as mock:
        late = look("mongodb", port=mock.port, max=MongodbLimits(lag=Duration(4)))
        assert (late.outcome, late.reason) == (Outcome.FAILED, Reason.STATUS)
        assert late.message.startswith("lag of member 2")
        role = look("mongodb", port=mock.port, role="secondary")
        assert (role.outcome, role.message) == (
            Outcome.FAILED, "its role is primary, not secondary",
        )  # fmt: skip


def test_a_user_without_the_role() -> None:
    with mongo_mock(hello=WHOLE["hello"]) as mock:
        reading = look("mongodb", port=mock.port)
    assert (reading.outcome, reading.reason) == (Outcome.DEGRADED, Reason.STATUS)
    assert "refuses serverStatus, replSetGetStatus, the oplog" in reading.message
    assert "clusterMonitor" in reading.message


def test_a_login_that_is_refused_stays_secret() -> None:
    refused = {"ok": 0.0, "code": 18, "codeName": "AuthenticationFailed", "errmsg": "no"}
    answers = {**WHOLE, "saslStart": refused}
    with mongo_mock(**answers) as mock:
        login = {"username": "sre", "password": Secret.literal("mongo-sesam")}
        reading = look("mongodb", port=mock.port, **login)
    assert (reading.outcome, reading.reason) == (Outcome.FAILED, Reason.STATUS)
    assert "login was refused" in reading.message
    assert "sesam" not in reading.message


def test_a_server_that_is_too_old() -> None:
    with mongo_mock(hello=hello(maxWireVersion=2)) as mock:
        reading = look("mongodb", port=mock.port, seconds=2)
    assert (reading.outcome, reading.reason) == (Outcome.FAILED, Reason.STATUS)
    assert "version" in reading.message


def test_one_that_hangs_up_and_one_that_speaks_http(hostile: Hostile) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            with contextlib.suppress(OSError):
                while True:
                    listener.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        closed = look("mongodb", port=listener.getsockname()[1], seconds=0.6)
        listener.shutdown(socket.SHUT_RDWR)
    assert (closed.outcome, closed.reason) == (Outcome.FAILED, Reason.PROTOCOL)
    other = look("mongodb", port=hostile.port, seconds=0.6)
    assert other.outcome is Outcome.FAILED
    assert other.reason in (Reason.PROTOCOL, Reason.TIMEOUT)
    assert max(closed.seconds, other.seconds) < 1.1


def test_a_certificate_that_is_not_trusted(tls_servers: TlsServers) -> None:
    there = {"host": "localhost", "port": tls_servers.good, "tls": True}
    distrusted = look("mongodb", **there)
    assert (distrusted.outcome, distrusted.reason) == (Outcome.FAILED, Reason.TLS)
    other = look("mongodb", **there, ca_file=tls_servers.ca_file, seconds=0.6)
    assert other.outcome is Outcome.FAILED
    assert other.reason in (Reason.PROTOCOL, Reason.TIMEOUT), "TLS, but no MongoDB behind it"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"port": 0}, "port must be"),
        ({"username": "a"}, "belong together"),
        ({"ca_file": "x"}, "need tls"),
    ],
)
def test_a_bad_declaration_is_refused(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MongodbProbe("127.0.0.1", **config)
