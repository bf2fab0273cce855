"""Do the commands of docs/failover.md work as they stand there, on real clusters?

What the document calls `db-a` and `db-b` are two addresses of this machine with one port, which a
real sshd reaches; everything else of its blocks is typed as it stands.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sre.core.clock import Deadline
from sre.failover.control.local import LocalControl
from sre.failover.nodes import Service
from tests.servers.child import child, program
from tests.servers.net import free_port, wait_until
from tests.servers.patroni import PatroniSet, running_patroni
from tests.servers.postgresql import bin_dir
from tests.servers.sshd import Sshd, running_sshd

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "failover.md"
A, B = "127.0.0.2", "127.0.0.3"
NOBODY = 65534
SECTIONS = ("The declaration", "Rehearse", "When the primary dies", "Prove the proof")
_SSH = """
Host {a} {b}
  HostName 127.0.0.1
  Port {port}
  IdentityFile {key}
  UserKnownHostsFile {known}
  StrictHostKeyChecking yes
"""


def blocks(section: str, language: str) -> list[str]:
    """The blocks of a section of the document."""
    [body] = re.findall(
        rf"^##+ {re.escape(section)}\n(.*?)(?=^##+ |\Z)",
        DOCUMENT.read_text(), re.MULTILINE | re.DOTALL,
    )  # fmt: skip
    return re.findall(rf"^```{re.escape(language)}\n(.*?)^```", body, re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Desk:
    """The folder in which somebody types, and what the document's words are called here."""

    folder: Path
    environment: Mapping[str, str]
    here: Mapping[str, str]

    def said(self, text: str) -> str:
        """The document's text for this machine."""
        for word, mine in self.here.items():
            text = text.replace(word, mine)
        return text

    def type(self, block: str, *, as_nobody: bool = False) -> str:
        """Run a block as a careful person does; nothing of it is left running."""
        user: dict[str, Any] = {}
        if as_nobody and os.geteuid() == 0:
            user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        argv = ["bash", "-eu", "-o", "pipefail", "-x", "-c", self.said(block)]
        with (
            tempfile.TemporaryFile("w+") as words,
            subprocess.Popen(
                argv, cwd="/" if as_nobody else self.folder, env=dict(self.environment),
                stdin=subprocess.DEVNULL, stdout=words, stderr=subprocess.STDOUT,
                start_new_session=not as_nobody, **user,
            ) as typed,
        ):  # fmt: skip
            try:
                code = typed.wait(200)
            finally:
                if not as_nobody:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(typed.pid, signal.SIGKILL)
            words.seek(0)
            text = words.read()
        assert code == 0, text
        return text

    def json(self, command: str) -> Any:
        """What a command answers."""
        done = subprocess.run(
            ["bash", "-c", f"{command} --format json"], cwd=self.folder, capture_output=True,
            env=dict(self.environment), text=True, timeout=60, check=True,
        )  # fmt: skip
        return json.loads(done.stdout)


def commands(folder: Path, ssh: str) -> Path:
    """A folder of programs: this `sre`, and an ssh that knows where the nodes are."""
    place = folder / "bin"
    place.mkdir()
    lines = {"sre": f'exec {sys.executable} -P -m sre "$@"', "ssh": f'exec {ssh} "$@"'}
    for name, line in lines.items():
        (place / name).write_text(f"#!/bin/sh\n{line}\n")
        (place / name).chmod(0o755)
    return place


def both_free() -> int:
    """A port that is free at both addresses."""
    while True:
        port = free_port()
        with socket.socket() as one, socket.socket() as two, contextlib.suppress(OSError):
            one.bind((A, port))
            two.bind((B, port))
            return port


def environment(folder: Path, ssh: str, **more: str) -> dict[str, str]:
    place = commands(folder, ssh)
    return {
        **os.environ,
        "PATH": f"{place}:{bin_dir('15')}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "SRE_STATE": str(folder / "state"),
        **more,
    }


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that everybody may enter, with the nodes' own folder and passwords in it."""
    place = "/dev/shm" if Path("/dev/shm").is_dir() else "/tmp"
    made = Path(tempfile.mkdtemp(prefix="sre-test-document-", dir=place))
    made.chmod(0o755)
    (made / "pg").mkdir()
    for name in ("password", "replicator"):
        (made / "pg" / name).write_text(f"{name}-{os.urandom(8).hex()}\n")
    if os.geteuid() == 0:
        for path in (made / "pg", *(made / "pg").iterdir()):
            os.chown(path, NOBODY, NOBODY)
    try:
        yield made
    finally:
        for name in "ab":
            service = Service("postgres", str(made / "pg" / name), str(bin_dir("15")))
            for pid in LocalControl().life(service, Deadline.after(10)).pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def sshd(home: Path) -> Iterator[Sshd]:
    with running_sshd(home / "ssh") as server:
        config = _SSH.format(a=A, b=B, port=server.port, key=server.key, known=server.known_hosts)
        (home / "ssh" / "client").write_text(config)
        yield server


