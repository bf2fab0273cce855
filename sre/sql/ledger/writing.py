"""How are writes numbered and paced through the front door, each one on record?"""

from __future__ import annotations

import secrets
import threading
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

from sre.core.clock import Clock, Deadline, SystemClock
from sre.core.errors import SreError, Transient, UsageError
from sre.core.lock import boot_id
from sre.sql.ledger.engine import Engine, Link
from sre.sql.ledger.model import Ending, Head, NotWritten, Outcome, Plan, Report, Row, Unclear
from sre.sql.ledger.pacing import Arrivals
from sre.sql.ledger.reading import report
from sre.sql.ledger.record import Recorder, refuse_second

__all__ = ["Writers"]

_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.05
_PREPARE_SECONDS = 15.0


class Writers:
    """A number of clients that write until told to stop; a context manager.

    Entering makes the table where it is missing and begins to write. Leaving stops, waits for the
    writes that are under way (at most the plan's deadline) and closes the record.

    Args:
        folder: of the record; must not hold one.
        dsn, cluster: told by the record, for whoever reads back. Never a secret.

    Raises (on entering):
        UsageError: the folder holds a record, or the server will never take our writes.
        Transient: the server does not take our writes now.
    """

    def __init__(
        self,
        engine: Engine,
        folder: Path,
        plan: Plan,
        *,
        clock: Clock | None = None,
        dsn: str = "",
        cluster: str = "",
    ) -> None:
        self._engine, self._folder, self._plan = engine, folder, plan
        self._clock = clock or SystemClock()
        self._names = (dsn, cluster)
        self._stop, self._over, self._go = (threading.Event() for _ in range(3))
        self._threads: list[threading.Thread] = []
        self._crew: list[_Writer] = []
        self._error: BaseException | None = None
        self._ended = False
        self.run = secrets.token_hex(8)

    def __enter__(self) -> Self:
        refuse_second(self._folder)
        self._prepare()
        for number in range(1, self._plan.writers + 1):
            writer = _Writer(self, number)
            thread = threading.Thread(target=self._work, args=(writer,), daemon=True)
            self._crew.append(writer)
            self._threads.append(thread)
        try:
            for thread in self._threads:
                thread.start()
            self._open()
        except BaseException:
            self._stop.set()
            raise
        finally:
            self._go.set()
        return self

    def _open(self) -> None:
        """Once everybody has had time to connect: logging in is not to be seen as a gap."""
        clock, plan = self._clock, self._plan
        warm = Deadline.after(plan.connect, clock)
        for writer in self._crew:
            writer.warm.wait(warm.left())
        dsn, cluster = self._names
        head = Head(
            self.run, self._engine.name, plan.table, plan.writers, plan.rate,
            wall=clock.wall(), monotonic=clock.now(), boot=boot_id(), dsn=dsn, cluster=cluster,
        )  # fmt: skip
        self.recorder = Recorder(self._folder, head)
        self.arrivals = Arrivals(clock, rate=plan.rate, seconds=plan.seconds)

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

    def counts(self) -> Counter[Outcome]:
        """What has come out so far; may be asked at any time, from any thread."""
        total: Counter[Outcome] = Counter()
        for writer in self._crew:
            total.update(dict(writer.outcomes))
        return total

    def wait(self, seconds: float) -> bool:
        """Wait for the end of the plan's time, or of the record; True when it has come."""
        return self._over.wait(seconds)

    def stop(self) -> None:
        """End in order. Idempotent. Raises Transient: the record could not be written."""
        self._stop.set()
        deadline = Deadline.after(self._plan.deadline + self._plan.connect + 1, self._clock)
        for thread in self._threads:
            thread.join(deadline.left())
        if self._crew and not self._ended:
            now = self._clock.now()
            ending = Ending(
                at=now,
                unstarted=self.arrivals.unstarted(min(each.stopped or now for each in self._crew)),
                reconnects=sum(each.reconnects for each in self._crew),
                stall=max(each.stall for each in self._crew),
            )
            self._end(ending)
        if self._error is not None:
            raise self._error

    def stop_quietly(self) -> None:
        """As `stop`, and `stop` tells later what was wrong: there is a summary to print first."""
        try:
            self.stop()
        except SreError:
            pass

    def _end(self, ending: Ending) -> None:
        self._ended = True
        try:
            self.recorder.end(ending)
        except Transient as error:
            self._error = self._error or error
        self.recorder.close()

    def result(self, *, threshold: float = 0.5, since: float | None = None) -> Report:
        """What the record says, from the file itself; nothing is read back.

        `since` is a moment of the monotonic clock, in seconds.
        """
        return report(self._folder, threshold=threshold, since=since)

    def _prepare(self) -> None:
        try:
            self._engine.prepare(Deadline.after(_PREPARE_SECONDS, self._clock))
        except (NotWritten, Unclear) as error:
            kind = UsageError if error.never else Transient
            raise kind(
                f"the ledger's table {self._plan.table} cannot be used through the front door: "
                f"{error}"
            ) from None

    def _work(self, writer: _Writer) -> None:
        try:
            writer.connect()
            self._go.wait()
            if not self._stop.is_set():
                writer.work(self.recorder, self.arrivals)
        except BaseException as error:  # noqa: BLE001  told by stop(), in the thread of the user
            self._error = self._error or error
            self._stop.set()
            self._over.set()
        finally:
            writer.hang_up()
            writer.stopped = self._clock.now()
            if all(each.stopped for each in self._crew) and len(self._crew) == self._plan.writers:
                self._over.set()


