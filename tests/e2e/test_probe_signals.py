"""Does `sre probe serve` heed signals at any moment, also while it reads its declaration?"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from tests.e2e.test_probe_serve import Service, declare, serving
from tests.servers.hostile import Hostile
from tests.servers.net import wait_until

HOME = "  - {name: home, kind: http, url: /status/200, every: 1s}"


def stuck(service: Service, pipe: Path) -> int:
    """Reads its declaration and waits for this pipe, whose other end is given."""
    (service.home / "sre.yaml").unlink()
    os.mkfifo(pipe)
    service.process.send_signal(signal.SIGHUP)
    ends: list[int] = []

    def opened() -> bool:
        try:
            ends.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:  # nobody reads yet
            return False
        return True

    wait_until(opened, 20, "the reload")
    return ends[0]


def test_it_ends_while_it_reads(hostile: Hostile, tmp_path: Path) -> None:
    declare(tmp_path, hostile.url, "probes:", HOME)
    with serving(tmp_path) as service:
        end = stuck(service, tmp_path / "sre.yaml")
        service.process.send_signal(signal.SIGTERM)
        try:
            try:
                service.process.wait(3)
            except subprocess.TimeoutExpired:  # it came just before the wait that it was to end
                service.process.send_signal(signal.SIGHUP)
            assert service.process.wait(10) == 143
        finally:
            os.close(end)
        assert "not reloaded" not in service.log()


def test_many_reloads_at_once_are_one(hostile: Hostile, tmp_path: Path) -> None:
    declare(tmp_path, hostile.url, "probes:", HOME)
    good = (tmp_path / "sre.yaml").read_bytes()
    with serving(tmp_path) as service:
        end = stuck(service, tmp_path / "sre.yaml")
        for _ in range(50):
            service.process.send_signal(signal.SIGHUP)
            time.sleep(0.002)  # signals of one kind that wait are one signal already
        (tmp_path / "sre.yaml").unlink()
        declare(tmp_path, hostile.url, "probes:", HOME.replace("home", "other"))
        os.write(end, good)
        os.close(end)
        wait_until(lambda: 'probe="other"' in service.metrics(), 20, "the last declaration")
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(20) == 143
        assert service.log().count("reloaded: 1 probes") == 2
