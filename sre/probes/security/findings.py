"""Which findings are there, how bad is each, and what is the verdict on several? (pure)"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

from sre.journey.result import Outcome, Reason
from sre.probes.facts import Facts
from sre.probes.model import Gauge

__all__ = ["CHECKS", "FACTS", "Findings", "Level", "Severity", "judge"]

Level = Literal["high", "medium", "low", "never"]


class Severity(IntEnum):
    """How bad: high is an open door, medium a lock that is missing, low a hint to a burglar."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3


_LOW, _MEDIUM, _HIGH = Severity.LOW, Severity.MEDIUM, Severity.HIGH

CHECKS: Mapping[str, Severity] = {
    "plain_http": _HIGH,
    "http_not_redirected": _HIGH,
    "tls_outdated": _HIGH,
    "hsts_missing": _MEDIUM,
    "hsts_short": _LOW,
    "csp_missing": _MEDIUM,
    "csp_unsafe_inline": _LOW,
    "framing_allowed": _MEDIUM,
    "nosniff_missing": _LOW,
    "referrer_policy_missing": _LOW,
    "permissions_policy_missing": _LOW,
    "version_banner": _LOW,
    "session_cookie_insecure": _HIGH,
    "session_cookie_readable": _MEDIUM,
    "session_cookie_cross_site": _MEDIUM,
    "cors_credentials": _HIGH,
    "mixed_content_active": _HIGH,
    "mixed_content_passive": _MEDIUM,
    "exposed_repository": _HIGH,
    "exposed_environment": _HIGH,
    "exposed_database": _HIGH,
    "exposed_backup": _HIGH,
    "exposed_private_key": _HIGH,
    "exposed_actuator": _HIGH,
    "exposed_extra": _HIGH,
    "exposed_phpinfo": _MEDIUM,
    "exposed_server_status": _MEDIUM,
    "exposed_folder_file": _LOW,
    "directory_listing": _MEDIUM,
}
"""Every finding that there is: it is a label, so the list is closed."""

FACTS = Facts(
    "security",
    (
        "finding",
        "Whether a weakness was seen (1) or looked for and not seen (0).",
        "check",
        "severity",
    ),
    ("unchecked", "Weaknesses that could not be looked for in this run."),
    ("requests_sent", "Requests and handshakes that the run made."),
)

_LEVELS = {"low": 1, "medium": 2, "high": 3, "never": 4}


@dataclass
class Findings:
    """What was looked at so far: a check -> what was seen, empty when nothing was."""

    ignore: frozenset[str] = frozenset()
    seen: dict[str, list[str]] = field(default_factory=dict)
    blind: set[str] = field(default_factory=set)

    def looked(self, *checks: str) -> None:
        """These were looked at; nothing was seen unless `found` says so."""
        for check in checks:
            if check not in self.ignore:
                self.seen.setdefault(check, [])

    def found(self, check: str, what: str) -> None:
        """It is there; `what` is for people."""
        if check not in CHECKS:
            raise KeyError(check)
        if check not in self.ignore and what not in self.seen.setdefault(check, []):
            self.seen[check].append(what)

    def unchecked(self, *checks: str) -> None:
        """These could not be looked at, unless something else did."""
        self.blind |= set(checks) - self.ignore

    def gauges(self) -> Iterable[Gauge]:
        """0 or 1 for each check that was looked at."""
        for check, what in sorted(self.seen.items()):
            severity = CHECKS[check].name.lower()
            yield FACTS("finding", bool(what), check=check, severity=severity)
        yield FACTS("unchecked", len(self.blind - set(self.seen)))


def judge(findings: Findings, fail_on: Level, degrade_on: Level) -> tuple[Outcome, Reason, str]:
    """Failed for findings as bad as `fail_on`, degraded for those as bad as `degrade_on`."""
    bad = sorted(
        ((CHECKS[check], check, what) for check, what in findings.seen.items() if what),
        key=lambda row: (-row[0], row[1]),
    )
    for outcome, level in ((Outcome.FAILED, fail_on), (Outcome.DEGRADED, degrade_on)):
        counted = [row for row in bad if row[0] >= _LEVELS[level]]
        if counted:
            worst = [row for row in bad if row[0] >= min(_LEVELS[fail_on], _LEVELS[degrade_on])]
            return outcome, Reason.STATUS, "; ".join(_words(*row) for row in worst)
    return Outcome.OK, Reason.NONE, ""


def _words(severity: Severity, check: str, what: list[str]) -> str:
    told = ", ".join(what[:3]) + (f" and {len(what) - 3} more" if len(what) > 3 else "")
    return f"{check} ({severity.name.lower()}): {told}"
