"""How does a running database become volumes in a store?

    [tool ─►] seal (child: volumes, zstd, age) ─► frames ─► uploads, two at a time

A tool and the child share a pipe; we see ciphertext alone. Memory is bounded: an upload holds a
part and a short queue. Nothing here makes a backup exist: the caller does, once everything here has
ended well (the programs with 0, the tar with its last member).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import signal
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from sre.backup.engine import Dump
from sre.backup.frames import Frame, read_frames
from sre.backup.layout import Place
from sre.backup.manifest import Volume
from sre.backup.objects import Storage
from sre.backup.programs import STREAMING, TEMPORARY, Tail, python_program
from sre.backup.sealing import Sealing
from sre.backup.tap import Tapping
from sre.core.child import PIPE, Child
from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, IntegrityError, SreError, Transient

__all__ = ["LEVEL", "Poured", "pour"]

LEVEL = 3
_WHOLE = Tapping()
_NOTHING: Mapping[str, str] = {}
_UPLOADS = 2
_QUEUED = 8
_END_SECONDS = 30.0

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Poured:
    """What was stored, and what the tar said at its end."""

    volumes: tuple[Volume, ...]
    bytes: int
    members: int
    tail: str
    stopped: float | None
    """When the engine's log began to follow the data: what is in it goes to here."""
    sidecar: Volume | None = None
    report: dict[str, Any] = field(default_factory=dict)
    """All that the seal found: `bytes` stored, `read` of the tar, and what the tap reported."""


def pour(
    dump: Dump,
    recipient: str,
    place: Place,
    storage: Storage,
    *,
    volume_bytes: int,
    tapping: Tapping = _WHOLE,
    progress: Progress = lambda _count: None,
) -> Poured:
    """Run the dump into the store. `progress` is called with plaintext bytes just stored.

    The tap's descriptors must be open until this returns.

    Raises:
        CheckFailed: the tool failed, was killed, or ended before its end.
        Transient: the store gave up, or the dump gave way to others.
    """
    said = Tail(dump.hints)
    sealing = Sealing(recipient, volume_bytes, LEVEL, dump.log_folder, tapping)
    with contextlib.ExitStack() as stack:
        if dump.around is not None:
            stack.enter_context(dump.around())
        programs = stack.enter_context(_programs(dump, sealing, said))
        uploads = stack.enter_context(_Uploads(storage, progress))
        last = _receive(programs, place, uploads, said)
        _must_have_ended(programs, said)
        _must_be_whole(last, dump)
        volumes = uploads.finish()
    return _poured(volumes, place, last)


def _poured(volumes: tuple[Volume, ...], place: Place, last: dict[str, Any]) -> Poured:
    """What was stored, the sidecar apart."""
    sidecar = volumes[-1] if volumes and volumes[-1].object == place.sidecar else None
    return Poured(
        volumes if sidecar is None else volumes[:-1],
        last["bytes"],
        last["members"],
        last["tail"],
        last["stopped"],
        sidecar,
        last,
    )


@contextlib.contextmanager
def _programs(dump: Dump, sealing: Sealing, said: Tail) -> Iterator[dict[str, Child]]:
    """What runs, by what it does; the one that seals comes last."""
    with contextlib.ExitStack() as stack:
        if dump.inside is not None:
            sealing = replace(sealing, inside=stack.enter_context(dump.inside()))
            yield {"the dump": stack.enter_context(_sealer(sealing, None, said, dump.env))}
            return
        read, write = os.pipe()
        with _closing(read, write):
            dumper = Child(dump.argv, env=dump.env, stdout=write, stderr=said, grace=1.0)
            stack.enter_context(dumper)
            sealer = stack.enter_context(_sealer(sealing, read, said))
        yield {"the dump": dumper, "the encryption": sealer}


def _sealer(
    sealing: Sealing, stdin: int | None, said: Tail, env: Mapping[str, str] = _NOTHING
) -> Child:
    argv = python_program("sre.backup.seal", sealing.encode())
    given = (*sealing.tapping.descriptors.values(), *sealing.inside.descriptors)
    secrets = {} if sealing.inside.descriptors else env  # logged in already
    env = {**STREAMING, **secrets}
    return Child(argv, env=env, stdin=stdin, stdout=PIPE, stderr=said, pass_fds=given, grace=1.0)


def _receive(
    programs: Mapping[str, Child], place: Place, uploads: _Uploads, said: Tail
) -> dict[str, Any]:
    """Hand the frames out to uploads; the last one's record."""
    stream = list(programs.values())[-1].stdout
    assert stream is not None  # noqa: S101  made with PIPE
    number, current, aside = 0, None, False
    try:
        for frame in read_frames(stream):
            if frame.kind == "L":
                return frame.record()
            if frame.kind == "S":
                aside = True
                continue
            if current is None:
                current = uploads.begin(place.sidecar if aside else place.volume(number))
                number += 1
            current = current.take(frame)
    except IntegrityError:
        _must_have_ended(programs, said)
        raise
    raise AssertionError("frames end with the last one")


