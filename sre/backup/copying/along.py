"""What comes along with copied backups: verifications, marks, and the record of changes?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sre.backup.copying.beside import copy_attestations
from sre.backup.copying.marks import copy_audit, copy_hold, copy_quarantine, copy_shredded
from sre.backup.copying.transfer import Side
from sre.backup.manifest import Manifest
from sre.backup.records import Fault

__all__ = ["Along", "bring_along"]


@dataclass
class Along:
    """How many of each were new at the target, and what is wrong."""

    verifications: int = 0
    marks: int = 0
    audit: int = 0
    problems: list[Fault] = field(default_factory=list)


def bring_along(
    source: Side,
    target: Side,
    plain: Side,
    there: Iterable[Manifest],
    shredded: Iterable[Manifest],
    trusted: tuple[str, ...],
) -> Along:
    """Of backups that the target has, and of those that are shredded in one of the stores.

    `plain` is the target without object locks: a mark is taken away or replaced one day.
    """
    found = Along()
    for each in there:
        new, problems = copy_attestations(source, target, each.id, trusted)
        found.verifications, found.problems = found.verifications + new, found.problems + problems
        found.marks += copy_hold(source, plain, each.where)
        found.marks += copy_quarantine(source, plain, each, trusted)
    for each in shredded:
        found.marks += copy_shredded(source, plain, each.where, trusted)
    found.audit, problems = copy_audit(source, target)
    found.problems += problems
    return found
