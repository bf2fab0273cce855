"""How is a node controlled that OpenSSH reaches?

One connection is kept (ControlMaster) for all commands of a switch. What runs there is the same
script as here; variables and content travel on standard input alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, NoReturn

from sre.core.clock import Deadline
from sre.core.config import STRICT
from sre.core.errors import Transient, UsageError
from sre.core.process import Done, run
from sre.failover.control.scripted import Scripted
from sre.failover.control.words import check_host, check_options, check_unit, check_user
from sre.failover.nodes import Service

__all__ = ["SshControl"]

_NEVER = {
    "REMOTE HOST IDENTIFICATION HAS CHANGED": "its host key has changed: somebody may stand "
    "between; ask its owner, then mend known_hosts",
    "Host key verification failed": "its host key is unknown or has changed; "
    "check it, then add it to known_hosts",
    "Permission denied": "it does not let us in; check user, key and authorized_keys",
    "Bad owner or permissions": "ssh refuses its own files; mind their permissions",
    "UNPROTECTED PRIVATE KEY": "ssh refuses the key, for others may read it: chmod 600",
    "Bad configuration option": "ssh does not know one of the options",
    "unsupported option": "ssh does not take one of the options",
    "Unable to negotiate": "ssh and it have no cipher or key kind in common",
}
"""What ssh says -> what can never work so, and the cure."""


@dataclass(frozen=True)
class SshControl(Scripted):
    """`kind: ssh`: another machine.

    Attributes:
        host: name or address.
        user: who logs in; ssh's own choice without.
        port: 0: ssh's own choice.
        key: file of a private key without passphrase (or one that the agent holds).
        known_hosts: file of the host keys that are believed; ssh's own without.
        service: a systemd unit there; without, programs are started and stopped directly.
        run_as: who runs the service, when we are root there; the data's owner without.
        sudo: act as root there: `sudo -n`.
        options: further options as in ssh_config: `[ProxyJump=bastion]`.
    """

    __pydantic_config__: ClassVar = STRICT
    host: str
    user: str = ""
    port: int = 0
    key: Path | None = None
    known_hosts: Path | None = None
    service: str = ""
    run_as: str = ""
    sudo: bool = False
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_host(self.host)
        for each in (self.user, self.run_as):
            check_user(each)
        check_unit(self.service)
        check_options(self.options)
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must be from 1 to 65535, not {self.port}")

    @property
    def place(self) -> str:
        """The node in messages."""
        return f"{self.host}:{self.port}" if self.port else self.host

    @property
    def unit(self) -> str:
        """The systemd unit of the service."""
        return self.service

    @property
    def owner(self) -> str:
        """The user of the service."""
        return self.run_as

    def check(self, service: Service, deadline: Deadline) -> tuple[str, ...]:
        """What is missing; warms the connection."""
        for path in (self.key, self.known_hosts):
            if path is not None and not path.expanduser().is_file():
                return (f"there is no file {path}",)
        return super().check(service, deadline)

    def kill_after(self, deadline: Deadline) -> int:
        """The far end does not hear of our end."""
        return int(deadline.left()) + 1

    def shell(self, script: str, args: Sequence[str], data: bytes, deadline: Deadline) -> Done:
        """`sh -c script sre args…` there."""
        asked = ["sudo", "-n", "--"] if self.sudo else []
        words = [*asked, "/bin/sh", "-c", script, "sre", *args]
        command = " ".join(shlex.quote(each) for each in words)
        done = run([*self._ssh(deadline), "--", self.host, command], deadline, input=data)
        if done.timed_out or done.returncode == 255:
            self._forget()
        return done

    def broken(self, done: Done) -> NoReturn:
        """Raise what it means that the script did not end by itself."""
        words = done.stderr
        for said, cure in _NEVER.items():
            if said in words and done.returncode == 255:
                raise UsageError(f"{self.place}: {cure}")
        lines = [line.strip() for line in words.splitlines() if line.strip(" @\r")]
        last = lines[-1] if lines else f"ssh ended with {done.returncode}"
        if done.returncode == 255 or done.returncode < 0:
            raise Transient(f"{self.place} cannot be reached: {last}")
        raise UsageError(f"{self.place}: {last} (exit code {done.returncode})")

    def _ssh(self, deadline: Deadline) -> list[str]:
        given = {
            "BatchMode": "yes",
            "StrictHostKeyChecking": "yes",
            "ConnectTimeout": str(max(1, min(10, int(deadline.left())))),
            "ControlMaster": "auto",
            "ControlPath": str(self._socket()),
            "ControlPersist": "60",
            "ServerAliveInterval": "2",
            "ServerAliveCountMax": "3",
            "LogLevel": "ERROR",
        }
        if self.known_hosts is not None:
            given["UserKnownHostsFile"] = _quoted(self.known_hosts)
            given["GlobalKnownHostsFile"] = "/dev/null"
        if self.key is not None:
            given |= {"IdentityFile": _quoted(self.key), "IdentitiesOnly": "yes"}
        if self.port:
            given["Port"] = str(self.port)
        argv = ["ssh", "-T", "-x", "-a"]
        for each in (*(f"{name}={value}" for name, value in given.items()), *self.options):
            argv += ["-o", each]
        return [*argv, "-l", self.user] if self.user else argv

    def _socket(self) -> Path:
        """Where the kept connection is: the same for all commands with the same settings."""
        known = (self.host, self.user, self.port, self.key, self.known_hosts, self.options)
        return _folder() / hashlib.sha256(repr(known).encode()).hexdigest()[:16]

    def _forget(self) -> None:
        """The next command connects anew; the kept connection ends by itself."""
        with contextlib.suppress(OSError):
            self._socket().unlink()


def _quoted(path: Path) -> str:
    """A path as ssh's options take it: quoted, for they are lists of words; % is an escape."""
    return '"' + str(path.expanduser()).replace("%", "%%") + '"'


@cache
def _folder() -> Path:
    """A folder of ours alone, with a path short enough for a socket."""
    wanted = Path("/tmp") / f"sre-ssh-{os.getuid()}"  # noqa: S108  private, and checked
    with contextlib.suppress(OSError):
        wanted.mkdir(mode=0o700, exist_ok=True)
        found = wanted.lstat()
        ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
        if ours and stat.S_IMODE(found.st_mode) == 0o700:
            return wanted
    return Path(tempfile.mkdtemp(prefix="sre-ssh-", dir="/tmp"))
