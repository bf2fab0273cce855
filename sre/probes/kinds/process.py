"""Do the programs that must run do so, how many, since when, and what do they use?"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from sre.core.clock import Clock
from sre.core.units import Share, Size
from sre.journey.result import Outcome, Reason, Row, StepResult
from sre.probes.bounds import verdict
from sre.probes.facts import Facts
from sre.probes.isolate import isolated
from sre.probes.model import Gauge, ProbeContext, Reading
from sre.probes.parts import Found
from sre.probes.processparts import FACTS, Group, Wanted, groups_of, measured_group, settle

__all__ = ["Limits", "ProcessProbe", "Watched", "judge"]

_SAMPLE = 0.2
_MOST_GROUPS = 9
"""Groups of twenty numbers each: what one run may export."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.@-]{0,62}")


@dataclass(frozen=True)
class Limits:
    """What one group may use; what is left out is not judged.

    Attributes:
        cpus: processors kept busy; 1.5 is one and a half.
        memory: resident memory of all its processes together.
        open_files: share of its own limit that any one process has open.
        threads: threads of all its processes together.
        zombies: processes that ended and that nobody has waited for.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    cpus: float | None = None
    memory: Size | None = None
    open_files: Share | None = None
    threads: int | None = None
    zombies: int | None = None


@dataclass(frozen=True)
class Watched:
    """A group of processes: all that is given of program, cmdline, pid_file and user must hold.

    Attributes:
        name: of the group, in metrics and messages.
        program: the program's name, as `ps` shows it: `postgres`.
        cmdline: regular expression, found somewhere in the arguments, joined by spaces.
        pid_file: file that holds the number of the process.
        user: name or number of the user that it runs as.
        min: processes that must run at least.
        max: processes that may run at most.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    name: str
    program: str | None = None
    cmdline: str | None = None
    pid_file: Path | None = None
    user: str | None = None
    min: int = 1
    max: int | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r}: letters, digits and _ . @ -, 63 at most")
        if not any((self.program, self.cmdline, self.pid_file, self.user)):
            raise ValueError(f"{self.name}: write program, cmdline, pid_file or user")
        if self.min < 0 or (self.max is not None and self.max < self.min):
            raise ValueError(f"{self.name}: min must be 0 or more, and max not below it")
        try:
            re.compile(self.cmdline or "")
        except re.error as error:
            raise ValueError(f"{self.name}: cmdline is no regular expression: {error}") from error

    @property
    def wanted(self) -> Wanted:
        """The same, ready to be looked for."""
        pattern = None if self.cmdline is None else re.compile(self.cmdline)
        return Wanted(self.name, self.program, pattern, self.pid_file, self.user)


@dataclass(frozen=True)
class ProcessProbe:
    """Looks for groups of processes on the machine that it runs on.

    What may not be read of another user's processes (open files, input and output) is left out and
    has 0 in `sre_probe_process_collector_success`; run as that user, or with CAP_SYS_PTRACE. In a
    container only its own processes are seen, unless it shares the host's.

    Attributes:
        processes: the groups, nine at most.
        warn: what each group may use; beyond it the probe is degraded.
        max: what each group may use; beyond it the probe has failed.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    facts: ClassVar[Facts] = FACTS
    processes: tuple[Watched, ...]
    warn: Limits = Limits()
    max: Limits = Limits()

    def __post_init__(self) -> None:
        names = [group.name for group in self.processes]
        if not 1 <= len(names) <= _MOST_GROUPS:
            raise ValueError(f"write 1 to {_MOST_GROUPS} processes; more in a probe of their own")
        if len(set(names)) != len(names):
            raise ValueError("two groups have one name; rename one")

    def check(self, context: ProbeContext) -> Reading:
        """One look, with a short pause for the processors; a hanging kernel is not waited for."""
        began = time.monotonic()
        wanted = tuple(group.wanted for group in self.processes)
        look = partial(_look, wanted, context.clock)
        name = f"processes {' '.join(one.name for one in wanted)}"
        done = isolated({name: look}, max(0.05, context.deadline.left() * 0.8))[name]
        if isinstance(done, str):
            return _reading(began, (Outcome.FAILED, Reason.TIMEOUT, f"not measured: {done}"), [])
        gauges = [gauge for _, found in done for gauge in found.gauges]
        return _reading(began, judge(done, self), gauges)


def _look(wanted: Sequence[Wanted], clock: Clock) -> list[tuple[Group, Found]]:
    groups = groups_of(wanted)
    began = time.monotonic()
    before = settle(groups, clock, _SAMPLE)
    seconds = max(_SAMPLE, time.monotonic() - began)
    return [(group, measured_group(group, before, seconds)) for group in groups]


def judge(done: Sequence[tuple[Group, Found]], probe: ProcessProbe) -> tuple[Outcome, Reason, str]:
    """The verdict on all groups together. (pure)"""
    bad: list[str] = []
    poor: list[str] = []
    for (group, found), watched in zip(done, probe.processes, strict=True):
        bad += _counted(group, watched)
        outcome, _, words = verdict(probe.max, probe.warn, found.used)
        if outcome is not Outcome.OK:
            (bad if outcome is Outcome.FAILED else poor).append(words)
    if bad:
        return Outcome.FAILED, Reason.STATUS, "; ".join(bad)
    if poor:
        return Outcome.DEGRADED, Reason.STATUS, "; ".join(poor)
    return Outcome.OK, Reason.NONE, ""


def _counted(group: Group, watched: Watched) -> list[str]:
    count = len(group.alive)
    if count < watched.min:
        why = f": {group.why}" if group.why and not count else ""
        return [f"{count} processes of {watched.name} (at least {watched.min}){why}"]
    if watched.max is not None and count > watched.max:
        return [f"{count} processes of {watched.name} (at most {watched.max})"]
    return []


def _reading(began: float, ended: tuple[Outcome, Reason, str], gauges: list[Gauge]) -> Reading:
    outcome, reason, message = ended
    seconds = time.monotonic() - began
    row = Row("process", outcome, seconds, reason=reason, message=message)
    step = StepResult("process", outcome, seconds, reason=reason, rows=(row,), message=message)
    return Reading(outcome, seconds, reason, message, (step,), tuple(gauges))
