"""What is remembered of every probe: how it stands since when, and the counts of its past?

Fed with finished runs, one by one; no clock and no file of its own (`keep` writes it down).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from sre.core.secrets import redactor
from sre.journey.result import Outcome, Reason, StepResult
from sre.page.counts import FULL, HOURS, MINUTES, Cell, Room, Track
from sre.page.incidents import MOST, Episode, episodes_from
from sre.page.model import State
from sre.probes.model import Reading
from sre.probes.runner import Result
from sre.slo.model import Objective

__all__ = ["History", "Standing", "Subject", "plain", "subject_of"]

SCHEMA = "sre.status-history/1"
FORGET_AFTER = 7 * 86400.0
"""Seconds for which a probe that is no longer declared is remembered: it may come back."""

_LONGEST = 200
_ADDRESS = re.compile(
    r"[a-z][a-z0-9+.-]*://[^\s'\"]+"  # a URL
    r"|\[[0-9a-f:.]{0,45}:[0-9a-f:.]{0,45}\](?::\d+)?"  # IPv6 with a port
    r"|(?<![\w:])(?:[0-9a-f]{1,4}:){3,7}[0-9a-f]{1,4}(?![\w:])"  # IPv6 in full
    r"|(?<![\w:])[0-9a-f:]{0,39}::[0-9a-f:]{0,39}"  # IPv6, shortened
    r"|\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b",  # IPv4
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Subject:
    """What an objective is about; its counts go by this, so a renamed objective keeps them.

    Attributes:
        kind: `probe`, `journey` or `step`; `name` of a step is JOURNEY/STEP.
        below: seconds that a good event may take; None: any.
    """

    kind: str
    name: str
    below: float | None = None

    @property
    def key(self) -> str:
        """Its name in the history."""
        return f"{self.kind}/{self.name}" + ("" if self.below is None else f" < {self.below!r}")


def plain(probe: str) -> Subject:
    """All runs of a probe, the slow ones marked by its own limit."""
    return Subject("probe", probe)


def subject_of(objective: Objective) -> Subject:
    """Whose events an objective counts."""
    kind = "journey" if objective.journey else "step" if objective.step else "probe"
    below = None if objective.below is None else float(objective.below)
    return Subject(kind, objective.subject, below)


@dataclass(frozen=True)
class Standing:
    """How one probe stands.

    Attributes:
        state: of the last run that had a verdict; UNKNOWN while there was none.
        since: when it came into this state. A pause of ours does not end a state.
        judged: when the last verdict fell; `ran`: when the last run ended.
        note: why the last run has no verdict; empty when it has one.
    """

    state: State
    since: float
    ran: float
    judged: float | None = None
    seconds: float | None = None
    step: str = ""
    reason: str = ""
    status: int | None = None
    message: str = ""
    note: str = ""


class History:
    """Standings and counts by name. Not safe for threads; `live` guards it."""

    def __init__(self) -> None:
        self.standings: dict[str, Standing] = {}
        self.tracks: dict[str, Track] = {}
        self.failing: dict[str, Episode] = {}
        self.past: list[Episode] = []
        self._room = FULL
        self._full: frozenset[str] = frozenset()

    @property
    def episodes(self) -> list[Episode]:
        """Every failure that is remembered, those that go on last."""
        return [*self.past, *self.failing.values()]

    def add(self, result: Result, now: float, subjects: Iterable[Subject] = ()) -> None:
        """A run ended at `now`; `subjects` are those of the objectives, in any order."""
        standing = _next(self.standings.get(result.probe), result, now)
        self.standings[result.probe] = standing
        self._follow(result.probe, standing)
        for subject in dict.fromkeys((plain(result.probe), *subjects)):
            cell = _cell(subject, result)
            if cell is not None:
                self._track(subject).add(cell, now)

    def track(self, subject: Subject) -> Track:
        """The counts of a subject; empty ones if it has none."""
        return self.tracks.get(subject.key) or Track()

    def fit(self, probes: int, subjects: Iterable[Subject]) -> None:
        """Share room among this many probes; what objectives count keeps its full room."""
        self._room = room_for(probes)
        self._full = frozenset(subject.key for subject in subjects)
        for key, track in self.tracks.items():
            track.room = FULL if key in self._full else self._room

    def _track(self, subject: Subject) -> Track:
        track = self.tracks.get(subject.key)
        if track is None:
            room = FULL if subject.key in self._full else self._room
            track = self.tracks[subject.key] = Track(room)
        return track

    def _follow(self, probe: str, standing: Standing) -> None:
        """Open an episode when it begins to fail, close it when it has stopped."""
        if standing.state is State.FAILING:
            because = ": ".join(part for part in (standing.step, standing.reason) if part)
            self.failing.setdefault(probe, Episode(probe, standing.since, None, because))
        elif standing.state is not State.UNKNOWN and probe in self.failing:
            self.past.append(replace(self.failing.pop(probe), ended=standing.since))
            del self.past[:-MOST]

    def forget(self, keep: Iterable[Subject], probes: Iterable[str], now: float) -> None:
        """Drop what is no longer declared and has not been seen for a week."""
        kept, known, limit = {subject.key for subject in keep}, set(probes), now - FORGET_AFTER
        for key in [key for key in self.tracks if key not in kept]:
            if self.tracks[key].touched() < limit:
                del self.tracks[key]
        for name in [name for name in self.standings if name not in known]:
            if self.standings[name].ran < limit:
                del self.standings[name]
        for name in [name for name in self.failing if name not in known]:
            self.past.append(replace(self.failing.pop(name), ended=now))

    def as_data(self) -> dict[str, Any]:
        """For the state file."""
        return {
            "schema": SCHEMA,
            "standings": {name: asdict(one) for name, one in self.standings.items()},
            "tracks": {key: track.as_data() for key, track in self.tracks.items()},
            "episodes": [asdict(one) for one in self.episodes],
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> History:
        """The same again. Raises KeyError, TypeError or ValueError when it is not one."""
        if data["schema"] != SCHEMA:
            raise ValueError(f"schema {data['schema']!r} is not {SCHEMA}")
        history = cls()
        history.standings = {str(n): _standing(one) for n, one in data["standings"].items()}
        history.tracks = {str(k): Track.from_data(one) for k, one in data["tracks"].items()}
        for one in episodes_from(data.get("episodes", [])):
            if one.ended is None:
                history.failing[one.probe] = one
            else:
                history.past.append(one)
        return history


def room_for(probes: int) -> Room:
    """Full room for a shop of the usual size; for thousands of probes no less than a day of hours.

    Ten thousand probes take some 70 MB.
    """
    if probes <= _ORDINARY:
        return FULL
    share = _CELLS // probes
    return max(120, min(MINUTES, share * 4 // 7)), max(26, min(HOURS, share * 3 // 7))


_ORDINARY = 200
_CELLS = _ORDINARY * (MINUTES + HOURS)


def _next(before: Standing | None, result: Result, now: float) -> Standing:
    reading = result.reading
    state = _verdict(reading)
    if state is None:
        note = "prober" if reading.is_prober else reading.outcome.value
        return replace(before or Standing(State.UNKNOWN, now, now), ran=now, note=note)
    same = before is not None and before.state is state
    step = _deciding(reading)
    return Standing(
        state=state,
        since=min(before.since, now) if before is not None and same else now,
        ran=now,
        judged=now,
        seconds=reading.seconds,
        step=step.name if step and reading.journey else "",
        reason=reading.reason.value,
        status=step.status if step else None,
        message="" if state is State.WORKS else _harmless(reading.message),
    )


def _verdict(reading: Reading) -> State | None:
    """None for a run that says nothing about the shop's health: refused, throttled, ours."""
    if reading.outcome is Outcome.OK:
        return State.WORKS
    if reading.outcome is Outcome.DEGRADED:
        return State.SLOW
    failed = reading.outcome is Outcome.FAILED and not reading.is_prober
    return State.FAILING if failed else None


