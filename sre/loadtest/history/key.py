"""Can two runs be compared at all: same journeys, same load, same place, same tools?

The key of a run is a small table of words, so that a mismatch can say which part differs. It is
the same in every process and holds no secret: journeys go into it as a digest of their templates.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import re
from collections.abc import Mapping
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sre.journey.model import DataFile, FileField, Journey
from sre.journey.template import Template
from sre.loadtest.job import Job
from sre.loadtest.model import LoadTest, stages_of

__all__ = ["HOST", "differences", "digest", "host_parts", "key_of", "same_but_for", "tool_versions"]

HOST = ("cpu", "cores", "kernel")
"""The parts that name the machine which makes the load."""

_ONLY_FOR_PROBES = frozenset({"every", "budget"})


def key_of(job: Job, workers: int, versions: Mapping[str, str]) -> dict[str, str]:
    """The key of a run of `job` on this machine; versions of sre, locust and python."""
    journeys = {
        f"journey {name}": _digest_of(journey, job.shop.base_url)
        for name, journey in job.used.items()
    }
    tools = {name: versions.get(name, "unknown") for name in ("sre", "locust", "python")}
    return {
        **journeys,
        **_load_parts(job.test),
        "environment": job.shop.environment or "not declared",
        "workers": str(workers),
        **host_parts(),
        **tools,
    }


def addresses_of(base_url: str) -> re.Pattern[str]:
    """Where a text has the shop's base address: `http://shop` is not in `http://shop:8080`."""
    return re.compile(re.escape(base_url.rstrip("/")) + r"(?![A-Za-z0-9.:_@-])")


def digest(key: Mapping[str, str]) -> str:
    """The key as one SHA-256."""
    return hashlib.sha256(json.dumps(dict(key), sort_keys=True).encode()).hexdigest()


def differences(
    ours: Mapping[str, str], theirs: Mapping[str, str], leave_out: tuple[str, ...] = ()
) -> list[str]:
    """Each part that differs, in words; empty when the two can be compared."""
    found = []
    for part in dict.fromkeys([*theirs, *ours]):
        before, now = theirs.get(part), ours.get(part)
        if before == now or part in leave_out:
            continue
        if part.startswith("journey "):
            what = "is new" if before is None else "is gone" if now is None else "was changed"
            found.append(f"{part} {what}")
        else:
            found.append(f"{part}: {before or 'nothing'} before, {now or 'nothing'} now")
    return found


def same_but_for(ignore_host: bool, seed: bool = False) -> tuple[str, ...]:  # noqa: FBT001, FBT002
    """The parts to leave out of a comparison."""
    return (*(HOST if ignore_host else ()), *(("seed",) if seed else ()))


def tool_versions() -> dict[str, str]:
    """Of Python and of what makes the load."""
    found = {"python": platform.python_version()}
    for package in ("sre", "locust", "pycurl"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def host_parts() -> dict[str, str]:
    """This machine: model and number of its CPUs, and its kernel."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cpu": _cpu_model(), "cores": str(cores), "kernel": platform.release()}


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine() or "unknown"


def _load_parts(test: LoadTest) -> dict[str, str]:
    stages = ", ".join(f"{s.label} for {s.seconds:g}s" for s in stages_of(test))
    mix = ", ".join(f"{name} {float(rate):g}/s" for name, rate in test.mix.items())
    return {
        "mix": mix or f"{test.users} users",
        "stages": stages,
        "arrivals": "closed" if test.closed else test.arrivals,
        "warm-up": f"{float(test.warmup):g}s",
        "max_in_flight": str(test.max_in_flight),
        "trace": "on" if test.trace else "off",
        "seed": str(test.seed),
    }


def _digest_of(journey: Journey, base_url: str) -> str:
    plain = _plain(journey, addresses_of(base_url))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def _plain(value: Any, base: re.Pattern[str]) -> Any:
    """JSON-ready and the same in every process: no set order, no address, no secret."""
    if isinstance(value, Template):
        return base.sub("${base_url}", value.text)
    if isinstance(value, DataFile):  # what is in the rows may be secret, and is changed daily
        return [value.file, list(value.columns), len(value.rows), value.pick]
    if isinstance(value, FileField):
        content = hashlib.sha256(value.content).hexdigest()
        return [value.name, _plain(value.template, base), value.filename, content]
    if isinstance(value, re.Pattern):
        return [value.pattern, value.flags]
    if isinstance(value, Enum):
        return str(value.value)
    if dataclasses.is_dataclass(value):
        return {
            field.name: _plain(getattr(value, field.name), base)
            for field in dataclasses.fields(value)
            if field.init  # the others follow from these
            and not (isinstance(value, Journey) and field.name in _ONLY_FOR_PROBES)
        }
    return _plain_container(value, base)


def _plain_container(value: Any, base: re.Pattern[str]) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item, base) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((_plain(item, base) for item in value), key=str)
    if isinstance(value, list | tuple):
        return [_plain(item, base) for item in value]
    if isinstance(value, str):
        return base.sub("${base_url}", value)
    return value if isinstance(value, int | float | None) else type(value).__name__
