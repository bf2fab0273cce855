"""How does a test get a real OpenSSH server that lets it in, and can be frozen and ended?"""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.servers.child import child, program
from tests.servers.net import free_port, wait_until

__all__ = ["Sshd", "running_sshd"]

# SHLVL: bash would read the user's .bashrc for each command (Debian's bash does, below sshd)
_CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {home}/host
PidFile none
AuthorizedKeysFile {home}/authorized
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UseDNS no
MaxStartups 100
SetEnv SHLVL=2
"""


@dataclass
class Sshd:
    """A running server; `key` opens it for the user who runs the tests."""

    home: Path
    port: int
    process: subprocess.Popen[str] = field(repr=False)

    @property
    def key(self) -> Path:
        return self.home / "user"

    @property
    def known_hosts(self) -> Path:
        return self.home / "known"

    @property
    def user(self) -> str:
        return pwd.getpwuid(os.geteuid()).pw_name

    def family(self) -> list[int]:
        """It and what it has forked for sessions, without what those have started."""
        found, parents = [self.process.pid], {self.process.pid}
        for stat in sorted(Path("/proc").glob("[0-9]*/stat"), key=lambda p: int(p.parts[2])):
            with contextlib.suppress(OSError):
                name, _, rest = stat.read_text().partition(") ")
                if name.endswith("(sshd") and int(rest.split()[1]) in parents:
                    found.append(int(stat.parts[2]))
                    parents.add(found[-1])
        return found

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        pids = self.family()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


def _key(path: Path) -> str:
    argv = [program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(argv, check=True)
    return path.with_suffix(".pub").read_text()


@contextlib.contextmanager
def running_sshd(home: Path, *options: str) -> Iterator[Sshd]:
    """A server on a free port of 127.0.0.1 that greets."""
    home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    host = _key(home / "host").split()
    (home / "authorized").write_text(_key(home / "user"))
    (home / "known").write_text(f"[127.0.0.1]:{port} {host[0]} {host[1]}\n")
    text = _CONFIG.format(port=port, home=home) + "\n".join(options) + "\n"
    (home / "config").write_text(text)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # its unprivileged half lives there
    argv = [program("/usr/sbin/sshd", "sshd"), "-D", "-e", "-f", str(home / "config")]

    def greets() -> bool:
        assert process.poll() is None, (home / "log").read_text()
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            return connection.recv(3) == b"SSH"

    with child(argv, home=home) as process:
        wait_until(greets, 20, "sshd")
        yield Sshd(home, port, process)


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One server for the whole run; whoever ends it takes one of their own."""
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server
