"""What can be done to a node of a cluster: its processes, its files, its own tools?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from sre.core.clock import Deadline
from sre.core.process import Done

__all__ = ["Control", "Life", "Service", "StopMode"]

StopMode = Literal["fast", "immediate"]
"""fast: finish what is being written, end sessions, leave cleanly. immediate: as a crash."""


@dataclass(frozen=True)
class Service:
    """What runs on a node.

    Attributes:
        engine: `postgres`, `mariadb` or `redis`: whose processes and pid file to look for.
        data_dir: where its data lies on the node, absolute.
        bin_dir: where its programs lie on the node; empty: found on the PATH there.
        port: where it listens, for programs that are told so.
        log: where what it says goes when it is started directly; empty: beside data_dir.
        options: further arguments of its program when it is started directly.
    """

    engine: str
    data_dir: str
    bin_dir: str = ""
    port: int = 0
    log: str = ""
    options: tuple[str, ...] = ()

    def program(self, name: str) -> str:
        """A program of the engine as an argument list begins with it."""
        return f"{self.bin_dir.rstrip('/')}/{name}" if self.bin_dir else name


@dataclass(frozen=True)
class Life:
    """Whether a service's processes are there.

    Attributes:
        state: `dead` only when the node itself said that no process of it runs: zombies do not
            count as alive. `frozen`: all of its processes are stopped (SIGSTOP).
            `unknown`: the node could not be asked.
        pids: those that are alive.
        why: what was seen, for people.
    """

    state: Literal["alive", "frozen", "dead", "unknown"]
    pids: tuple[int, ...] = ()
    why: str = ""


class Control(Protocol):
    """A kind of `control:`; its fields are its configuration.

    Every method may raise Transient (the node cannot be reached, the deadline passed: nobody
    knows whether it happened), UsageError (it can never work so: no such program, wrong rights)
    and CheckFailed (the node did it, and it failed; the message has the node's words). All may
    be called again after any of these: each brings about a state and finds it there.
    """

    def check(self, service: Service, deadline: Deadline) -> tuple[str, ...]:
        """What is missing on the node for the other methods to work; touches nothing."""
        ...

    def start(self, service: Service, deadline: Deadline) -> None:
        """Start it, detached from us; returns once its process runs (not: once it answers)."""
        ...

    def stop(self, service: Service, mode: StopMode, deadline: Deadline) -> None:
        """Stop it; returns once no process of it is left. A dead one is fine."""
        ...

    def kill(self, service: Service, deadline: Deadline) -> None:
        """SIGKILL to every process of it, frozen ones too; returns once none is left."""
        ...

    def life(self, service: Service, deadline: Deadline) -> Life:
        """Whether its processes are there. Does not raise Transient: `unknown` says so."""
        ...

    def mask(self, service: Service, deadline: Deadline) -> None:
        """It must not come back by itself, even when the machine starts again."""
        ...

    def unmask(self, service: Service, deadline: Deadline) -> None:
        """It may be started again."""
        ...

    def run(
        self,
        service: Service,
        argv: Sequence[str],
        deadline: Deadline,
        *,
        input: bytes = b"",  # noqa: A002  as in subprocess.run
        env: Mapping[str, str] | None = None,
    ) -> Done:
        """A program on the node as the service's user; a bad exit code is a result.

        `env` never shows in a process list, here or there.
        """
        ...

    def read(self, service: Service, path: str, deadline: Deadline) -> bytes | None:
        """A file of the node; None when there is none."""
        ...

    def write(
        self, service: Service, path: str, content: bytes, deadline: Deadline, *, mode: int = 0o600
    ) -> None:
        """Replace a file of the node in one step, owned by the service's user, on disk."""
        ...

    def remove(self, service: Service, path: str, deadline: Deadline) -> None:
        """Remove one file of the node (never a folder); none is fine."""
        ...
