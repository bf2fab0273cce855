"""How does a restored copy get the log that was archived after its backup?

Where the tier archives, a restore leads to the end of the log, not to the end of the backup: so
does a verification. The log is fetched into the folder from which the scratch server replays it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sre.backup.catalogue import Damaged
from sre.backup.job import Job, Target
from sre.backup.log.lsn import format_lsn, parse_lsn
from sre.backup.log.reading import LogReader
from sre.backup.manifest import Manifest
from sre.backup.records import Fault, Replay
from sre.backup.recovery.settings import LOG_FOLDER
from sre.backup.verifying.findings import Findings
from sre.core.errors import CheckFailed

__all__ = ["fetch_log"]


def fetch_log(
    job: Job,
    found: Target,
    manifest: Manifest,
    folder: Path,
    findings: Findings,
    progress: Callable[[int], None],
) -> None:
    """Everything from the end of the backup to the end of the log; holes and damage are findings.

    Raises Transient (the store, a full disk).
    """
    stop, timeline = manifest.dump.get("stop_lsn"), manifest.dump.get("timeline")
    if not found.declared.tier.archive or stop is None or timeline is None:
        return
    place = found.place
    reader = LogReader(found.catalogue.storage, job.backups.keys, f"v1/{place.db}/{place.system}/")
    try:
        with findings.phase("download_log"):
            if not reader.segments() and not reader.items:
                findings.notes.append(
                    "the tier says archive: true, and there is no log in the store: "
                    f"sre backup archive {place.db}"
                )
                return
            start = parse_lsn(str(stop))
            findings.faults += _holes(reader, int(timeline), start)
            got = reader.fetch(start, int(timeline), None, folder / LOG_FOLDER, progress=progress)
    except Damaged as error:
        findings.faults.append(error.fault)
    except CheckFailed as error:
        findings.failures.append(Fault("archived log", str(error)))
    else:
        findings.replay = Replay(format_lsn(got.end), got.timeline, got.bytes, got.upto)


def _holes(reader: LogReader, timeline: int, start: int) -> list[Fault]:
    return [
        Fault(
            f"{reader.place.folder}{gap.first}",
            f"{gap.segments} segments of the archived log are missing from here on: nothing later "
            "can be restored; take a full backup now",
        )
        for gap in reader.coverage(timeline, start).gaps
    ]
