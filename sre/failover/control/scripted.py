"""How are the actions on a node done by one shell script, wherever that script runs?

`node.sh`, `actions.sh` and `files.sh` are the one implementation for this machine and for those
reached by ssh; here are their arguments and what their last line means.
"""

from __future__ import annotations

import re
import secrets
import shlex
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal, NoReturn, cast

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, Refused, SreError, Transient, UsageError
from sre.core.process import Done
from sre.failover.nodes import Life, Service, StopMode

__all__ = ["Scripted", "absolute", "prologue", "start_argv"]

_HERE = Path(__file__).parent
_LAST = re.compile(r"\n?sre:(done|absent|usage|failed|transient|refused) (\d+)\n")
_ERRORS: Mapping[str, type[SreError]] = {
    "usage": UsageError,
    "failed": CheckFailed,
    "transient": Transient,
    "refused": Refused,
}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STATE = re.compile(r"\n?(alive|frozen|dead|unknown): (.*)", re.DOTALL)
_READ_LIMIT = 64 * 2**20
ETC = "/etc/postgresql"
"""Where Debian keeps the configuration of each PostgreSQL cluster of a node."""


@dataclass(frozen=True)
class _Answer:
    """What a script said: how it ended, the program's exit code, and its words."""

    how: str
    code: int
    words: str
    done: Done


class Scripted(ABC):
    """`Control` by the scripts; a kind says how the shell is reached."""

    @property
    @abstractmethod
    def place(self) -> str:
        """The node in messages."""

    @property
    @abstractmethod
    def unit(self) -> str:
        """The systemd unit of the service; empty: none."""

    @property
    @abstractmethod
    def owner(self) -> str:
        """The user of the service; empty: the owner of its data."""

    @abstractmethod
    def shell(self, script: str, args: Sequence[str], data: bytes, deadline: Deadline) -> Done:
        """`sh -c script sre args…` on the node with `data` on standard input."""

    @abstractmethod
    def broken(self, done: Done) -> NoReturn:
        """Raise what it means that the script did not end by itself."""

    def kill_after(self, deadline: Deadline) -> int:  # noqa: ARG002  kinds further away need it
        """Seconds after which the node itself ends a program; 0: we can end it from here."""
        return 0

    def check(self, service: Service, deadline: Deadline) -> tuple[str, ...]:
        """What is missing on the node for the other methods to work; touches nothing."""
        answer = self._act("check", service, (start_argv(service)[0],), deadline)
        return tuple(answer.done.stdout.decode("utf-8", "replace").splitlines())

    def start(self, service: Service, deadline: Deadline) -> None:
        """Start it, detached from us; returns once its process runs. Raises Refused if masked."""
        log = service.log or f"{service.data_dir.rstrip('/')}.log"
        self._act("start", service, (absolute(log), *start_argv(service)), deadline)

    def stop(self, service: Service, mode: StopMode, deadline: Deadline) -> None:
        """Stop it; returns once no process of it is left."""
        self._act("stop", service, (mode,), deadline)

    def kill(self, service: Service, deadline: Deadline) -> None:
        """SIGKILL to every process of it; returns once none is left."""
        self._act("kill", service, (), deadline)

    def life(self, service: Service, deadline: Deadline) -> Life:
        """Whether its processes are there."""
        try:
            answer = self._act("life", service, (), deadline)
        except (Transient, UsageError, CheckFailed) as error:
            return Life("unknown", why=str(error))
        found = _STATE.search(answer.words)
        if found is None:
            return Life("unknown", why=f"{self.place}: {answer.words.strip()}")
        pids = tuple(int(each) for each in answer.done.stdout.split())
        state = cast("Literal['alive', 'frozen', 'dead', 'unknown']", found[1])
        return Life(state, pids, found[2].strip())

    def mask(self, service: Service, deadline: Deadline) -> None:
        """It must not be started: a file `sre-fenced` in its data, and what its manager has."""
        self._act("mask", service, (), deadline)

    def unmask(self, service: Service, deadline: Deadline) -> None:
        """It may be started again."""
        self._act("unmask", service, (), deadline)

    def run(
        self,
        service: Service,
        argv: Sequence[str],
        deadline: Deadline,
        *,
        input: bytes = b"",  # noqa: A002  as in subprocess.run
        env: Mapping[str, str] | None = None,
    ) -> Done:
        """A program on the node as the service's user; a bad exit code is a result."""
        if not argv or not argv[0]:
            raise UsageError("cannot run an empty command; name a program")
        token, head = prologue(env or {})
        args = (token, str(self.kill_after(deadline)), *argv)
        answer = self._act("run", service, args, deadline, head + input)
        return replace(answer.done, returncode=answer.code, stderr=answer.words)

    def read(self, service: Service, path: str, deadline: Deadline) -> bytes | None:
        """A file of the node; None when there is none."""
        answer = self._file("read", service, path, deadline)
        if answer.done.truncated:
            raise UsageError(f"{self.place}: {path} is larger than {_READ_LIMIT} bytes")
        return None if answer.how == "absent" else answer.done.stdout

    def write(
        self, service: Service, path: str, content: bytes, deadline: Deadline, *, mode: int = 0o600
    ) -> None:
        """Replace a file of the node in one step, owned by the service's user, on disk."""
        self._file("write", service, path, deadline, content, mode)

    def remove(self, service: Service, path: str, deadline: Deadline) -> None:
        """Remove one file of the node (never a folder); none is fine."""
        self._file("remove", service, path, deadline)

    def _file(
        self,
        what: str,
        service: Service,
        path: str,
        deadline: Deadline,
        content: bytes = b"",
        mode: int = 0o600,
    ) -> _Answer:
        mask, special = f"{0o777 & ~mode:04o}", f"{mode:04o}" if mode & ~0o666 else ""
        args = (_text("files.sh"), what, absolute(path), mask, special, str(len(content)))
        return self._act("file", service, args, deadline, content)

    def _act(
        self,
        action: str,
        service: Service,
        args: Sequence[str],
        deadline: Deadline,
        data: bytes = b"",
    ) -> _Answer:
        left = deadline.left()
        limit = max(0, int((left - min(0.3, left * 0.1)) * 100))  # it speaks before we cut it off
        common = (
            action,
            service.engine,
            absolute(service.data_dir).rstrip("/") or "/",
            str(service.port),
            self.unit,
            self.owner,
            str(limit),
            ETC,
        )
        if any("\0" in each for each in (*common, *args)):
            raise UsageError(f"{self.place}: an argument has a NUL in it")
        script = _text("node.sh") + _text("actions.sh")
        done = self.shell(script, (*common, *args), data, deadline)
        if done.timed_out:
            raise Transient(
                f"{self.place}: {action} has not ended in time; look at the node, then try again"
            )
        marks = list(_LAST.finditer(done.stderr))
        if not marks:
            self.broken(done)
        last = marks[-1]
        words = done.stderr[: last.start()] + done.stderr[last.end() :]
        if last[1] in _ERRORS:
            raise _ERRORS[last[1]](f"{self.place}: {' '.join(words.split()) or action}")
        return _Answer(last[1], int(last[2]), words, done)


