"""What does a backup build on, and how do they become one folder together?"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sre.backup.catalogue import Catalogue, Damaged
from sre.backup.layout import Place
from sre.backup.manifest import Manifest
from sre.backup.model import Keys
from sre.backup.opening import Sealed, missing_objects, secret_of
from sre.backup.pages.servers import check_folder
from sre.backup.records import Fault
from sre.backup.restoring.landing import give
from sre.backup.restoring.patching import change
from sre.backup.restoring.unpack import extract
from sre.core.errors import IntegrityError

__all__ = ["Chain", "chain_of", "extract_chain", "extract_surely", "open_chain"]

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Chain:
    """A backup with everything that it builds on, opened.

    Attributes:
        links: the full one first, the wanted one last.
    """

    links: tuple[Sealed, ...]

    @property
    def manifest(self) -> Manifest:
        """Of the wanted one."""
        return self.links[-1].manifest

    @property
    def read_bytes(self) -> int:
        """Plaintext bytes that a restore reads, of all links together."""
        return sum(volume.plain_bytes for each in self.links for volume in each.manifest.volumes)


def chain_of(catalogue: Catalogue, place: Place) -> tuple[Manifest, ...]:
    """The manifests of a backup and of all that it builds on, the full one first.

    Raises:
        Damaged: one of them is missing, changed or not by a trusted key, or they do not end.
    """
    found = [catalogue.manifest(place)]
    while (parent := found[-1].parent) is not None:
        if any(each.id == parent for each in found):
            raise Damaged(Fault(found[-1].where.manifest, "it builds on itself"))
        found.append(catalogue.manifest(Place(place.db, place.system, parent)))
    return tuple(reversed(found))


def open_chain(catalogue: Catalogue, place: Place, keys: Keys) -> Chain:
    """The chain of a backup, every object of it there and every key of it opened.

    Raises:
        Damaged: an object is missing or has another size, a manifest or a key is not genuine.
    """
    links = []
    for manifest in chain_of(catalogue, place):
        for fault in missing_objects(catalogue.storage, manifest):
            raise Damaged(fault)
        secret = secret_of(catalogue.storage, manifest, keys)
        links.append(Sealed(catalogue.storage, manifest, secret))
    return Chain(tuple(links))


def extract_surely(
    chain: Chain, folder: Path, owner: int | None, progress: Progress
) -> tuple[Fault, ...]:
    """As `extract_chain`; damage counts when a second download has it too."""
    faults = extract_chain(chain, folder, owner, progress)
    if not faults:
        return ()
    shutil.rmtree(folder)
    folder.mkdir(mode=0o700)
    return extract_chain(chain, folder, owner, progress)


def extract_chain(
    chain: Chain, folder: Path, owner: int | None, progress: Progress
) -> tuple[Fault, ...]:
    """Unpack a whole chain into an empty folder; what is wrong with it. Raises as `extract`.

    The full one, then each further one applied in place. What comes of it is compared, file by
    file, with the checksums that the server gave at the last one.
    """
    full, *others = chain.links
    if full.manifest.sidecar is None:
        faults = extract(full, folder, None if others else owner, progress)
    else:  # its tar was read page by page when it was made, so that we can read it again
        faults = change(full, folder, progress)
        if not faults and not others and owner is not None:
            give(folder, owner)
    for link in others:
        faults = faults or change(link, folder, progress)
    if faults or not others:
        return faults
    try:
        problems = check_folder(str(folder))
    except IntegrityError as error:
        problems = (str(error),)
    if not problems and owner is not None:
        give(folder, owner)
    return tuple(Fault(f"{chain.manifest.id}, restored", problem) for problem in problems)
