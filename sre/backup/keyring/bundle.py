"""What goes into a safe, so that a backup opens there with `age` alone?

The wrapped key, the manifest and its signature: small, and none secret by itself. With them, the
volumes and a recipient's identity, nothing else is needed.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sre.backup.audit.doing import audited
from sre.backup.job import Job
from sre.backup.keyring.holding import held_key, of_manifest
from sre.backup.keyring.names import record
from sre.backup.manifest import Manifest
from sre.backup.objects import Storage
from sre.backup.restoring.chain import chain_of
from sre.core.errors import IntegrityError, Refused, Transient, UsageError
from sre.core.files import sync_folder

__all__ = ["Bundle", "export", "plan_export"]

_READ_ME = """\
What opens the backup {id} of {db}, and every backup that it builds on.

    age -d -i IDENTITY keys/ID.age > k
    for volume in v*.zst.age; do age -d -i k "$volume"; done | zstd -dc | tar x -C data

IDENTITY is the secret key of one of:
{recipients}

The volumes stand in the store below:
{folders}

manifest.json lists every volume with its SHA-256; manifest.json.sig is its Ed25519 signature.
"""


@dataclass(frozen=True)
class Bundle:
    """What was exported."""

    id: str
    file: Path
    backups: tuple[str, ...]
    recipients: tuple[str, ...]


def export(job: Job, backup: str, to: Path) -> Bundle:
    """Write the bundle of a backup, and of all that it builds on, to a new file of mode 0600.

    Raises:
        Refused: the file exists.
        UsageError: no such backup, or the file cannot be written.
        IntegrityError: a manifest does not count, or a key is gone.
        Transient: the store does not answer.
    """
    if os.path.lexists(to):
        raise Refused(f"{to} exists and is not overwritten; name a new file")
    made, files = plan_export(job, backup, to)
    store = job.find(backup).declared.store_name
    with audited(job, store, "keys-export", *made.backups, str(to)):
        _write(to, _tar(files))
    job.note("keys exported", id=made.id, to=str(to))
    return made


def plan_export(job: Job, backup: str, to: Path) -> tuple[Bundle, dict[str, bytes]]:
    """What the bundle holds; writes nothing. Raises as `export`."""
    found = job.find(backup)
    files: dict[str, bytes] = {}
    recipients: set[str] = set()
    manifests = chain_of(found.catalogue, found.place)
    for manifest in manifests:
        data, signature = found.catalogue.signed_bytes(manifest.where)
        files[f"{manifest.id}/manifest.json"] = data
        files[f"{manifest.id}/manifest.json.sig"] = signature
        files |= _keys_of(job, found.catalogue.storage, manifest, recipients)
    text = _READ_ME.format(
        id=found.place.id,
        db=found.place.db,
        recipients="\n".join(f"    {each}" for each in sorted(recipients)),
        folders="\n".join(f"    {each.where.folder}" for each in manifests),
    )
    files["README.txt"] = text.encode()
    ids = tuple(each.id for each in manifests)
    return Bundle(found.place.id, to, ids, tuple(sorted(recipients))), files


def _keys_of(job: Job, storage: Storage, manifest: Manifest, to: set[str]) -> Mapping[str, bytes]:
    """Every form that is there and genuine, the newest under the name that stands by hand."""
    held = held_key(storage, job.backups.keys.trusted, of_manifest(manifest))
    files: dict[str, bytes] = {}
    for form in held.forms:
        data = storage.get(form.key)
        if hashlib.sha256(data).hexdigest() != form.sha256:
            raise IntegrityError(f"{form.key}: it was changed; nothing was exported")
        files.setdefault(f"keys/{manifest.id}.age", data)
        if form.number:
            files[form.key.removeprefix("v1/")] = data
            name = record(form.stem, form.number)
            files[name.removeprefix("v1/")] = storage.get(name)
        to |= set(form.recipients or ())
    if not files:
        raise IntegrityError(f"{manifest.key}: the object is missing; nothing was exported")
    return files


def _tar(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in sorted(files.items()):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o600
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _write(to: Path, data: bytes) -> None:
    """All of it or nothing, and never over something."""
    try:
        descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise Refused(f"{to} exists and is not overwritten; name a new file") from None
    except OSError as error:
        raise UsageError(f"cannot write {to}: {error.strerror}") from error
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123  a descriptor
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(to.absolute().parent)
    except BaseException as error:
        to.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise Transient(f"cannot write {to}: {error.strerror}") from error
        raise