class _Writer:
    """One client: takes an arrival, writes, notes what came of it."""

    def __init__(self, crew: Writers, number: int) -> None:
        self._number, self._next = number, 0
        self._engine, self._plan, self._clock = crew._engine, crew._plan, crew._clock
        self._stop, self._run = crew._stop, crew.run
        self._recorder: Recorder
        self.warm = threading.Event()
        self._link: Link | None = None
        self.outcomes: Counter[Outcome] = Counter()
        self.reconnects, self.stall, self.stopped = 0, 0.0, 0.0

    def connect(self) -> None:
        """Before the clock starts; what does not come then is asked for again with a write."""
        try:
            self._linked()
        except NotWritten:
            pass
        finally:
            self.warm.set()

    def work(self, recorder: Recorder, arrivals: Arrivals) -> None:
        """Until stopped, or until there are no more arrivals. Raises Transient: no record."""
        self._recorder = recorder
        pause = _FIRST_PAUSE
        while not self._stop.is_set() and (due := arrivals.take()) is not None:
            if not self._wait_for(due):
                arrivals.give_back()
                return
            if self._one(due):
                pause = _FIRST_PAUSE
            else:
                self._stop.wait(pause)
                pause = min(_LONGEST_PAUSE, pause * 2)

    def _wait_for(self, due: float) -> bool:
        """False: stopped meanwhile."""
        left = due - self._clock.now()
        if left <= 0:
            return True
        if self._stop.wait(left):
            return False
        self.stall = max(self.stall, self._clock.now() - due)
        return True

    def _one(self, due: float) -> bool:
        """One numbered write. Its number is never used again, whatever comes of it."""
        self._next += 1
        try:
            link = self._linked()
        except NotWritten as error:
            return self._note(Outcome.FAILED, error.word)
        deadline = Deadline.after(self._plan.deadline, self._clock)
        self._recorder.intent(self._number, self._next, due, self._clock.now())
        try:
            link.write(Row(self._run, self._number, self._next, self._clock.wall()), deadline)
        except NotWritten as error:
            self.hang_up()
            return self._note(Outcome.FAILED, error.word)
        except Unclear as error:
            self.hang_up()
            return self._note(Outcome.AMBIGUOUS, error.word)
        except Exception as error:  # noqa: BLE001  a driver that trips over an odd answer
            self.hang_up()
            return self._note(Outcome.AMBIGUOUS, type(error).__name__)
        return self._note(Outcome.ACKNOWLEDGED)

    def _note(self, outcome: Outcome, word: str = "") -> bool:
        self._recorder.result(outcome, self._number, self._next, self._clock.now(), word)
        self.outcomes[outcome] += 1
        return outcome is Outcome.ACKNOWLEDGED

    def _linked(self) -> Link:
        """A connection on which nothing has failed. Raises NotWritten."""
        if self._link is not None and not self._link.alive():
            self.hang_up()
            self.reconnects += 1
        if self._link is None:
            try:
                self._link = self._engine.connect(Deadline.after(self._plan.connect, self._clock))
            except NotWritten:
                raise
            except Exception as error:  # noqa: BLE001  a driver that trips over an odd greeting
                raise NotWritten(type(error).__name__) from None
        return self._link

    def hang_up(self) -> None:
        """Let go of the connection."""
        if self._link is not None:
            self._link.close()
            self._link = None
