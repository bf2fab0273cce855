"""Is a map of pages the same however the tar passes by, and read whole however large it is?"""

from __future__ import annotations

import dataclasses
import os
import random
from pathlib import Path

import pytest
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from sre.backup.engine import Dump, Source
from sre.backup.pages import tap as tap_module
from sre.backup.pages.choosing import read_sidecar
from sre.backup.pages.hashing import HASH, PAGE, new_key, pages_of
from sre.backup.pages.map import Sidecar, encode
from sre.backup.pages.tap import PagesTap, PassingTap, make
from sre.backup.runner import run_backup
from sre.backup.storage.memory import MemoryStorage
from sre.backup.tap import Looking
from sre.core.errors import IntegrityError
from tests.unit.backup.paged import PagedDatabase
from tests.unit.backup.setting import make_job, make_keys, make_tar
from tests.unit.backup.test_pages import LAST, sidecar_of, tar_of, through


def gmac(key: bytes, page: bytes) -> bytes:
    """The same by the library's other interface."""
    found = Cipher(algorithms.AES(key), modes.GCM(bytes(12))).encryptor()
    found.authenticate_additional_data(page)
    found.finalize()
    return found.tag


def test_hashes_are_what_their_names_say() -> None:
    pages = [os.urandom(PAGE) for _ in range(5)]
    new, old = new_key(), os.urandom(32)
    view = memoryview(b"".join(pages))
    assert pages_of(new)(view) == b"".join(gmac(new, page)[:HASH] for page in pages)
    assert pages_of(old)(view) == b"".join(blake3(p, key=old).digest(HASH) for p in pages)
    assert pages_of(new)(view[:0]) == b""


def looked_at(tap: PassingTap, tar: bytes, piece: int) -> None:
    """As the reader does it: one buffer, used again and again."""
    buffer = bytearray(piece)
    for at in range(0, len(tar), piece):
        count = len(tar[at : at + piece])
        buffer[:count] = tar[at : at + count]
        tap.look(memoryview(buffer)[:count])
        buffer[:] = b"\xff" * piece


@pytest.mark.parametrize("piece", [311, 512, 8191, 70_001, 10**6])
def test_to_look_and_to_take_give_the_same_map(piece: int) -> None:
    key, noise = bytes(range(16)), random.Random(9).randbytes(40 * PAGE)
    files = {"PG_VERSION": b"15\n", "base/5/1": noise, "base/5/2": b"", "global/1": noise[:PAGE],
             "base/5/3": noise[:77], "pg_xact/0000": bytes(2 * PAGE)}  # fmt: skip
    tar = tar_of({**files, LAST: noise[:9000]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tap_module, "new_key", lambda: key)
        taken, looked = PagesTap("", None, keep_server=True), make("", {"server": True}, {})
    assert isinstance(looked, PassingTap)
    assert isinstance(looked, Looking)
    assert through(taken, tar, piece) == tar
    looked_at(looked, tar, piece)
    assert looked.report() == taken.report()
    assert b"".join(looked.sidecar()) == b"".join(taken.sidecar())


def test_what_withholds_pages_is_not_merely_looked_at(tmp_path: Path) -> None:
    whole = tmp_path / "map"
    whole.write_bytes(b"".join(encode(new_key(), {})))
    with whole.open("rb") as file:
        for options, looks in ({}, False), ({"native": True}, True):
            tap = make("", options, {"map": file.fileno()})
            assert isinstance(tap, Looking) is looks
            assert list(tap.sidecar())


def test_a_chain_that_began_with_older_hashes_goes_on_with_them() -> None:
    before = {"base/5/1": os.urandom(9 * PAGE), LAST: b"{}"}
    changed = bytearray(before["base/5/1"])
    changed[4 * PAGE + 17] ^= 1
    key = os.urandom(32)
    known = {"base/5/1": pages_of(key)(memoryview(before["base/5/1"]))}
    tap = PagesTap("", Sidecar.parse(b"".join(encode(key, known))))
    through(tap, tar_of({**before, "base/5/1": bytes(changed)}))
    found = sidecar_of(tap)
    assert found.key == key
    assert list(found.entries["base/5/1"].numbers or ()) == [4]


def test_a_key_of_no_known_hash_is_refused() -> None:
    for count in (0, 15, 31, 64):
        with pytest.raises(IntegrityError):
            Sidecar.parse(b"".join(encode(bytes(count), {})))


@dataclasses.dataclass(frozen=True)
class Keeping(PagedDatabase):
    """One whose tool's own manifest is kept in the map."""

    def dump(self, source: Source, label: str) -> Dump:
        return dataclasses.replace(super().dump(source, label), server=True)


def test_a_map_of_several_frames_is_read_whole(tmp_path: Path) -> None:
    """It is compressed in frames of a MiB, and a large database's map has many."""
    large = random.Random(5).randbytes(3 * 2**20 + 77)
    tar = make_tar(tmp_path / "db.tar", {"base/1/1": bytes(3 * PAGE), "backup_manifest": large})
    keys, storage = make_keys(tmp_path / "keys"), MemoryStorage()
    made = run_backup(make_job(tmp_path, keys, Keeping(tar), storage=storage), "orders")
    assert made.sidecar is not None
    assert made.sidecar.plain_bytes > 3 * 2**20
    found = read_sidecar(storage, made, keys)
    assert found.server == large
    assert found.entries["base/1/1"].blocks == 3
