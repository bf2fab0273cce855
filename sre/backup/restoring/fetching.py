"""How does the data of a backup come that another tool keeps?"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from sre.backup.catalogue import Damaged
from sre.backup.engine import Elsewhere
from sre.backup.manifest import Manifest
from sre.backup.model import Declared
from sre.backup.records import Fault
from sre.core.clock import Clock, Deadline
from sre.core.errors import IntegrityError, MissingExtra, Transient, UsageError

__all__ = ["fetch_kept", "gone_elsewhere", "kept_elsewhere", "kept_faults"]

_log = logging.getLogger(__name__)
_ASK_SECONDS = 120.0
_SECONDS = 7 * 86400.0


def kept_elsewhere(manifest: Manifest) -> bool:
    """Whether what we store is a record alone."""
    return "kept_elsewhere" in manifest.dump


def kept_faults(declared: Declared, manifest: Manifest, clock: Clock) -> tuple[Fault, ...]:
    """Whether the tool still has it. Raises Transient when it does not answer."""
    if not kept_elsewhere(manifest):
        return ()
    (problem,) = _tool(declared).missing_of([manifest.dump], Deadline.after(_ASK_SECONDS, clock))
    return (Fault(manifest.where.manifest, problem),) if problem else ()


def gone_elsewhere(
    declared: Declared, listed: Sequence[Manifest | Fault], clock: Clock
) -> dict[str, str]:
    """By id, why the tool cannot restore a backup any more.

    Where the tool cannot be asked here (a host that only looks), nothing is said of any.
    """
    found = dict[str, str]()
    kept = [each for each in listed if isinstance(each, Manifest) and kept_elsewhere(each)]
    if not kept or not isinstance(declared.database, Elsewhere):
        return found
    try:
        missing = declared.database.missing_of(
            [each.dump for each in kept], Deadline.after(_ASK_SECONDS, clock)
        )
    except (Transient, MissingExtra, UsageError) as error:
        _log.warning(
            "whether the backups of %s are still there is not known: %s", declared.name, error
        )
        return found
    return {each.id: why for each, why in zip(kept, missing, strict=True) if why}


def fetch_kept(declared: Declared, manifest: Manifest, folder: Path, clock: Clock) -> None:
    """Where a record was unpacked, let the tool put its data there.

    Raises Damaged (the tool no longer has it, or it is damaged), Transient.
    """
    if not kept_elsewhere(manifest):
        return
    try:
        _tool(declared).fetch(folder, Deadline.after(_SECONDS, clock))
    except IntegrityError as error:
        raise Damaged(Fault(manifest.where.manifest, str(error))) from error


def _tool(declared: Declared) -> Elsewhere:
    if not isinstance(declared.database, Elsewhere):
        raise UsageError(
            f"databases.{declared.name} is of kind {declared.kind}, but this backup is kept by "
            "another tool: declare it with the kind that made it"
        )
    return declared.database
