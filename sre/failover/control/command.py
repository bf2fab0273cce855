"""How is a node controlled through programs of the user: kubectl, a cloud's client, a script?"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import ClassVar

from sre.core.clock import Deadline
from sre.core.config import STRICT
from sre.core.errors import CheckFailed, Transient, UsageError
from sre.core.process import Done, run
from sre.failover.control.scripted import absolute, prologue
from sre.failover.nodes import Life, Service, StopMode

__all__ = ["CommandControl"]

_PLACE = re.compile(r"\{(data_dir|bin_dir|port|engine|log|mode)\}")
_OPTIONAL = ("stop_immediate", "mask", "unmask")
_EVERY = 0.02
_ENDED = re.compile(r"\n?sre:ended (\d+)\n")
_WITH_ENV = (
    'text=\'\'; while IFS= read -r line && [ "$line" != "$1" ]; do text="$text$line\n"; done; '
    '[ "$line" = "$1" ] || exit 75; shift; eval "$text"; unset text; "$@"; code=$?; '
    'printf \'\\nsre:ended %s\\n\' "$code" >&2; exit "$code"'
)


@dataclass(frozen=True)
class CommandControl:
    """`kind: command`: programs with their arguments; no shell reads them.

    In arguments `{data_dir}`, `{bin_dir}`, `{port}`, `{engine}`, `{log}` and `{mode}` (`fast` or
    `immediate`) are replaced. Exit code 0 of an action: done.

    Attributes:
        start: starts the service.
        stop: stops it cleanly.
        kill: ends it at once, whatever it does.
        life: ends with 0: it runs, 3: it does not; anything else: nobody knows.
        run: what stands before a program and its arguments to run it on the node as the
            service's user: `[kubectl, exec, -i, db-0, --]`. Standard input must arrive.
        stop_immediate: stops it as a crash does; without, `stop` if it has `{mode}` in it.
        mask: keeps it from being started by others.
        unmask: takes that back.
        unreachable: exit codes of all these that mean: the node was not reached.
    """

    __pydantic_config__: ClassVar = STRICT
    start_: tuple[str, ...]
    stop_: tuple[str, ...]
    kill_: tuple[str, ...]
    life_: tuple[str, ...]
    run_: tuple[str, ...]
    stop_immediate: tuple[str, ...] = ()
    mask_: tuple[str, ...] = ()
    unmask_: tuple[str, ...] = ()
    unreachable: tuple[int, ...] = (255,)

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            key = field.name.removesuffix("_")
            if key != "unreachable" and key not in _OPTIONAL and not value:
                raise ValueError(f"{key} needs a program and its arguments: [program, argument, …]")
            if key != "unreachable" and value and not value[0].strip():
                raise ValueError(f"{key} begins with the name of a program")
        if {0, 3} & set(self.unreachable):
            raise ValueError("unreachable must not have 0 (done) or 3 (it does not run)")

    def check(self, service: Service, deadline: Deadline) -> tuple[str, ...]:
        """What is missing on the node for the other methods to work; touches nothing."""
        found = []
        if not self.stop_immediate and not _has_mode(self.stop_):
            found.append("control has no stop_immediate (and no {mode} in stop)")
        found += [
            f"control has no {key}" for key in ("mask", "unmask") if not getattr(self, f"{key}_")
        ]
        life = self.life(service, deadline)
        if life.state == "unknown":
            found.append(life.why)
        try:
            done = self.run(service, ["cat"], deadline, input=b"a\0b")
        except (Transient, UsageError) as error:
            return (*found, str(error))
        if done.stdout != b"a\0b":
            found.append(f"{self.run_[0]}: standard input does not arrive (exit {done.returncode})")
        return tuple(found)

    def start(self, service: Service, deadline: Deadline) -> None:
        """Start it; returns once `life` says that it runs."""
        if self.life(service, deadline).state != "alive":
            self._act("start", self.start_, service, deadline)
            self._await("start", "alive", service, deadline)

    def stop(self, service: Service, mode: StopMode, deadline: Deadline) -> None:
        """Stop it; returns once `life` says that it does not run."""
        argv = self.stop_
        if mode == "immediate" and not _has_mode(argv):
            argv = self._wanted("stop_immediate", self.stop_immediate)
        if self.life(service, deadline).state != "dead":
            self._act("stop", argv, service, deadline, mode)
            self._await("stop", "dead", service, deadline)

    def kill(self, service: Service, deadline: Deadline) -> None:
        """End it at once; returns once `life` says that it does not run."""
        if self.life(service, deadline).state != "dead":
            self._act("kill", self.kill_, service, deadline)
            self._await("kill", "dead", service, deadline)

    def life(self, service: Service, deadline: Deadline) -> Life:
        """Whether it runs, as `life` says."""
        try:
            done = self._run("life", self.life_, service, deadline)
        except (Transient, UsageError) as error:
            return Life("unknown", why=str(error))
        words = " ".join((done.stdout.decode("utf-8", "replace") or done.stderr).split())[:300]
        if done.returncode == 0:
            return Life("alive", why=words or "life ended with 0")
        if done.returncode == 3:
            return Life("dead", why=words or "life ended with 3")
        return Life("unknown", why=f"{self.life_[0]}: life ended with {done.returncode}: {words}")

    def mask(self, service: Service, deadline: Deadline) -> None:
        """It must not come back by itself."""
        self._act("mask", self._wanted("mask", self.mask_), service, deadline)

    def unmask(self, service: Service, deadline: Deadline) -> None:
        """It may be started again."""
        self._act("unmask", self._wanted("unmask", self.unmask_), service, deadline)

    def run(
        self,
        service: Service,
        argv: Sequence[str],
        deadline: Deadline,
        *,
        input: bytes = b"",  # noqa: A002  as in subprocess.run
        env: Mapping[str, str] | None = None,
    ) -> Done:
        """A program on the node, behind `run`; with `env`, a shell there reads it from stdin."""
        if not argv or not argv[0]:
            raise UsageError("cannot run an empty command; name a program")
        token, head = prologue(env or {})
        prefix = _filled(self.run_, service)
        if not env:
            return self._done("run", [*prefix, *argv], deadline, input)
        shell = ["sh", "-c", _WITH_ENV, "sre", token]
        done = self._done("run", [*prefix, *shell, *argv], deadline, head + input)
        marks = list(_ENDED.finditer(done.stderr))
        if not marks:
            words = " ".join(done.stderr.split())[-300:]
            raise Transient(f"{prefix[0]}: the program's end is not known: {words}")
        last = marks[-1]
        words = done.stderr[: last.start()] + done.stderr[last.end() :]
        return replace(done, returncode=int(last[1]), stderr=words)

    def read(self, service: Service, path: str, deadline: Deadline) -> bytes | None:
        """A file of the node; None when a list of its folder proves that there is none."""
        done = self.run(service, ["cat", absolute(path)], deadline)
        if done.truncated:
            raise UsageError(f"{path} is too large")
        if done.ok:
            return done.stdout
        if self._absent(service, path, deadline):
            return None
        raise CheckFailed(f"cannot read {path}: {done.stderr.strip()}")

    def write(
        self, service: Service, path: str, content: bytes, deadline: Deadline, *, mode: int = 0o600
    ) -> None:
        """Replace a file of the node in one step; it belongs to whom `run` runs as."""
        folder, _, name = absolute(path).rpartition("/")
        draft = f"{folder}/.sre-draft-{secrets.token_hex(6)}"
        if not name or self.run(service, ["test", "-d", path], deadline).ok:
            raise UsageError(f"{path} is a folder")
        try:
            self._must(service, ["dd", "if=/dev/null", f"of={draft}"], deadline)
            self._must(service, ["chmod", f"{mode:04o}", draft], deadline)
            whole = ["dd", f"of={draft}", "bs=65536", "conv=notrunc,fsync"]
            self._must(service, whole, deadline, content)
            self._whole(service, draft, path, len(content), deadline)
            self._must(service, ["mv", "-f", draft, path], deadline)
        except (CheckFailed, Transient):
            self.run(service, ["rm", "-f", draft], Deadline.after(5, deadline.clock))
            raise
        self.run(service, ["sync", f"{folder}/"], deadline)

    def remove(self, service: Service, path: str, deadline: Deadline) -> None:
        """Remove one file of the node (never a folder); none is fine."""
        if absolute(path).endswith("/"):
            raise UsageError(f"{path} is a folder; only a file is removed")
        self._must(service, ["rm", "-f", path], deadline)

    def _whole(
        self, service: Service, draft: str, path: str, size: int, deadline: Deadline
    ) -> None:
        found = self._must(service, ["wc", "-c", draft], deadline).stdout.split()
        if found[:1] != [str(size).encode()]:
            raise Transient(f"{path} arrived in part; nothing was changed")

    def _absent(self, service: Service, path: str, deadline: Deadline) -> bool:
        """Whether the nearest folder that can be listed has nothing on the way to `path`."""
        while path.strip("/"):
            folder, _, name = path.rstrip("/").rpartition("/")
            listed = self.run(service, ["ls", "-1a", f"{folder}/"], deadline)
            if listed.ok:
                return name.encode("utf-8", "surrogateescape") not in listed.stdout.split(b"\n")
            path = folder
        return False

    def _must(
        self, service: Service, argv: Sequence[str], deadline: Deadline, data: bytes = b""
    ) -> Done:
        done = self.run(service, argv, deadline, input=data)
        if not done.ok:
            words = " ".join(done.stderr.split())[-300:]
            raise CheckFailed(f"{argv[0]} {argv[-1]} ended with {done.returncode}: {words}")
        return done

    def _act(
        self,
        what: str,
        argv: Sequence[str],
        service: Service,
        deadline: Deadline,
        mode: str = "fast",
    ) -> None:
        done = self._run(what, argv, service, deadline, mode)
        if not done.ok:
            words = " ".join((done.stderr or done.stdout.decode("utf-8", "replace")).split())[-300:]
            raise CheckFailed(f"{argv[0]}: {what} ended with {done.returncode}: {words}")

    def _await(self, what: str, state: str, service: Service, deadline: Deadline) -> None:
        while (life := self.life(service, deadline)).state != state:
            if deadline.passed():
                why = f"life says {life.state}: {life.why}"
                raise Transient(f"{what} has not come about in time; {why}")
            deadline.clock.sleep(min(_EVERY, deadline.left()))

    def _run(
        self,
        what: str,
        argv: Sequence[str],
        service: Service,
        deadline: Deadline,
        mode: str = "fast",
    ) -> Done:
        return self._done(what, _filled(argv, service, mode), deadline, b"")

    def _done(self, what: str, argv: Sequence[str], deadline: Deadline, data: bytes) -> Done:
        if any("\0" in each for each in argv):
            raise UsageError(f"{what}: an argument has a NUL in it")
        done = run(argv, deadline, input=data)
        if done.timed_out:
            raise Transient(f"{argv[0]}: {what} has not ended in time; look, then try again")
        if done.returncode in self.unreachable:
            words = " ".join(done.stderr.split())[-300:]
            raise Transient(f"{argv[0]}: {what}: the node cannot be reached: {words}")
        return done

    def _wanted(self, key: str, argv: tuple[str, ...]) -> tuple[str, ...]:
        if not argv:
            raise UsageError(f"control has no {key}: add {key}: [program, argument, …]")
        return argv


def _has_mode(argv: Sequence[str]) -> bool:
    return any("{mode}" in each for each in argv)


def _filled(argv: Sequence[str], service: Service, mode: str = "fast") -> list[str]:
    """The arguments with what stands in braces replaced, once."""
    values = {
        "data_dir": service.data_dir, "bin_dir": service.bin_dir, "port": str(service.port),
        "engine": service.engine, "log": service.log, "mode": mode,
    }  # fmt: skip
    return [_PLACE.sub(lambda found: values[found[1]], each) for each in argv]
