"""Who holds a backup, and which ones are being deleted?

A hold is not signed: whoever adds one keeps something, and taking it away needs the right to
delete. The mark of a deletion carries the signed manifest, which is gone by then: with it the next
run finishes, and nobody can pass off a backup in the making as one that is being deleted.
"""

from __future__ import annotations

import base64
import getpass
from dataclasses import dataclass

from sre.backup.audit.doing import audited
from sre.backup.catalogue import Catalogue
from sre.backup.job import Job
from sre.backup.keys import signed_by_trusted
from sre.backup.layout import Place, stamp
from sre.backup.manifest import Manifest, canonical, parse_manifest
from sre.backup.objects import Storage
from sre.backup.strict import strict_json
from sre.core.errors import IntegrityError, UsageError

__all__ = ["Hold", "believed_rest", "expiring", "hold", "hold_of", "release"]

_HOLD = "sre.hold/1"
_EXPIRING = "sre.expiring/1"


@dataclass(frozen=True)
class Hold:
    """Why a backup is kept whatever the policy says. `new` is False when it was held before."""

    id: str
    reason: str
    at: str
    by: str
    new: bool = True


def hold(job: Job, backup: str, reason: str) -> Hold:
    """Keep a backup until it is released. Raises UsageError (no such backup, no reason)."""
    if not reason.strip():
        raise UsageError("say why with --reason, so that somebody can release it one day")
    found = job.find(backup)
    storage, place = found.catalogue.storage, found.place
    held = hold_of(storage, place)
    if held is not None:
        return held
    made = Hold(place.id, reason.strip(), stamp(job.clock.wall()), _user())
    content = {"schema": _HOLD, "id": made.id, "reason": made.reason, "at": made.at, "by": made.by}
    with audited(job, found.declared.store_name, "hold", place.id, f"reason: {made.reason}"):
        storage.put(place.mark("hold"), canonical(content))
    job.note("backup held", id=made.id, reason=made.reason)
    return made


def release(job: Job, backup: str) -> Hold | None:
    """Let retention judge it again; what held it, None when nothing did."""
    found = job.find(backup)
    storage, place = found.catalogue.storage, found.place
    held = hold_of(storage, place)
    if held is not None:
        with audited(job, found.declared.store_name, "release", place.id):
            storage.delete(place.mark("hold"))
        job.note("backup released", id=place.id, reason=held.reason)
    return held


def hold_of(storage: Storage, place: Place) -> Hold | None:
    """The hold on a backup. One that cannot be read holds too."""
    try:
        data = storage.get(place.mark("hold"))
    except KeyError:
        return None
    try:
        found = strict_json(data)
        return Hold(place.id, str(found["reason"]), str(found["at"]), str(found["by"]), new=False)
    except (ValueError, KeyError, TypeError):
        return Hold(place.id, "the mark cannot be read", "?", "?", new=False)


def expiring(data: bytes, signature: bytes) -> bytes:
    """The mark of a deletion: what its manifest said."""
    content = {
        "schema": _EXPIRING,
        "manifest": base64.b64encode(data).decode(),
        "signature": signature.hex(),
    }
    return canonical(content)


def believed_rest(catalogue: Catalogue, backup: str) -> Manifest | None:
    """The manifest in the mark of a deletion; None when it proves nothing."""
    try:
        found = strict_json(catalogue.storage.get(f"v1/marks/{backup}/expiring.json"))
        data = base64.b64decode(found["manifest"], validate=True)
        signature = bytes.fromhex(found["signature"])
        if found["schema"] != _EXPIRING or not signed_by_trusted(
            data, signature, catalogue.trusted
        ):
            return None
        said = strict_json(data)
        return parse_manifest(data, Place(said["db"], said["place"], backup))
    except (KeyError, ValueError, TypeError, AttributeError, IntegrityError):
        return None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "?"
