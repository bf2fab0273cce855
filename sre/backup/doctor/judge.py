"""What follows from what a store does: which features, which exit code? (pure)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sre.backup.doctor.model import Report, Result

__all__ = [
    "CAPABILITIES",
    "CHECKSUMS",
    "capability",
    "degraded",
    "exit_code",
    "failed",
    "undecided",
]

CAPABILITIES: Mapping[str, tuple[str, ...]] = {
    "conditional_put": ("create-once", "create-race"),
    "conditional_complete": ("create-once-multipart",),
    "renew": ("renew", "renew-race"),
    "conditional_delete": ("conditional-delete",),
    "object_lock": ("object-lock", "lock-governance", "lock-compliance", "lock-multipart"),
    "legal_hold": ("object-lock", "legal-hold"),
    "versioning": ("versioning",),
    "sha256": ("sha256-put", "sha256-part"),
    "md5": ("md5-put", "md5-part"),
    "multipart": ("multipart", "part-missing", "unfinished-invisible"),
    "abort": ("abort", "list-uploads"),
    "delete": ("delete",),
    "delete_many": ("delete-many",),
    "server_date": ("server-date",),
}
"""A feature others may ask for -> the checks that must all hold."""

CHECKSUMS = ("sha256-put", "md5-put")
"""One of them must be enforced, else damage on the way to the store is taken for data."""


def capability(results: Sequence[Result], name: str) -> bool | None:
    """Whether a feature can be relied on; None when that could not be found out."""
    states = {each.name: each.state for each in results}
    needed = [states.get(check) for check in CAPABILITIES[name]]
    if any(state in {"absent", "broken", "denied"} for state in needed):
        return False
    return True if all(state == "holds" for state in needed) else None


def failed(report: Report) -> tuple[Result, ...]:
    """The checks by which no backup is safe there."""
    bad = [r for r in report.results if r.severity == "data" and r.state in {"absent", "broken"}]
    sums = [r for r in report.results if r.name in CHECKSUMS]
    if len(sums) == len(CHECKSUMS) and all(r.state in {"absent", "broken"} for r in sums):
        bad += sums
    return tuple(bad)


def undecided(report: Report) -> tuple[Result, ...]:
    """Checks that data safety depends on and that gave no answer."""
    return tuple(r for r in report.results if r.severity == "data" and r.state == "unknown")


def degraded(report: Report) -> tuple[Result, ...]:
    """What does not hold, or is not known, and something that depends on it is switched off."""
    off, worse = {"absent", "broken", "denied", "unknown"}, failed(report)
    return tuple(
        r for r in report.results if r.severity == "feature" and r.state in off and r not in worse
    )


def exit_code(report: Report) -> int:
    """1 unsafe, 5 no rights, 4 not found out, 3 degraded, else 0; the first that applies."""
    if failed(report):
        return 1
    if any(r.severity == "data" and r.state == "denied" for r in report.results):
        return 5
    if undecided(report):
        return 4
    return 3 if degraded(report) else 0