def _deciding(reading: Reading) -> StepResult | None:
    if reading.outcome is Outcome.OK:
        return None
    ended = (s for s in reading.steps if s.outcome is reading.outcome and not s.cleanup)
    return next(ended, None)


def _harmless(message: str) -> str:
    """Masked, without addresses, on one line, cut."""
    text = " ".join(_ADDRESS.sub("…", redactor.mask(message)).split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1].rstrip() + "…"


def _cell(subject: Subject, result: Result) -> Cell | None:
    """What a run adds to the counts of a subject; None when it is no event of it."""
    for outcome, reason, seconds in _events(subject, result):
        if outcome is Outcome.FAILED and reason is not Reason.PROBER:
            return Cell(bad=1)
        if outcome.good:
            limit = subject.below
            slow = outcome is Outcome.DEGRADED if limit is None else seconds > limit
            micros = max(0, round(seconds * 1e6))
            return Cell(slow=1, micros=micros) if slow else Cell(good=1, micros=micros)
    return None


def _events(subject: Subject, result: Result) -> Iterator[tuple[Outcome, Reason, float]]:
    reading = result.reading
    if subject.kind == "step":
        journey, _, name = subject.name.partition("/")
        if reading.journey == journey:
            yield from ((s.outcome, s.reason, s.seconds) for s in reading.steps if s.name == name)
    elif subject.name == (result.probe if subject.kind == "probe" else reading.journey):
        yield reading.outcome, reading.reason, reading.seconds


def _standing(data: Mapping[str, Any]) -> Standing:
    fields = dict(data)
    for name in ("since", "ran"):
        fields[name] = float(fields[name])
    for name in ("judged", "seconds"):
        fields[name] = None if fields[name] is None else float(fields[name])
    for name in ("step", "reason", "message"):
        fields[name] = str(fields[name])
    status = fields["status"]
    fields["status"] = None if status is None else int(status)
    # A note is about a run of the process before this one, often one that its end cut short.
    return Standing(**{**fields, "state": State(fields["state"]), "note": ""})
