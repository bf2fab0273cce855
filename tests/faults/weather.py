"""Which faults may strike a command on backups? Each is a context around it that gives a blow."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tests.servers.s3faults import Rule

if TYPE_CHECKING:
    from tests.faults.storm import Storm

__all__ = ["FAULTS"]

Fault = Callable[["Storm"], contextlib.AbstractContextManager[Callable[..., None]]]


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


@contextlib.contextmanager
def nothing(_storm: Storm) -> Iterator[Callable[..., None]]:
    yield lambda _process: None


@contextlib.contextmanager
def kill_9(_storm: Storm) -> Iterator[Callable[..., None]]:
    yield lambda process: _signal(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def told_to_end(storm: Storm) -> Iterator[Callable[..., None]]:
    number = storm.chance.choice([signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
    yield lambda process: _signal(process.pid, number)


@contextlib.contextmanager
def kill_9_of_a_child(storm: Storm) -> Iterator[Callable[..., None]]:
    """The dumper, the encryption, tar, a scratch server: whatever runs then."""

    def strike(process: subprocess.Popen[str]) -> None:
        children = [pid for pid in _below(process.pid) if pid != process.pid]
        if children:
            _signal(storm.chance.choice(sorted(children)), signal.SIGKILL)

    yield strike


def _below(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    found = [int(each) for each in text.split()]
    return found + [each for child in found for each in _below(child)]


@contextlib.contextmanager
def frozen_for_a_while(storm: Storm) -> Iterator[Callable[..., None]]:
    seconds = storm.chance.uniform(0.2, 1.5)

    def strike(process: subprocess.Popen[str]) -> None:
        _signal(process.pid, signal.SIGSTOP)
        threading.Event().wait(seconds)
        _signal(process.pid, signal.SIGCONT)

    yield strike


@contextlib.contextmanager
def bad_network(storm: Storm) -> Iterator[Callable[..., None]]:
    """Some requests fail in some way, for as long as the command runs."""
    acts = ["500", "503", "reset", "lost", "lost-503", "flip-up", "flip-down", "cut-down", "stall"]
    storm.faulty.plan(
        *(
            Rule(act, times=storm.chance.choice([1, 2, 5]), share=storm.chance.uniform(0.02, 0.3))
            for act in storm.chance.sample(acts, 3)
        )
    )
    yield lambda _process: None


@contextlib.contextmanager
def store_away(storm: Storm) -> Iterator[Callable[..., None]]:
    """As when it restarts: every connection is refused for some seconds."""
    seconds = storm.chance.uniform(0.2, 3.0)

    def strike(_process: subprocess.Popen[str]) -> None:
        storm.faulty.plan(Rule("reset", times=None))
        threading.Event().wait(seconds)
        storm.faulty.plan()

    yield strike


@contextlib.contextmanager
def store_restarts(storm: Storm) -> Iterator[Callable[..., None]]:
    """The server itself: kill -9, and again on the same files and port."""
    struck = threading.Event()

    def strike(_process: subprocess.Popen[str]) -> None:
        storm.store.kill()
        threading.Event().wait(3.0)  # sooner, it cannot have its ports again
        storm.store.start()
        struck.set()

    yield strike
    assert struck.wait(90), "the store did not come back"


@contextlib.contextmanager
def kill_9_of_the_archiver(storm: Storm) -> Iterator[Callable[..., None]]:
    def strike(_process: subprocess.Popen[str]) -> None:
        storm.archiver.signal(signal.SIGKILL)
        threading.Event().wait(storm.chance.uniform(0.0, 2.0))
        storm.archiver.kept_up(storm.scene)

    yield strike


@contextlib.contextmanager
def database_stops(storm: Storm) -> Iterator[Callable[..., None]]:
    """At once, without a word to its clients; it comes back."""
    struck = threading.Event()

    def strike(_process: subprocess.Popen[str]) -> None:
        _signal(storm.server_pid(), signal.SIGQUIT)
        struck.set()

    yield strike
    struck.wait(5)
    if struck.is_set():
        storm.comes_back()


@contextlib.contextmanager
def damaged_object(storm: Storm) -> Iterator[Callable[..., None]]:
    """One byte of one object of a backup is turned over in the bucket."""
    store, client = storm.scene.store, storm.faulty.server.client()
    prefix = f"{store['prefix']}/v1/"
    page = client.list_objects_v2(Bucket=store["bucket"], Prefix=prefix)
    keys = sorted(
        each["Key"] for each in page["Contents"]
        if any(part in each["Key"] for part in ("/backups/", "/keys/", "/log/"))
    )  # fmt: skip
    key = storm.chance.choice(keys)
    body = bytearray(client.get_object(Bucket=store["bucket"], Key=key)["Body"].read())
    body[storm.chance.randrange(len(body))] ^= 1 << storm.chance.randrange(8)
    client.put_object(Bucket=store["bucket"], Key=key, Body=bytes(body))
    storm.damaged.add(key.removeprefix(f"{store['prefix']}/"))
    storm.story[-1] += f" ({key.rpartition('/')[2]})"
    yield lambda _process: None


@contextlib.contextmanager
def no_room(storm: Storm) -> Iterator[Callable[..., None]]:
    """The disk of the state is full."""
    disk = storm.scene.folder / "state"
    disk.mkdir(exist_ok=True)
    if os.geteuid() != 0:
        yield lambda _process: None
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=True)
    try:
        with contextlib.suppress(OSError), (disk / "fill").open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        yield lambda _process: None
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


FAULTS: list[Fault] = [
    nothing, kill_9, kill_9, told_to_end, kill_9_of_a_child, kill_9_of_a_child,
    frozen_for_a_while, bad_network, bad_network, store_away, store_restarts, database_stops,
    damaged_object, no_room, kill_9_of_the_archiver,
]  # fmt: skip
