"""How does a list of cases read as JUnit XML, whatever stands in their texts? (pure)"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

__all__ = ["Case", "document"]

_CONTROL = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Case:
    """One test case.

    Attributes:
        group: becomes `classname`.
        tag: `failure` (the thing is bad), `error` (nobody knows) or `skipped` (not judged, and
            that is no fault); empty when it passed.
        kind: a word for machines, `message` a sentence for people.
        output: further words, also of a case that passed.
        properties: names and values.
    """

    name: str
    group: str
    seconds: float | None = None
    tag: Literal["", "failure", "error", "skipped"] = ""
    kind: str = ""
    message: str = ""
    output: str = ""
    properties: tuple[tuple[str, str], ...] = ()


def document(name: str, cases: Sequence[Case], *, seconds: float, timestamp: str) -> str:
    """One suite of these cases; `timestamp` in ISO 8601."""
    failures = sum(case.tag == "failure" for case in cases)
    errors = sum(case.tag == "error" for case in cases)
    skipped = sum(case.tag == "skipped" for case in cases)
    counts = f'tests="{len(cases)}" failures="{failures}" errors="{errors}"'
    counts += f' skipped="{skipped}"' if skipped else ""
    took, called = f'time="{seconds:.3f}"', _attribute(name)
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f"<testsuites name={called} {counts} {took}>",
            f'  <testsuite name={called} {counts} {took} timestamp="{timestamp}">',
            *(_testcase(case) for case in cases),
            "  </testsuite>",
            "</testsuites>",
            "",
        ]
    )


def _testcase(case: Case) -> str:
    took = "" if case.seconds is None else f' time="{case.seconds:.3f}"'
    head = f"    <testcase classname={_attribute(case.group)} name={_attribute(case.name)}{took}"
    inner = [*_properties(case.properties)]
    if case.tag:
        words = f"message={_attribute(case.message)}"
        if case.tag != "skipped":
            words = f"type={_attribute(case.kind)} {words}"
        inner.append(f"      <{case.tag} {words}/>")
    if case.output:
        inner.append(f"      <system-out>{escape(_clean(case.output))}</system-out>")
    return "\n".join([f"{head}>", *inner, "    </testcase>"]) if inner else f"{head}/>"


def _properties(pairs: Sequence[tuple[str, str]]) -> list[str]:
    if not pairs:
        return []
    rows = [
        f"        <property name={_attribute(name)} value={_attribute(value)}/>"
        for name, value in pairs
    ]
    return ["      <properties>", *rows, "      </properties>"]


def _attribute(value: str) -> str:
    return quoteattr(_clean(value))


def _clean(value: str) -> str:
    """XML 1.0 has no place for most control characters and for lone surrogates."""
    return _CONTROL.sub("\ufffd", value)
