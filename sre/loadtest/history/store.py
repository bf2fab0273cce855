"""Which earlier runs does a new one have to stand beside, and who said so?

A baseline is a finished run that somebody accepted, with a reason. Each is one file of a folder
that CI can cache or commit. The newest are kept; the anchor is kept for ever, so that ten small
steps for the worse cannot each hide behind the one before.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sre.core.errors import IntegrityError, Transient, UsageError
from sre.core.files import replace_file, state_folder
from sre.loadtest.history.key import differences
from sre.loadtest.history.record import SCHEMA as RECORD
from sre.loadtest.history.record import Record

__all__ = [
    "KEEP",
    "Baseline",
    "Baselines",
    "comparable",
    "default_folder",
    "read_record",
    "safe_name",
]

SCHEMA = "sre.loadtest-baseline/1"
KEEP = 20


@dataclass(frozen=True)
class Baseline:
    """An accepted run. `at` is Unix seconds."""

    record: Record
    by: str
    at: float
    reason: str
    anchor: bool = False

    def to_plain(self) -> dict[str, Any]:
        """JSON-ready, with a checksum over all of it."""
        plain = {
            "schema": SCHEMA,
            "accepted": {
                "by": self.by,
                "at": self.at,
                "reason": self.reason,
                "anchor": self.anchor,
            },
            "run": self.record.to_plain(),
        }
        return plain | {"sha256": _checksum(plain)}

    @classmethod
    def from_plain(cls, plain: Any) -> Baseline:
        """Raises KeyError, TypeError or ValueError when it is not the work of `to_plain`."""
        if plain["schema"] != SCHEMA:
            raise ValueError(f"its schema is {plain['schema']!r}, not {SCHEMA!r}")
        body = {key: value for key, value in plain.items() if key != "sha256"}
        if plain["sha256"] != _checksum(body):
            raise ValueError("its checksum does not fit")
        how = plain["accepted"]
        return cls(
            Record.from_plain(plain["run"]),
            str(how["by"]),
            float(how["at"]),
            str(how["reason"]),
            bool(how["anchor"]),
        )


class Baselines:
    """The accepted runs of one load test, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def all(self) -> tuple[Baseline, ...]:
        """All of them, the oldest run first.

        Raises IntegrityError when a file is damaged, UsageError when one cannot be read.
        """
        found = [_read(path) for path in sorted(self.folder.glob("*.json"))]
        return tuple(sorted(found, key=lambda each: (each.record.started, each.record.run_id)))

    def accept(self, new: Baseline, *, keep: int = KEEP) -> tuple[str, ...]:
        """Store a run; returns the run ids of those that made room for it.

        The first one is the anchor until another is made it. Accepting the same run again replaces
        what was said about it: a run never counts twice.

        Raises Transient when the disk refuses, else as `all`.
        """
        before = [each for each in self.all() if each.record.run_id != new.record.run_id]
        own = [each for each in self.all() if each.record.run_id == new.record.run_id]
        if not any(each.anchor for each in before):
            new = replace(new, anchor=True)
        new = replace(new, anchor=new.anchor or any(each.anchor for each in own))
        try:
            self._write(new)
            if new.anchor:
                for old in before:
                    if old.anchor:
                        self._write(replace(old, anchor=False))
            return self._prune(keep)
        except OSError as error:
            raise Transient(
                f"cannot write the baseline to {self.folder}: {error.strerror}"
            ) from error

    def path_of(self, record: Record) -> Path:
        """Where that run is, or would be, stored."""
        when = re.sub(r"[^0-9T]", "", record.started.split("+")[0])
        return self.folder / f"{when}-{safe_name(record.run_id)}.json"

    def _write(self, baseline: Baseline) -> None:
        text = json.dumps(baseline.to_plain(), separators=(",", ":"))
        replace_file(self.path_of(baseline.record), text.encode() + b"\n", mode=0o644)

    def _prune(self, keep: int) -> tuple[str, ...]:
        gone = [each for each in self.all()[:-keep] if not each.anchor]
        for each in gone:
            self.path_of(each.record).unlink(missing_ok=True)
        return tuple(each.record.run_id for each in gone)


def default_folder(name: str) -> Path:
    """Where the baselines of load test `name` live unless told otherwise."""
    return state_folder() / "baselines" / safe_name(name)


def comparable(
    found: Sequence[Baseline], key: Mapping[str, str], leave_out: tuple[str, ...] = ()
) -> tuple[tuple[Baseline, ...], list[str]]:
    """Those with the same key, and how the newest of the others differs."""
    same = tuple(each for each in found if not differences(key, each.record.key, leave_out))
    others = [each for each in found if each not in same]
    return same, differences(key, others[-1].record.key, leave_out) if others else []


def read_record(folder: Path) -> Record:
    """The run whose reports lie in `folder`.

    Raises:
        UsageError: there are no reports there.
        IntegrityError: they are not whole, or not of one run.
    """
    path, summary = folder / "histograms.json", folder / "summary.json"
    if not folder.is_dir() or not (path.exists() or summary.exists()):
        raise UsageError(f"{folder} is no folder of load test reports: no histograms.json in it")
    try:
        plain = json.loads(path.read_bytes())
        told = json.loads(summary.read_bytes())
        if plain["schema"] != RECORD:
            raise ValueError(f"its schema is {plain['schema']!r}, not {RECORD!r}")
        record = Record.from_plain(plain)
        if (told["run_id"], told["verdict"]) != (record.run_id, record.verdict):
            raise ValueError("summary.json is of another run")
    except FileNotFoundError as error:
        raise IntegrityError(
            f"the reports in {folder} are not whole: {Path(error.filename).name} is missing; "
            "run the test again"
        ) from error
    except OSError as error:
        raise UsageError(f"cannot read the reports in {folder}: {error.strerror}") from error
    except _DAMAGE as error:
        raise IntegrityError(
            f"the reports in {folder} are damaged ({_why(error)}); run the test again"
        ) from error
    return record


_DAMAGE = (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError)


def _read(path: Path) -> Baseline:
    try:
        return Baseline.from_plain(json.loads(path.read_bytes()))
    except OSError as error:
        raise UsageError(f"cannot read the baseline {path}: {error.strerror}") from error
    except _DAMAGE as error:
        raise IntegrityError(
            f"the baseline {path} is damaged ({_why(error)}); restore it, or remove it and accept "
            "another run"
        ) from error


def _why(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return "it is no JSON"
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing"
    return str(error) or type(error).__name__


def _checksum(plain: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def safe_name(name: str) -> str:
    """A name as the name of a file; two different names stay different."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", name):
        return name
    short = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:60]
    return f"x{short}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
