"""Which levels are on, and does all of each really hold?"""

from __future__ import annotations

from dataclasses import dataclass

from sre.failover.degrade.engine import Bench
from sre.failover.degrade.hands import readings, shown
from sre.failover.degrade.layers import on_top
from sre.failover.degrade.model import Level
from sre.failover.degrade.record import Active, Record

__all__ = ["Standing", "look"]


@dataclass(frozen=True)
class Standing:
    """One level. `active` None: it is off. `wrong`: what does not hold, a line each."""

    name: str
    shows: str
    active: Active | None = None
    wrong: tuple[str, ...] = ()
    declared: bool = True


def look(bench: Bench) -> tuple[Standing, ...]:
    """Every level that is declared or on. Changes nothing. Raises IntegrityError."""
    record = bench.read()
    names = (*bench.levels, *(each.name for each in record.levels if each.name not in bench.levels))
    return tuple(_standing(bench, record, name) for name in names)


def _standing(bench: Bench, record: Record, name: str) -> Standing:
    declared, active = bench.levels.get(name), record.level(name)
    if active is None:
        return Standing(name, declared.fields.shows if declared is not None else "")
    now, silent = readings((mark.place for mark in active.marks), bench.tools)
    wrong = [f"{error}" for error in silent.values()]
    for mark in active.marks:
        wanted, there = on_top(record, mark.place), now.get(mark.place.name)
        if there is not None and wanted is not None and not there.same(wanted):
            wrong.append(f"{mark.place.name} is {shown(there)}, not {shown(wanted)}")
    wrong += _about(active, declared)
    return Standing(name, active.shows, active, tuple(wrong), declared is not None)


def _about(active: Active, declared: Level | None) -> list[str]:
    again = f"sre traffic degrade {active.name} finishes it, sre traffic restore {active.name}"
    if active.phase == "applying":
        return [f"a run was cut off while it brought this about: {again} takes it back"]
    if active.phase == "restoring":
        return [f"not all of it is back: run sre traffic restore {active.name} again"]
    if declared is None:
        return ["sre.yaml does not have this level any more"]
    return [] if active.of(declared) else ["sre.yaml says something else of this level now"]
