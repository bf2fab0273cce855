"""Does a folder keep what is written, create in one step, and is it a disk at all?"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import threading
from collections.abc import Callable
from pathlib import Path

from sre.backup.doctor.local_scene import LocalScene, mount_of
from sre.backup.doctor.model import Check, Outcome, absent, broken, holds, unknown

__all__ = ["LOCAL_CHECKS"]

_MIB = 2**20
_WRITERS, _ROUNDS = 8, 4
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "fuse.s3fs", "fuse.rclone", "ceph"}
_MEMORY = {"tmpfs", "ramfs", "devtmpfs"}


def put_get(scene: LocalScene) -> Outcome:
    path, data = scene.sub("whole") / "file", os.urandom(3 * _MIB)
    path.write_bytes(data)
    if path.stat().st_size != len(data) or path.read_bytes() != data:
        return broken("other bytes came back than were written")
    return holds("3 MiB come back")


def fsync(scene: LocalScene) -> Outcome:
    folder = scene.sub("fsync")
    began = scene.clock.now()
    for path in (folder / "file", folder):
        made = not path.exists()
        flags = os.O_WRONLY | os.O_CREAT if made else os.O_RDONLY
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
        try:
            if made:
                os.write(descriptor, b"x" * 65536)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return holds(f"file and folder, {(scene.clock.now() - began) * 1000:.0f}ms")


def create_once(scene: LocalScene) -> Outcome:
    folder = scene.sub("once")
    draft, name = folder / "draft", folder / "name"
    draft.write_bytes(b"first")
    other = folder / "other"
    other.write_bytes(b"second")
    os.link(draft, name)
    try:
        os.link(other, name)
    except FileExistsError:
        kept = name.read_bytes() == b"first"
        return holds("a taken name is refused") if kept else broken("it is refused and replaced")
    return broken("a second link to a taken name was made")


def create_race(scene: LocalScene) -> Outcome:
    folder = scene.sub("race")

    def claim(name: Path, number: int) -> None:
        draft = name.with_name(f"{name.name}-{number}")
        draft.write_bytes(b"%d" % number)
        os.link(draft, name)

    return _race(folder, claim)


def exclusive_open(scene: LocalScene) -> Outcome:
    def claim(name: Path, number: int) -> None:
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.write(descriptor, b"%d" % number)
        os.close(descriptor)

    return _race(scene.sub("exclusive"), claim)


def _race(folder: Path, claim: Callable[[Path, int], None]) -> Outcome:
    for number in range(_ROUNDS):
        name, winners = folder / str(number), list[int]()
        ready = threading.Barrier(_WRITERS)

        def one(
            writer: int,
            name: Path = name,
            ready: threading.Barrier = ready,
            winners: list[int] = winners,
        ) -> None:
            ready.wait(10)
            try:
                claim(name, writer)
            except OSError:
                return
            winners.append(writer)

        threads = [threading.Thread(target=one, args=(n,), daemon=True) for n in range(_WRITERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        if len(winners) != 1:
            return broken(f"{len(winners)} of {_WRITERS} writers won round {number + 1}")
        if name.read_bytes() != b"%d" % winners[0]:
            return broken("another writer's bytes stand there")
    return holds(f"{_WRITERS} writers, {_ROUNDS} rounds, one winner each")


def rename(scene: LocalScene) -> Outcome:
    folder = scene.sub("rename")
    (folder / "old").write_bytes(b"old")
    (folder / "new").write_bytes(b"new")
    (folder / "new").replace(folder / "old")
    if (folder / "old").read_bytes() != b"new" or (folder / "new").exists():
        return broken("a renamed file did not take the other's place")
    return holds()


def list_after_write(scene: LocalScene) -> Outcome:
    folder = scene.sub("listed")
    wanted = {f"{number:03d}" for number in range(200)}
    for name in wanted:
        (folder / name).touch()
    found = {path.name for path in folder.iterdir()}
    return holds("200 of 200") if found == wanted else broken(f"{len(found)} of 200 are listed")


def delete(scene: LocalScene) -> Outcome:
    path = scene.sub("gone") / "file"
    path.touch()
    path.unlink()
    return broken("a removed file is still there") if path.exists() else holds()


def one_filesystem(scene: LocalScene) -> Outcome:
    """Drafts are linked to their names: that works inside one filesystem alone."""
    here = scene.folder.stat().st_dev
    real = scene.root / "v1"
    if real.exists() and real.stat().st_dev != here:
        return broken(f"{real} is a mount of its own; drafts there may not be linked")
    return holds()


def own_disk(scene: LocalScene) -> Outcome:
    if scene.root.stat().st_dev == Path("/").stat().st_dev:
        return absent("it is the system's own disk: it dies with this machine")
    return holds("not the system's own disk")


def filesystem(scene: LocalScene) -> Outcome:
    table = Path("/proc/self/mountinfo")
    if not table.exists():
        return unknown("no /proc/self/mountinfo here")
    point, kind = mount_of(scene.root.resolve(), table.read_text(encoding="utf-8"))
    if kind in _MEMORY:
        return broken(f"{kind} at {point}: memory, gone when this machine restarts")
    where = f"{kind} at {point}"
    return holds(f"{where}, over the network" if kind in _NETWORK else where)


def free_space(scene: LocalScene) -> Outcome:
    found = os.statvfs(scene.folder)
    free, size = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    scene.memo["free"] = free
    said = f"{free / 2**30:.1f} GiB of {size / 2**30:.1f} GiB"
    if found.f_files and found.f_favail < 1000:
        return absent(f"{said}, {found.f_favail} inodes left")
    if free < max(_MIB * 256, size // 20):
        return absent(f"{said}: nearly full")
    return holds(said)


def permissions(scene: LocalScene) -> Outcome:
    mode, path = scene.root.stat().st_mode, scene.root
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        return broken(f"everybody may write to {path} ({stat.filemode(mode)}): chmod o-w")
    file = scene.sub("mode") / "file"
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    if stat.S_IMODE(file.stat().st_mode) & 0o077:
        return absent(f"modes are not kept: 0600 became {stat.filemode(file.stat().st_mode)}")
    return holds(stat.filemode(mode))


def case(scene: LocalScene) -> Outcome:
    folder = scene.sub("case")
    (folder / "Name").touch()
    return absent("Name and name are one") if (folder / "name").exists() else holds()


def long_names(scene: LocalScene) -> Outcome:
    folder = scene.sub("long")
    try:
        (folder / ("x" * 255)).touch()
    except OSError as error:
        return absent(f"255 bytes are refused: {error.strerror}")
    return holds("255 bytes")


def odd_names(scene: LocalScene) -> Outcome:
    folder, wanted = scene.sub("odd"), {"ä ö", "日本", "plus+and space", "a=b&c", "q'uote"}
    for name in wanted:
        (folder / name).touch()
    found = {path.name for path in folder.iterdir()}
    return holds() if found == wanted else absent("names come back changed")


def file_lock(scene: LocalScene) -> Outcome:
    path = scene.sub("lock") / "file"
    one, two = (os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600) for _ in range(2))
    try:
        fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return holds()
        return broken("two hold the same lock")
    except OSError as error:
        return absent(f"no flock here: {errno.errorcode.get(error.errno or 0)}")
    finally:
        os.close(one)
        os.close(two)


def file_time(scene: LocalScene) -> Outcome:
    path = scene.sub("time") / "file"
    path.touch()
    far = path.stat().st_mtime - scene.clock.wall()
    scene.memo["skew"] = far
    if abs(far) > 300:
        return broken(f"its clock is {far:+.0f}s from ours")
    return holds(f"{far:+.0f}s from ours")


def speed(scene: LocalScene) -> Outcome:
    path, data = scene.sub("speed") / "file", os.urandom(4 * _MIB)
    began = scene.clock.now()
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    rate = scene.memo["upload_rate"] = len(data) / max(1e-6, scene.clock.now() - began)
    return holds(f"{rate / _MIB:.0f} MiB/s, written and synced")


def nesting(scene: LocalScene) -> Outcome:
    """As deep as the longest key of a backup."""
    path = scene.sub("deep") / Path(*["d" * 60] * 6)
    path.mkdir(parents=True)
    (path / "file").write_bytes(b"deep")
    shutil.rmtree(scene.folder / "deep")
    return broken("a removed tree is still there") if path.exists() else holds()


_MANY = "several writers (else one alone)"

LOCAL_CHECKS = (
    Check("throughput", "how fast a disk takes bytes", "planning", "note", speed, group="first"),
    Check("put-get", "what was written comes back", "everything", "data", put_get),
    Check("fsync", "files and folders reach the disk", "commit of a backup", "data", fsync),
    Check("filesystem", "it is a disk, not memory", "every backup", "data", filesystem),
    Check("create-once", "a link never replaces a file", "commit of a backup", "data", create_once),
    Check("create-race", "of 8 writers at once exactly one gets a name", _MANY, "feature",
          create_race),
    Check("exclusive-open", "of 8 openers at once exactly one creates", _MANY, "note",
          exclusive_open),
    Check("file-lock", "a lock has one holder", _MANY, "feature", file_lock),
    Check("rename", "a rename replaces in one step", "facts beside backups", "note", rename),
    Check("list-after-write", "a list shows all files", "list, retention", "data",
          list_after_write),
    Check("delete", "what was removed is gone", "retention", "feature", delete),
    Check("nesting", "folders may be deep", "layout of backups", "data", nesting),
    Check("one-filesystem", "drafts and objects share a filesystem", "commit of a backup", "data",
          one_filesystem),
    Check("own-disk", "the disk is not the system's own", "loss of the machine", "note", own_disk),
    Check("free-space", "there is room", "the next backup", "feature", free_space),
    Check("permissions", "not everybody may write there", "every backup", "data", permissions),
    Check("file-time", "its clock is ours (5 min)", "order of backups", "feature", file_time),
    Check("case", "A and a are two names", "names of databases", "note", case),
    Check("long-names", "a name may have 255 bytes", "layout of backups", "note", long_names),
    Check("odd-names", "names may have any characters", "names of databases", "note", odd_names),
)  # fmt: skip
"""A folder's checks; those of one name with a bucket's mean the same."""
