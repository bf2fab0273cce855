"""What is left when a run is told to end, wherever it is? (row 31)"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time

import pytest

from sre.backup.claim import lease_key, parse_claim
from tests.faults.ground import ids, none_left, processes, s3_fields, started, until
from tests.servers.s3 import S3Server
from tests.servers.s3faults import FaultyS3, Rule, faulty_s3
from tests.unit.backup.setting import Scene

pytestmark = pytest.mark.postgres

CODES = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 143}


def held_at(faulty: FaultyS3, where: str, scene: Scene) -> None:
    """Wait until the run asks for something that is never answered."""
    until(lambda: any(re.search(where, path) for _m, path in faulty.seen), 40, where)
    assert processes(scene.folder)


@pytest.mark.parametrize(
    ("number", "where"),
    [
        pytest.param(signal.SIGTERM, r"repo\.json", marks=pytest.mark.long),
        (signal.SIGHUP, r"v000000\.zst"),
        pytest.param(signal.SIGINT, r"v000001\.zst", marks=pytest.mark.long),
        pytest.param(signal.SIGTERM, r"/v1/keys/", marks=pytest.mark.long),
        (signal.SIGHUP, r"manifest\.json\.sig"),
    ],
)
def test_told_to_end_at_any_stage(
    scene: Scene, s3_server: S3Server, number: signal.Signals, where: str
) -> None:
    """The code says how; nothing runs, nothing is listed, no upload waits, the lease is free."""
    with faulty_s3(s3_server) as (faulty, proxied):
        fields = s3_fields(proxied, prefix=str(scene.store["prefix"]))
        slow = Scene(scene.folder, scene.dsn, fields, scene.bin_dir, scene.volume)
        slow.write()
        faulty.plan(Rule("delay", "PUT", where, times=None, seconds=3.0))
        running = started(slow, "run", "orders")
        held_at(faulty, where, slow)
        running.send_signal(number)
        began = time.monotonic()
        _out, error = running.communicate(timeout=60)
        assert running.returncode == CODES[number], error
        assert time.monotonic() - began < 30
        faulty.plan()
        none_left(scene.folder)
        scene.write()
        assert ids(scene) == []
        nothing_waits(s3_server, scene)


def nothing_waits(server: S3Server, scene: Scene) -> None:
    """Neither a part of an upload nor a lease."""
    bucket, prefix = scene.store["bucket"], scene.store["prefix"]
    found = server.client().list_multipart_uploads(Bucket=bucket, Prefix=f"{prefix}/")
    assert found.get("Uploads", []) == []
    key = lease_key("orders", "run")
    for each in server.client().list_objects_v2(
        Bucket=bucket, Prefix=f"{prefix}/{key}"
    ).get("Contents", []):  # fmt: skip
        body = server.client().get_object(Bucket=bucket, Key=each["Key"])["Body"].read()
        assert parse_claim(body, key).released


@pytest.mark.long
def test_told_twice_it_still_ends(scene: Scene, s3_server: S3Server) -> None:
    """An impatient operator, while it cleans up."""
    with faulty_s3(s3_server) as (faulty, proxied):
        fields = s3_fields(proxied, prefix=str(scene.store["prefix"]))
        slow = Scene(scene.folder, scene.dsn, fields, scene.bin_dir, scene.volume)
        slow.write()
        faulty.plan(Rule("delay", "PUT", "v000000", times=None, seconds=3.0))
        running = started(slow, "run", "orders")
        held_at(faulty, "v000000", slow)
        for _ in range(2):
            os.kill(running.pid, signal.SIGTERM)
            time.sleep(0.05)
        _out, error = running.communicate(timeout=60)
        assert running.returncode == 143, error
        assert "Traceback" not in error
        none_left(scene.folder)


def test_out_of_memory_of_a_part(scene: Scene) -> None:
    """The kernel kills the encryption: exit code 1, and nothing is committed."""
    running = started(scene, "run", "orders")

    def sealer() -> int:
        found = [p for p, line in processes(scene.folder).items() if "sre.backup.seal" in line]
        return found[0] if found else 0

    os.kill(until(sealer, 40), signal.SIGKILL)
    _out, error = running.communicate(timeout=60)
    assert running.returncode == 1, error
    assert "was ended by signal 9, nothing was committed" in error
    none_left(scene.folder)
    assert ids(scene) == []


@pytest.mark.long
def test_a_background_job_that_ignores_hang_ups_goes_on(scene: Scene) -> None:
    """`nohup sre backup run …` is meant to outlive its terminal."""
    argv = ["nohup", *scene.argv("run", "orders", "--format", "json")]
    running = subprocess.Popen(
        argv, env=scene.environment, cwd=scene.folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    until(lambda: any("sre.backup.seal" in one for one in processes(scene.folder).values()), 40)
    running.send_signal(signal.SIGHUP)
    _out, error = running.communicate(timeout=60)
    assert running.returncode == 0, error
    assert len(ids(scene)) == 1