@pytest.fixture
def desk(home: Path, sshd: Sshd) -> Desk:
    port, front = both_free(), free_port()
    word = (home / "pg" / "password").read_text().strip()
    dsns = {
        "A_DSN": f"postgresql://postgres:{word}@{A}:{port}/postgres",
        "B_DSN": f"postgresql://postgres:{word}@{B}:{port}/postgres",
        "FRONT_DSN": f"postgresql://postgres:{word}@127.0.0.1:{front}/postgres",
    }
    ssh = f"{program('ssh')} -F {home / 'ssh' / 'client'}"
    here = {
        "/usr/lib/postgresql/15/bin": str(bin_dir("15")),
        "/srv/pg": str(home / "pg"),
        "/run/haproxy/admin.sock": str(home / "admin.sock"),
        "/etc/haproxy/haproxy.cfg": str(home / "haproxy.cfg"),
        "/etc/sre/id": str(sshd.key),
        "user: root": f"user: {sshd.user}",
        "root@": f"{sshd.user}@",
        "port = 5432": f"port = {port}\nunix_socket_directories = ''",
        ":5432": f":{port}",
        "127.0.0.1:5000": f"127.0.0.1:{front}",
        "db-a": A,
        "db-b": B,
    }
    return Desk(home, environment(home, ssh, PGPORT=str(port), HOME=str(home), **dsns), here)


@contextlib.contextmanager
def haproxy(desk: Desk) -> Iterator[None]:
    [text] = blocks("Two fresh nodes", "haproxy")
    config = desk.folder / "haproxy.cfg"
    config.write_text(desk.said(text))
    argv = [program("haproxy"), "-W", "-db", "-f", str(config)]
    with child(argv, home=desk.folder / "proxy"):
        wait_until((desk.folder / "admin.sock").exists, 10, "HAProxy")
        yield


def operations(desk: Desk) -> list[tuple[str, str]]:
    """What was done and how it ended, oldest first."""
    found = desk.json("sre failover history orders")["operations"]
    return [(each["action"], each["outcome"]) for each in reversed(found)]


def negative(desk: Desk, run: str) -> dict[str, Any]:
    """What the ledger says of the run that has to lose something: exit code 1."""
    command = f"sre ledger verify {run} --format json; test $? = 1"
    done = subprocess.run(
        ["bash", "-c", command], cwd=desk.folder, capture_output=True, check=True,
        env=dict(desk.environment), text=True, timeout=60,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def judged(desk: Desk, run: str) -> dict[str, Any]:
    """What the ledger says of a run, with something in it."""
    found: dict[str, Any] = desk.json(f"sre ledger verify {run}")
    return found


@pytest.mark.timeout(300)  # two servers are made, and changed three times
def test_two_fresh_nodes_become_a_rehearsed_cluster(desk: Desk) -> None:
    """Every `sh` block from the beginning to the failover, in order."""
    for block in blocks("Two fresh nodes", "sh"):
        desk.type(block, as_nobody=True)
    [declaration] = blocks("The declaration", "yaml sre.yaml")
    (desk.folder / "sre.yaml").write_text(desk.said(declaration))
    with haproxy(desk):
        for section in SECTIONS:
            for block in blocks(section, "sh"):
                desk.type(block)
        lost = [("failover", "ok"), ("rejoin", "ok")]
        assert operations(desk) == [("switchover", "ok"), *lost, *lost]
        for run in ("run1", "run2"):
            found = judged(desk, run)
            assert found["lost"] == 0, found
            assert found["acknowledged"] > 100, found
        [cluster] = desk.json("sre failover status")["clusters"]
        roles = {each["name"]: (each["role"], each["state"]) for each in cluster["nodes"]}
        assert roles == {"b": ("primary", "running"), "a": ("standby", "streaming")}
        found = negative(desk, "run3")
        assert found["lost"] > 0, found
        desk.type("sre traffic status")  # 3 when HAProxy and its file differ


@pytest.fixture
def led() -> Iterator[PatroniSet]:
    """Two members of a real Patroni, `a` leads, with etcd and HAProxy."""
    with running_patroni("ab") as found:
        yield found


def desk_of(found: PatroniSet) -> Desk:
    here = {"/run/haproxy/admin.sock": str(found.socket)}
    for name, each in found.members.items():
        here |= {f"http://db-{name}:8008": each.url, f"/srv/pg/{name}": str(each.data)}
    dsns = {f"{name.upper()}_DSN": each.dsn for name, each in found.members.items()}
    dsns["PATRONI_USER"] = found.env["PATRONIUSER"]
    return Desk(found.home, environment(found.home, program("ssh"), **found.env, **dsns), here)


@pytest.mark.timeout(300)  # etcd, two Patronis and what they start
def test_a_cluster_that_patroni_leads(led: PatroniSet) -> None:
    desk = desk_of(led)
    [declaration] = blocks("Patroni", "yaml sre.yaml")
    led.config.write_text(desk.said(declaration))
    for block in blocks("Patroni", "sh"):
        desk.type(block)
    assert operations(desk) == [("switchover", "ok")]
    assert led.leader() == "b"
    found = judged(desk, "run1")
    assert found["lost"] == 0, found
    assert found["acknowledged"] > 100, found
