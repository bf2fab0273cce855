"""What do Prometheus and its alerts see of backups?

Made from the facts of this host. Alerts ask how long ago something good happened, so the moments
of the last success stay when a run fails, and a job that never started shows by its age.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sre.core.facts import Facts
from sre.core.files import replace_file
from sre.core.metrics import CATALOGUE

__all__ = ["exposition", "samples", "write_metrics"]

Sample = tuple[str, Mapping[str, str], float]


def samples(facts: Facts) -> tuple[Sample, ...]:
    """(name, labels, value) of every database that this host has backed up or verified."""
    found: list[Sample] = []
    for name in facts.names("backup/"):
        fact = facts.read(name)
        make = _OF_FACT.get(name.rpartition("/")[2])
        if fact is not None and make is not None:
            db = {"db": str(fact.value.get("db", ""))}
            found += [(f"sre_backup_{n}", {**db, **more}, v) for n, more, v in make(fact.value)]
        if fact is not None and name.endswith("/log"):
            db = {"db": str(fact.value.get("db", ""))}
            found += [(f"sre_backup_{n}", db, v) for n, _, v in _of_log(fact.value, fact.at)]
    once: dict[tuple[str, tuple[tuple[str, str], ...]], Sample] = {}
    for sample in found:  # what the log tells of the RPO is newer than a verification
        once.setdefault((sample[0], tuple(sorted(sample[1].items()))), sample)
    return tuple(once.values())


def exposition(found: Iterable[Sample]) -> str:
    """The text format of Prometheus; each metric as core/metrics.py describes it."""
    by_name: dict[str, list[str]] = {}
    for name, labels, value in found:
        text = ",".join(f'{key}="{_escaped(each)}"' for key, each in sorted(labels.items()))
        by_name.setdefault(name, []).append(f"{name}{{{text}}} {value!r}")
    lines: list[str] = []
    for name in sorted(by_name):
        metric = CATALOGUE[name]
        lines += [f"# HELP {name} {metric.help}", f"# TYPE {name} {metric.type}", *by_name[name]]
    return "".join(f"{line}\n" for line in lines)


def write_metrics(path: Path, facts: Facts) -> None:
    """A file for node_exporter's textfile collector, replaced in one step."""
    replace_file(path, exposition(samples(facts)).encode(), mode=0o644)


def _of_run(value: Mapping[str, Any]) -> Iterator[Sample]:
    attempt, success = value["attempt"], value.get("success")
    yield "last_attempt_timestamp_seconds", {}, float(attempt["at"])
    yield "last_exit_code", {}, float(attempt["exit_code"])
    if value.get("rpo_target") is not None:
        yield "rpo_target_seconds", {}, float(value["rpo_target"])
    if value.get("rto_target") is not None:
        yield "rto_target_seconds", {}, float(value["rto_target"])
    if success:
        yield "last_success_timestamp_seconds", {}, float(success["at"])
        yield "recoverability_last_timestamp_seconds", {}, float(success["consistent"])
        yield "duration_seconds", {}, float(success["seconds"])
        yield "source_bytes", {}, float(success["source_bytes"])
        yield "stored_bytes", {}, float(success["stored_bytes"])


def _of_verified(value: Mapping[str, Any]) -> Iterator[Sample]:
    last = value["last"]
    level = {"level": str(last["level"])}
    yield "verified_last_result", level, float(bool(last["passed"]))
    for name, held in last["invariants"].items():
        yield "invariant_failed", {"invariant": str(name)}, float(not held)
    for number, record in value["passed"].items():
        labels = {"level": str(number)}
        yield "verified_last_success_timestamp_seconds", labels, float(record["at"])
    if last.get("upto") is not None:
        yield "rpo_current_seconds", {}, max(0.0, float(last["at"]) - float(last["upto"]))
    restored = [each for level in ("3", "4") if (each := value["passed"].get(level))]
    if restored:
        deepest = max(restored, key=lambda each: float(each["at"]))
        yield "rto_measured_seconds", {}, float(deepest["rto_seconds"])
        for phase, seconds in deepest["phases"].items():
            yield "restore_phase_seconds", {"phase": str(phase)}, float(seconds)


def _of_retention(value: Mapping[str, Any]) -> Iterator[Sample]:
    yield "restorable_verified", {}, float(value["restorable_verified"])
    yield "retained_locked_bytes", {}, float(value["retained_locked_bytes"])
    yield "orphan_bytes", {}, float(value["orphan_bytes"])


def _of_copies(value: Mapping[str, Any]) -> Iterator[Sample]:
    for store, last in value["stores"].items():
        label = {"store": str(store)}
        yield "replica_lag_seconds", label, float(last["lag_seconds"])
        if last["missing_objects"] is not None:
            yield "replica_missing_objects", label, float(last["missing_objects"])
        if last["success"] is not None:
            yield "replica_last_success_timestamp_seconds", label, float(last["success"])


def _of_keys(value: Mapping[str, Any]) -> Iterator[Sample]:
    if value["keys"]:
        yield "key_recipients", {}, float(value["recipients"])


def _of_log(value: Mapping[str, Any], at: float) -> Iterator[Sample]:
    yield "log_told_timestamp_seconds", {}, at
    yield "log_stopped", {}, float(value["state"] in {"stopped", "waiting"})
    yield "log_lag_seconds", {}, float(value["lag_seconds"])
    yield "log_gap_segments", {}, float(value["gap_segments"])
    for name, key in (
        ("log_lag_bytes", "lag_bytes"),
        ("rpo_current_seconds", "rpo_seconds"),
        ("log_recoverability_first_timestamp_seconds", "first"),
        ("log_recoverability_last_timestamp_seconds", "last"),
    ):
        if value.get(key) is not None:
            yield name, {}, float(value[key])


_OF_FACT = {
    "run": _of_run,
    "verified": _of_verified,
    "retention": _of_retention,
    "copies": _of_copies,
    "keys": _of_keys,
}


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
