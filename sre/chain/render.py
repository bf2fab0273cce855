"""How do findings look, as text and as JSON? (pure)"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sre.chain.model import Finding

__all__ = ["as_json", "as_text", "counted"]


def as_text(parts: Mapping[str, Sequence[Finding]]) -> str:
    """A heading for each part, then one line for each finding, errors first."""
    lines = []
    for part, findings in parts.items():
        lines.append(f"{part}: {counted(findings)}")
        lines += [str(each) for each in findings if each.severity == "error"]
        lines += [str(each) for each in findings if each.severity == "warning"]
    return "\n".join(lines)


def as_json(checked: Sequence[str], findings: Iterable[Finding]) -> str:
    """One document of schema `sre.check/1`; `checked` names the parts that were looked at."""
    problems = [_problem(each) for each in findings]
    content = {"schema": "sre.check/1", "checked": list(checked), "problems": problems}
    return json.dumps(content, indent=2)


def counted(findings: Iterable[Finding]) -> str:
    """`good`, `2 problems, 1 warning`."""
    severities = [each.severity for each in findings]
    parts = [
        f"{count} {what}{'' if count == 1 else 's'}"
        for count, what in (
            (severities.count("error"), "problem"),
            (severities.count("warning"), "warning"),
        )
        if count
    ]
    return ", ".join(parts) or "good"


def _problem(found: Finding) -> dict[str, Any]:
    return {
        "rule": found.rule,
        "severity": found.severity,
        "path": found.path,
        "file": found.file,
        "line": found.line,
        "col": found.col,
        "message": found.message,
        "remedy": found.remedy,
    }
