"""`sre loadtest run --expect-workers` and its workers, for the end-to-end tests of the cluster."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.e2e.loadtest_gate import Gate
from tests.servers.child import clean_environment
from tests.servers.net import wait_until

__all__ = ["KEY", "Cluster", "Process", "cluster_of"]

KEY = "0123456789abcdef0123456789abcdef"


@dataclass
class Process:
    """One command with what it says on stderr, in a file."""

    popen: subprocess.Popen[str]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def hears(self, words: str, seconds: float = 30.0) -> re.Match[str]:
        end = time.monotonic() + seconds
        while not (match := re.search(words, self.said)):
            alive = self.popen.poll() is None and time.monotonic() < end
            assert alive, f"no {words!r}; it ended with {self.popen.poll()}: {self.said}"
            time.sleep(0.01)
        return match

    def ends(self, seconds: float = 40.0) -> int:
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running: {self.said}") from None

    def child(self, module: str) -> psutil.Process:
        def found() -> Any:
            for each in psutil.Process(self.popen.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if module in each.cmdline():
                        return each
            return None

        return wait_until(found, 20, module)


@dataclass
class Cluster:
    """A gate and everybody who takes part."""

    gate: Gate
    key: bool = False
    address: str = ""
    started: list[Process] = field(default_factory=list)

    def run(self, expect: int, *more: str) -> Process:
        argv = ["run", "gate", "--out", str(self.gate.out), "--expect-workers", str(expect)]
        process = self._start("run", *argv, "--listen", "127.0.0.1:0", *self._key(), *more)
        self.address = process.hears(r"listening on (\S+) for")[1]
        return process

    def worker(
        self,
        *more: str,
        before: tuple[str, ...] = (),
        folder: Path | None = None,
        key: tuple[str, ...] | None = None,
        **env: str,
    ) -> Process:
        keys = self._key() if key is None else key
        argv = ("worker", "--master", self.address, *keys, *more)
        return self._start("worker", *argv, before=before, folder=folder, **env)

    def end(self) -> None:
        for process in self.started:
            with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
                below = psutil.Process(process.popen.pid).children(recursive=True)
                for each in [psutil.Process(process.popen.pid), *below]:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        each.resume()
                        each.kill()
            process.popen.wait(10)

    def _key(self) -> tuple[str, ...]:
        if not self.key:
            return ()
        file = self.gate.folder / "key"
        file.write_text(KEY + "\n", encoding="utf-8")
        return ("--key-file", str(file))

    def _start(
        self,
        what: str,
        *argv: str,
        before: tuple[str, ...] = (),
        folder: Path | None = None,
        **env: str,
    ) -> Process:
        log = self.gate.folder / f"{what}-{len(self.started)}.log"
        with log.open("w", encoding="utf-8") as stream:
            popen = subprocess.Popen(
                [*before, sys.executable, "-m", "sre", "loadtest", *argv],
                cwd=folder or self.gate.folder,
                env=clean_environment(self.gate.folder) | env,
                stdout=stream,
                stderr=stream,
                text=True,
            )
        process = Process(popen, log)
        self.started.append(process)
        return process


@contextlib.contextmanager
def cluster_of(folder: Path, *, key: bool = False) -> Iterator[Cluster]:
    """A cluster in `folder`; nothing of it is left afterwards."""
    cluster = Cluster(Gate(folder, folder / "out"), key)
    try:
        yield cluster
    finally:
        cluster.end()
