"""How does a drill or a benchmark write a ledger without being in its way?

In a process of its own: what measures must not wait for what is measured, nor for the work of the
tool that makes the fault.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from sre.core.clock import Clock, Deadline, SystemClock
from sre.core.errors import SreError, Transient
from sre.core.process import Child
from sre.core.secrets import Secret, redactor
from sre.sql.ledger.engine import Engine
from sre.sql.ledger.engines import open_engine
from sre.sql.ledger.model import Plan, Report
from sre.sql.ledger.reading import report, verify
from sre.sql.ledger.record import FILE

__all__ = ["LedgerProcess"]

_VARIABLE = "SRE_LEDGER_DSN"
_POLL = 0.01
_MARGIN = 10.0


class LedgerProcess:
    """`sre ledger write` as a child; a context manager that ends it in order.

    Args:
        folder: of the record; must not hold one.
        cluster: told by the record.
    """

    def __init__(
        self,
        dsn: Secret,
        folder: Path,
        plan: Plan,
        *,
        cluster: str = "",
        clock: Clock | None = None,
    ) -> None:
        self._dsn, self.folder, self._plan = dsn, folder, plan
        self._cluster, self._clock = cluster, clock or SystemClock()
        self._child: Child | None = None
        self._said: list[str] = []
        self._stopped = False

    def __enter__(self) -> Self:
        """Raises UsageError when the dsn cannot be read. It may not write yet: `ready` waits."""
        self._child = Child(
            self._argv(),
            env={_VARIABLE: self._dsn.reveal()},
            stderr=self._said.append,
            grace=self._plan.deadline + self._plan.connect + _MARGIN,
        ).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.stop()
        except SreError:
            if error is None:
                raise

    @property
    def pid(self) -> int:
        """Its process id, while it runs."""
        return self._started.pid

    @property
    def _started(self) -> Child:
        if self._child is None:
            raise RuntimeError("the ledger has not been started")
        return self._child

    def ready(self, deadline: Deadline) -> None:
        """Wait for the first acknowledgement. Raises Transient: it ended, or none came in time."""
        while not self._acknowledged():
            if self._started.poll() is not None:
                raise Transient(f"the ledger ended before it wrote anything: {self._words()}")
            if deadline.passed():
                raise Transient("no write was acknowledged in time; is the front door open?")
            self._clock.sleep(_POLL)

    def stop(self) -> None:
        """End it in order. Idempotent.

        Raises:
            Transient: it ended badly by itself (no room for its record, a bug); what its record
                says is true all the same.
        """
        child = self._started
        if self._stopped:
            return
        self._stopped = True
        with child:  # leaving it closes its pipes, and kills what did not end
            early = child.poll()
            if early is None:
                child.signal(signal.SIGTERM)
                grace = self._plan.deadline + self._plan.connect + _MARGIN
                early = child.wait(Deadline.after(grace, self._clock))
        if early is None or early not in (0, 4):
            raise Transient(f"the ledger did not end in order ({early}): {self._words()}")
        if early == 4 and self._said:
            raise Transient(f"the ledger stopped: {self._words()}")

    def result(self, *, threshold: float = 0.5, since: float | None = None) -> Report:
        """What its record says; `since` is a moment of the monotonic clock, in seconds."""
        return report(self.folder, threshold=threshold, since=since)

    def verify(
        self, deadline: Deadline, *, threshold: float = 0.5, since: float | None = None
    ) -> Report:
        """Read back through the front door and judge."""
        return verify(
            self.folder, self.engine(), deadline,
            threshold=threshold, since=since, clock=self._clock,
        )  # fmt: skip

    def engine(self) -> Engine:
        """The engine that it writes with."""
        return open_engine(self._dsn.reveal(), table=self._plan.table, wait=self._plan.wait)

    def _argv(self) -> list[str]:
        plan = self._plan
        argv = [
            sys.executable, "-m", "sre", "ledger", "write", "--until-signal", "--no-progress",
            "--dsn", f"${{env:{_VARIABLE}}}", "--out", str(self.folder), "--table", plan.table,
            "--writers", str(plan.writers), "--deadline", f"{plan.deadline}s",
            "--connect-timeout", f"{plan.connect}s", "--wait", str(plan.wait),
            "--rate", "max" if plan.rate is None else f"{plan.rate}/s",
        ]  # fmt: skip
        if plan.seconds is not None:
            argv += ["--for", f"{plan.seconds}s"]
        return [*argv, "--named", self._cluster] if self._cluster else argv

    def _acknowledged(self) -> bool:
        try:
            return b"\na " in (self.folder / FILE).read_bytes()
        except FileNotFoundError:
            return False

    def _words(self) -> str:
        return redactor.mask(" ".join(self._said[-3:])) or "it said nothing"