def _must_have_ended(programs: Mapping[str, Child], said: Tail) -> None:
    """All with 0. A dumper that was killed leaves a valid shorter stream: its exit decides."""
    codes = {what: _code_of(child) for what, child in programs.items()}
    if codes["the dump"] == -signal.SIGPIPE and codes.get("the encryption", 0) != 0:
        del codes["the dump"]  # it only noticed that nobody read it any more
    for what, code in codes.items():
        if code != 0:
            how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
            kind = Transient if (what, code) == ("the dump", TEMPORARY) else CheckFailed
            raise kind(f"{what} {how}, nothing was committed: {said.text()}")


def _code_of(child: Child) -> int:
    code = child.wait(Deadline.after(_END_SECONDS))
    return child.stop() if code is None else code


def _must_be_whole(last: dict[str, Any], dump: Dump) -> None:
    if not last["whole"] or last["last_member"] != dump.last_member:
        found = last["last_member"] or "nothing"
        raise CheckFailed(
            f"the dump ended with exit code 0 but too early (after {last['members']} files, the "
            f"last one {found!r}, not {dump.last_member!r}); nothing was committed"
        )


class _Uploads:
    """Volumes on their way; at most two at a time, then the next one waits."""

    def __init__(self, storage: Storage, progress: Progress) -> None:
        self.storage, self.progress = storage, progress
        self._pool = ThreadPoolExecutor(_UPLOADS, thread_name_prefix="upload")
        self._open: deque[_Upload] = deque()
        self._done: list[Volume] = []

    def __enter__(self) -> _Uploads:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for upload in self._open if kind is not None else ():
            upload.abandon()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def begin(self, key: str) -> _Upload:
        """Start the next volume, once there is room."""
        while len(self._open) >= _UPLOADS:
            self._finish_oldest()
        upload = _Upload(key, self)
        upload.start(self._pool)
        self._open.append(upload)
        return upload

    def finish(self) -> tuple[Volume, ...]:
        """Wait for all; what they are, in order."""
        while self._open:
            self._finish_oldest()
        return tuple(self._done)

    def _finish_oldest(self) -> None:
        volume = self._open[0].result()
        self._open.popleft()
        self._done.append(volume)
        self.progress(volume.plain_bytes)


class _Abandoned(SreError):
    """The stream broke off; the store must not keep it."""


class _Upload:
    """One volume: a short queue between the frames and the thread that stores it."""

    def __init__(self, key: str, uploads: _Uploads) -> None:
        self.key, self._uploads = key, uploads
        self._queue: queue.Queue[bytes | _Abandoned | None] = queue.Queue(_QUEUED)
        self._hash = hashlib.sha256()
        self._record: dict[str, Any] = {}
        self._future: Future[int] | None = None

    def start(self, pool: ThreadPoolExecutor) -> None:
        """Begin to store what `take` is given."""
        self._future = pool.submit(self._uploads.storage.upload, self.key, self)

    def take(self, frame: Frame) -> _Upload | None:
        """The next frame of this volume; None once it was the last one."""
        if frame.kind == "D":
            self._hash.update(frame.data)
            self._give(frame.data)
            return self
        self._record = frame.record()
        self._give(None)
        return None

    def abandon(self) -> None:
        """Make the thread fail, so that nothing becomes visible."""
        with contextlib.suppress(SreError):
            self._give(_Abandoned("abandoned"))

    def result(self) -> Volume:
        """What was stored; waits, and raises what the store raised."""
        assert self._future is not None  # noqa: S101  started
        size = self._future.result()
        plain, digest = int(self._record["bytes"]), str(self._record["blake3"])
        return Volume(self.key, size, self._hash.hexdigest(), plain, plain_blake3=digest)

    def _give(self, piece: bytes | _Abandoned | None) -> None:
        assert self._future is not None  # noqa: S101  started
        while True:
            if self._future.done():
                self._future.result()  # raises: nobody takes from the queue any more
                return None
            with contextlib.suppress(queue.Full):
                return self._queue.put(piece, timeout=0.2)

    def digest(self) -> bytes:
        """As Hashed's."""
        return self._hash.digest()

    def __iter__(self) -> Iterator[bytes]:
        while (piece := self._queue.get()) is not None:
            if isinstance(piece, _Abandoned):
                raise piece
            yield piece


@contextlib.contextmanager
def _closing(*descriptors: int) -> Iterator[None]:
    """Ours are closed once the children have theirs: else nobody would see an end."""
    try:
        yield
    finally:
        for each in descriptors:
            os.close(each)
