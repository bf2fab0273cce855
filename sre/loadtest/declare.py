"""What does `loadtests:` of a declaration come to, with the journeys that it names?"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable

from sre.core.config import Entry, Node, Position, Problems, decode
from sre.core.errors import Problem
from sre.journey.model import Journey
from sre.loadtest.model import LoadTest, check_name, stages_of
from sre.loadtest.thresholds import Names, parse_threshold
from sre.loadtest.truth.crosscheck import Fault, faults_of

__all__ = ["declare", "read_by_ledger"]


def declare(
    node: Node | None,
    journeys: dict[str, Journey],
    kinds: dict[str, str],
    promised: Collection[str],
    problems: Problems,
) -> dict[str, LoadTest]:
    """All load tests, every problem at its line. Contacts nothing.

    Args:
        kinds: name -> kind of the databases that are declared.
        promised: journeys that an objective is about.
    """
    made: dict[str, LoadTest] = {}
    for name, entry in (node.entries if node else {}).items():
        where, item = f"loadtests.{name}", entry.value
        _name(name, entry, where, problems)
        test = decode(LoadTest, item, where=where, problems=problems)
        if test is None:
            continue
        mix = item.get("mix") or item
        chosen = test.mix or dict.fromkeys(test.journeys or journeys)
        for journey in chosen:
            if journey not in journeys:
                at = mix.key(journey)
                problems.add(at, f"{where}.mix", _unknown("journey", journey, journeys))
        known = {j: journeys[j] for j in chosen if j in journeys}
        names = Names(
            {j: [(s.name, s.group) for s in known[j].all_steps] for j in known},
            [stage.name for stage in stages_of(test)],
        )
        _thresholds(test, names, item.get("thresholds") or item, where, problems)
        if test.abort_on_burn and not chosen.keys() & set(promised):
            at = item.get("abort_on_burn") or item
            what = "no objective is about a journey of this test; add one under objectives"
            problems.add(at, f"{where}.abort_on_burn", what)
        _regression(test, names, item.get("regression"), where, problems)
        _truth(faults_of(test, known, kinds), item, where, problems)
        made[name] = test
    return made


def _name(name: str, entry: Entry, where: str, problems: Problems) -> None:
    try:
        check_name(name)
    except ValueError as error:
        problems.add(entry.key, where, str(error))


def _thresholds(test: LoadTest, names: Names, node: Node, where: str, problems: Problems) -> None:
    for index, expression in enumerate(test.thresholds):
        try:
            names.resolve(parse_threshold(expression))
        except ValueError as error:
            problems.add(node.elements[index], f"{where}.thresholds[{index}]", str(error))


def _regression(
    test: LoadTest, names: Names, node: Node | None, where: str, problems: Problems
) -> None:
    found = node.get("metric") if node is not None else None
    if test.regression is None or found is None:
        return
    for index, metric in enumerate(test.regression.metrics):
        try:
            metric.resolve(names)
        except ValueError as error:
            at = found.elements[index] if found.elements else found
            problems.add(at, f"{where}.regression.metric", str(error))


def read_by_ledger(warning: Problem, tests: dict[str, LoadTest]) -> bool:
    """Whether it says that nothing reads a value, and the ledger of a load test does."""
    found = re.fullmatch(r"journeys\.([^.]+)\..+\.extract\.([^.]+)", warning.path)
    invariants = [each for test in tests.values() for each in test.invariants]
    return found is not None and any(
        (term.journey, term.name) == found.groups() for each in invariants for term in each.terms
    )


def _truth(faults: Iterable[Fault], item: Node, where: str, problems: Problems) -> None:
    for fault in faults:
        section = item.get(fault.section) or item
        problems.add(_at(section, fault), f"{where}.{_path_of(fault)}", fault.text)


def _at(section: Node, fault: Fault) -> Position:
    if isinstance(fault.entry, str):
        return section.key(fault.entry)
    entry = section.elements[fault.entry] if section.elements else section
    return entry.get(fault.key) or entry


def _path_of(fault: Fault) -> str:
    entry = f".{fault.entry}" if isinstance(fault.entry, str) else f"[{fault.entry}].{fault.key}"
    return f"{fault.section}{entry}"


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names) or 'none'}"
    return f"there is no {what} {name!r}; {hint}"
