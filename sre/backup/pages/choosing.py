"""Which backups of a database are there to build on, and what opens their maps?

A sidecar is encrypted to an identity that is derived from the signing key: whoever may sign backups
may compare with them, and still cannot read one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import pyrage
import zstandard

from sre.backup.attest import all_of, failed_at
from sre.backup.catalogue import Catalogue, Damaged
from sre.backup.engine import Source
from sre.backup.job import Job
from sre.backup.layout import stamp
from sre.backup.manifest import Manifest
from sre.backup.model import Declared, Keys
from sre.backup.objects import Storage
from sre.backup.opening import missing_objects
from sre.backup.pages.choose import Choice, choose
from sre.backup.pages.identity import opener
from sre.backup.pages.map import Sidecar, encode, merge
from sre.core.errors import IntegrityError

__all__ = ["Base", "choice_for", "opened_base"]


@dataclass(frozen=True)
class Base:
    """What a backup is compared with.

    Attributes:
        map: an open file with the merged map; None when the parent has none.
        server: the server's own manifest of the parent; empty when it was not kept.
    """

    map: IO[bytes]
    server: bytes


def choice_for(job: Job, declared: Declared, source: Source, kind: str) -> Choice:
    """What a backup of `kind` builds on now. Raises Transient (the store does not answer)."""
    if kind == "full":
        return Choice()
    if source.engine != "postgres":
        return Choice(reason="backups of this kind of database are always full ones")
    catalogue = job.catalogue(declared)
    standing = catalogue.standing(declared.name)
    places = catalogue.places(declared.name)
    here = [place.id for place in places if place.system == source.place]
    committed = [id_ for id_ in standing.order if id_ in here]
    for newest in (*committed[-1:], *here[-1:]):  # by the store's clock, and by the hosts'
        if newest in standing.unusable:
            return Choice(reason=f"the newest backup, {newest}: {standing.unusable[newest]}")
    found = [each for each in standing.usable if each.id in here]
    return choose(kind, found, source.timeline, _against(catalogue))


def _against(catalogue: Catalogue) -> Callable[[Manifest], str]:
    def problem(manifest: Manifest) -> str:
        storage, place = catalogue.storage, manifest.where
        if storage.head(place.mark("expiring")) is not None:
            return "it is being deleted"
        try:
            catalogue.manifest(place)  # what was believed so far may come from the index
        except Damaged as error:
            return str(error)
        failed = failed_at(all_of(catalogue, manifest.id).get(manifest.id, []))
        if failed is not None:
            return f"its verification failed on {stamp(failed)}"
        missing = missing_objects(storage, manifest)
        return f"{missing[0].object}: {missing[0].problem}" if missing else ""

    return problem


@contextlib.contextmanager
def opened_base(storage: Storage, chain: Sequence[Manifest], keys: Keys) -> Iterator[Base]:
    """The maps of a chain as one, in a file without a name.

    Raises:
        IntegrityError: a sidecar is missing, was changed, or was made with another signing key.
    """
    sidecars = [read_sidecar(storage, each, keys) for each in chain]
    with tempfile.TemporaryFile() as file:
        for piece in encode(sidecars[0].key, merge(sidecars)):
            file.write(piece)
        file.flush()
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        yield Base(file, sidecars[-1].server)


def read_sidecar(storage: Storage, manifest: Manifest, keys: Keys) -> Sidecar:
    """The sidecar of a backup. Raises IntegrityError, which names the object."""
    told = manifest.sidecar
    if told is None:
        raise IntegrityError(f"{manifest.id} has no map of its pages")
    try:
        data = storage.get(told.object)
    except KeyError:
        raise IntegrityError(f"{told.object}: the object is missing") from None
    if len(data) != told.bytes or hashlib.sha256(data).hexdigest() != told.sha256:
        raise IntegrityError(f"{told.object}: it is not the one that the manifest names")
    try:
        packed = pyrage.decrypt(data, [pyrage.x25519.Identity.from_str(opener(keys.signing))])
        expand = zstandard.ZstdDecompressor().decompressobj(read_across_frames=True)
        plain = expand.decompress(packed)  # a frame holds a MiB of it
    except pyrage.DecryptError:
        raise IntegrityError(
            f"{told.object}: keys.signing here does not open it; another host's key made it"
        ) from None
    except zstandard.ZstdError as error:
        raise IntegrityError(f"{told.object}: {error}") from error
    if len(plain) != told.plain_bytes:
        raise IntegrityError(f"{told.object}: what it holds is not what the manifest says")
    try:
        return Sidecar.parse(plain)
    except IntegrityError as error:
        raise IntegrityError(f"{told.object}: {error}") from error
