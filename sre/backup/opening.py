"""How do volumes come back from a store, each byte checked, into a tar or into nothing?

    download (thread) ─► frames ─► unseal (child: age, zstd, hashes) ─► tar, or a folder

The plaintext never passes through us, and nobody may use it before this has returned no fault.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import IO, Any

from sre.backup.ahead import Ahead, ahead
from sre.backup.catalogue import Damaged
from sre.backup.condition import condition_of
from sre.backup.frames import DATA, END, LAST, write_frame, write_record
from sre.backup.intake import wide
from sre.backup.keyring.holding import held_key, of_manifest, open_held
from sre.backup.keyring.names import family, parse_key
from sre.backup.manifest import Manifest, Volume
from sre.backup.model import Keys
from sre.backup.objects import Storage
from sre.backup.outlet import Folder, Into, Output
from sre.backup.programs import STREAMING, UNUSABLE, Tail, python_program
from sre.backup.records import Fault
from sre.core.child import PIPE, Child
from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, Transient

__all__ = ["Sealed", "missing_objects", "open_volumes", "secret_of"]

_END_SECONDS = 600.0
_HASHES = ("blake3", "sha256")

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Sealed:
    """A backup and what opens it."""

    storage: Storage
    manifest: Manifest
    secret: str


def missing_objects(storage: Storage, manifest: Manifest) -> tuple[Fault, ...]:
    """Objects of a backup that are not there, or not as long as its manifest says."""
    found = {each.key: each.size for each in storage.list(manifest.where.folder)}
    key = storage.head(manifest.key)
    if key is not None:
        found[key.key] = key.size
    wanted = {manifest.key: manifest.key_bytes}
    wanted |= {volume.object: volume.bytes for volume in manifest.volumes}
    if found.get(manifest.key) != manifest.key_bytes and _has_successors(storage, manifest.id):
        del wanted[manifest.key]
    faults = [_size_fault(name, size, found.get(name)) for name, size in wanted.items()]
    mark = manifest.where.mark("shredded")
    if key is None and manifest.key in wanted and storage.head(mark) is not None:
        faults[0] = Fault(manifest.key, f"the backup was shredded on purpose: {mark} says why")
    return tuple(fault for fault in faults if fault is not None)


def _has_successors(storage: Storage, backup: str) -> bool:
    """Whether the key was wrapped again; which of those counts is asked when it is opened."""
    names = (parse_key(each.key) for each in storage.list(family(backup)))
    return any(name is not None and name.number and name.what == "age" for name in names)


def _size_fault(key: str, wanted: int, found: int | None) -> Fault | None:
    if found is None:
        return Fault(key, "the object is missing")
    if found != wanted:
        return Fault(key, f"it has {found} bytes, the manifest says {wanted}: cut, or swapped")
    return None


def secret_of(storage: Storage, manifest: Manifest, keys: Keys) -> str:
    """The backup's own secret. Raises Damaged, which names the key's object."""
    gone = condition_of(storage, keys.trusted, manifest.where, "shredded")
    if gone is not None:
        raise Damaged(Fault(manifest.key, f"{gone}; nothing opens this backup any more"))
    found = open_held(storage, held_key(storage, keys.trusted, of_manifest(manifest)), keys)
    if isinstance(found, Fault):
        raise Damaged(found)
    return found[0]


_CHANGED = "its SHA-256 is not the one in the manifest: changed, or another backup's"


@dataclass(frozen=True)
class _Sent:
    """A volume that the child was given, and what the download already showed.

    `taken`: the child was there to the end of it.
    """

    volume: Volume
    fault: Fault | None
    taken: bool


def open_volumes(
    sealed: Sealed,
    *,
    into: Into | None = None,
    progress: Progress = lambda _count: None,
) -> tuple[Fault, ...]:
    """Read every volume; what is wrong with them.

    With `into` the plaintext goes there in order and the first fault ends it; without, everything
    is read and only checked, and a bad download is tried once more.

    Raises:
        Transient: the disk is full, or the store does not answer.
        CheckFailed: what every hash says is genuine cannot become the files of that folder.
    """
    said, results = Tail(), list[dict[str, Any]]()

    def take(line: str) -> None:
        if line.startswith("{"):
            results.append(json.loads(line))
        else:
            said(line)

    descriptor = into.descriptor if isinstance(into, Output) else None
    child = Child(
        _program(into), env=STREAMING, stdin=PIPE, stdout=descriptor, stderr=take, grace=1.0
    )
    with child:
        sent = _send_all(child, sealed, stop=into is not None, progress=progress)
        code = child.wait(Deadline.after(_END_SECONDS))
    faults = _faults(sent, results)
    if not faults and code == UNUSABLE:
        raise _not_taken(into, said)
    if not faults and (code != 0 or len(results) != len(sent)):
        how = (
            f"was ended by signal {-code}" if code and code < 0 else f"ended with exit code {code}"
        )
        raise CheckFailed(f"the program that opens volumes {how}, run it again: {said.text()}")
    return faults


def _program(into: Into | None) -> list[str]:
    match into:
        case None:
            words = ["--check"]
        case Folder(path, native):
            words = ["--into", path, *(["--native"] if native else [])]
        case Output():
            words = []
    return python_program("sre.backup.unseal", *words)


def _not_taken(into: Into | None, said: Tail) -> Transient | CheckFailed:
    text = said.text()
    if "No space left" in text:
        return Transient(f"the disk is full: {text}")
    if isinstance(into, Folder):
        return CheckFailed(f"the backup does not become files: {text}")
    return CheckFailed(f"nobody reads the tar any more: {text}")


def _send_all(child: Child, sealed: Sealed, *, stop: bool, progress: Progress) -> list[_Sent]:
    pipe, sent, volumes = child.stdin, list[_Sent](), sealed.manifest.volumes
    assert pipe is not None  # noqa: S101  made with PIPE
    wide(pipe.fileno())
    downloads = [partial(sealed.storage.stream, volume.object) for volume in volumes]
    try:
        write_record(pipe, DATA, _needed(sealed))
        with Ahead(downloads) as begun:
            for volume, download in zip(volumes, downloads, strict=True):
                one = _send(pipe, begun.next(), volume)
                sent.append(one)
                if one.fault is not None and not stop:
                    one = _send(pipe, ahead(download), volume)
                    sent.append(one)
                if not one.taken:
                    return sent
                progress(volume.plain_bytes)
                if stop and one.fault is not None:
                    pipe.close()  # without the last frame: the child ends, and not with 0
                    return sent
        write_record(pipe, LAST, {})
        pipe.close()
    except BrokenPipeError:  # it ended: its words or its exit code say why
        pass
    return sent


def _needed(sealed: Sealed) -> dict[str, Any]:
    """What the child must know: the secret, and which hashes are in the manifest."""
    volumes = sealed.manifest.volumes
    named = {name for each in volumes for name in _HASHES if getattr(each, f"plain_{name}")}
    return {"identity": sealed.secret, "hashes": sorted(named)}


def _send(pipe: IO[bytes], pieces: Iterator[bytes], volume: Volume) -> _Sent:
    """One volume, handed on as it comes; what is wrong with its bytes.

    Where the child ends before it has all of them they are read to the end all the same: it may
    have ended because they are another volume's.
    """
    hashed, size, taken = hashlib.sha256(), 0, True
    fault: Fault | None = None
    try:
        for piece in pieces:
            taken = taken and _given(pipe, DATA, piece)
            hashed.update(piece)
            size += len(piece)
    except KeyError:
        fault = Fault(volume.object, "the object is missing")
    taken = taken and _given(pipe, END, b"{}")
    fault = fault or _size_fault(volume.object, volume.bytes, size)
    if fault is None and hashed.hexdigest() != volume.sha256:
        fault = Fault(volume.object, _CHANGED)
    return _Sent(volume, fault, taken)


def _given(pipe: IO[bytes], kind: bytes, data: bytes) -> bool:
    """Whether the child took a frame."""
    try:
        write_frame(pipe, kind, data)
        if kind == END:
            pipe.flush()
    except BrokenPipeError:
        return False
    return True


def _faults(sent: list[_Sent], results: list[dict[str, Any]]) -> tuple[Fault, ...]:
    """The last try of each volume decides."""
    found: dict[str, Fault | None] = {}
    for number, one in enumerate(sent):
        result = results[number] if number < len(results) else None
        found[one.volume.object] = one.fault or _content_fault(one.volume, result)
    return tuple(fault for fault in found.values() if fault is not None)


def _content_fault(volume: Volume, result: dict[str, Any] | None) -> Fault | None:
    if result is None:
        return None  # the child ended before it: its exit code is looked at
    if result["error"]:
        return Fault(volume.object, f"it does not open: {result['error']}")
    told = {name: getattr(volume, f"plain_{name}") for name in _HASHES}
    named = [name for name, digest in told.items() if digest]
    if (
        not named
        or result["bytes"] != volume.plain_bytes
        or any(result.get(name) != told[name] for name in named)
    ):
        return Fault(volume.object, "what it holds is not what the manifest says")
    return None