def absolute(path: str) -> str:
    """`path` when it is an absolute one. Raises UsageError."""
    if not path.startswith("/"):
        raise UsageError(f"{path!r} is not an absolute path on the node; begin it with /")
    return path


def prologue(env: Mapping[str, str]) -> tuple[str, bytes]:
    """Variables as lines for a shell's standard input, and the line that ends them.

    Raises:
        UsageError: not a name of a variable.
    """
    if not env:
        return "", b""
    for name, value in env.items():
        if not _NAME.fullmatch(name) or "\0" in value:
            raise UsageError(f"{name!r} cannot be a variable of a program")
    token = f"end-{secrets.token_hex(8)}"
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in env.items()]
    return token, "".join([*lines, f"{token}\n"]).encode("utf-8", "surrogateescape")


def start_argv(service: Service) -> list[str]:
    """The program of an engine as it is started directly."""
    port = str(service.port)
    if service.engine == "postgres":
        told = ["-p", port] if service.port else []
        return [service.program("postgres"), "-D", service.data_dir, *told, *service.options]
    if service.engine == "mariadb":  # --no-defaults must come first, the last of two keys holds
        told = [f"--port={port}"] if service.port else []
        own = [f"--datadir={service.data_dir}", *told]
        return [service.program("mariadbd"), *service.options, *own]
    if service.engine == "redis":  # a configuration file comes first
        told = ["--port", port] if service.port else []
        own = ["--dir", service.data_dir, *told]
        return [service.program("redis-server"), *service.options, *own]
    raise UsageError(f"how {service.engine!r} is started is not known; use `service:` or `command`")


@cache
def _text(name: str) -> str:
    """A script without its comments of whole lines."""
    text = (_HERE / name).read_text(encoding="utf-8")
    return "".join(
        line for line in text.splitlines(keepends=True) if not line.lstrip().startswith("#")
    )
