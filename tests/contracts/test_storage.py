"""Does every kind of store keep the contract of `Storage`? The in-memory one as well."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sre.backup.fence import guarding
from sre.backup.objects import Changed, ObjectInfo, Storage
from sre.backup.storage import STORES
from sre.backup.storage.local import LocalStore
from sre.backup.storage.memory import MemoryStorage
from sre.core.errors import Refused, UsageError

BIG = os.urandom(12 * 2**20 + 17)  # three parts of an S3 upload


def pieces(data: bytes, size: int = 2**20 - 3) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


@pytest.fixture(params=["memory", *STORES.names()])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "memory":
        return MemoryStorage()
    if request.param == "local":
        return LocalStore(tmp_path / "store").open()
    made: Storage = request.getfixturevalue("s3_store").open()
    return made


def test_what_was_put_can_be_read(storage: Storage) -> None:
    storage.put("v1/a/b.json", b"hello")
    assert storage.get("v1/a/b.json") == b"hello"
    assert storage.head("v1/a/b.json") == ObjectInfo("v1/a/b.json", 5)
    assert b"".join(storage.stream("v1/a/b.json")) == b"hello"


def test_an_empty_object_is_an_object(storage: Storage) -> None:
    assert storage.upload("empty", iter(())) == 0
    assert storage.head("empty") == ObjectInfo("empty", 0)
    assert storage.get("empty") == b""
    assert list(storage.stream("empty")) == []


@pytest.mark.parametrize("size", [1, 2**20, 5 * 2**20 - 1, 5 * 2**20, 5 * 2**20 + 1, len(BIG)])
def test_a_stream_of_any_size_arrives_whole(storage: Storage, size: int) -> None:
    data = BIG[:size]
    assert storage.upload("v1/big", pieces(data)) == size
    assert storage.head("v1/big") == ObjectInfo("v1/big", size)
    found = hashlib.sha256()
    for piece in storage.stream("v1/big"):
        assert 0 < len(piece) <= 2**20
        found.update(piece)
    assert found.digest() == hashlib.sha256(data).digest()


def test_ranges(storage: Storage) -> None:
    storage.put("range", b"0123456789")
    assert storage.get("range", 3, 4) == b"3456"
    assert storage.get("range", 7) == b"789"
    assert storage.get("range", 0, 0) == b""


def test_nothing_is_overwritten_by_a_put(storage: Storage) -> None:
    storage.put("once", b"first")
    with pytest.raises(Refused, match="once"):
        storage.put("once", b"second")
    assert storage.get("once") == b"first"


def test_nothing_is_overwritten_by_an_upload(storage: Storage) -> None:
    storage.put("once", b"first")
    for data in (b"short", BIG):
        with pytest.raises(Refused, match="once"):
            storage.upload("once", pieces(data))
    assert storage.get("once") == b"first"


def test_the_same_again_is_success(storage: Storage) -> None:
    """An answer may have been lost: the retry must not fail."""
    for _ in range(2):
        storage.put("again", b"same")
        assert storage.upload("again-big", pieces(BIG)) == len(BIG)


@pytest.mark.parametrize("after", [0, 1, 7])
def test_a_stream_that_fails_leaves_nothing(storage: Storage, after: int) -> None:
    def broken() -> Iterator[bytes]:
        for number, piece in enumerate(pieces(BIG)):
            if number == after:
                raise ZeroDivisionError
            yield piece

    with pytest.raises(ZeroDivisionError):
        storage.upload("v1/broken", broken())
    assert storage.head("v1/broken") is None
    assert list(storage.list("v1/")) == []


def test_what_is_not_there(storage: Storage) -> None:
    assert storage.head("absent") is None
    for read in (storage.get, lambda key: list(storage.stream(key))):
        with pytest.raises(KeyError):
            read("absent")
    storage.delete("absent")


def test_lists_are_whole_and_exact(storage: Storage) -> None:
    keys = {f"v1/db/{number:04d}" for number in range(30)} | {"v1/dbx", "v2/other"}
    for key in keys:
        storage.put(key, key.encode())
    assert {each.key for each in storage.list("v1/db/")} == {k for k in keys if "/db/" in k}
    assert {each.key for each in storage.list("v1/db")} == {k for k in keys if "v1/db" in k}
    assert {each.key for each in storage.list("")} == keys
    assert {each.size for each in storage.list("v2/")} == {8}
    assert list(storage.list("nothing/")) == []


def test_deleted_is_gone(storage: Storage) -> None:
    storage.put("gone", b"x")
    storage.delete("gone")
    assert storage.head("gone") is None


def test_of_many_writers_one_wins(storage: Storage) -> None:
    won: list[int] = []
    ready = threading.Barrier(6)

    def write(number: int) -> None:
        ready.wait(10)
        try:
            storage.put("race", b"writer %d" % number)
        except Refused:
            return
        won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(won) == 1
    assert storage.get("race") == b"writer %d" % won[0]


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../up", "a/../../b"])
def test_a_local_key_stays_in_its_folder(tmp_path: Path, key: str) -> None:
    with pytest.raises(UsageError):
        LocalStore(tmp_path / "store").open().put(key, b"x")


def test_a_cell_is_made_once_and_replaced_by_whoever_knows_it(storage: Storage) -> None:
    empty = storage.cell("locks/a")
    assert (empty.data, empty.version) == (None, "")
    assert abs(empty.at - time.time()) < 5
    first = storage.swap("locks/a", b"one", "")
    with pytest.raises(Changed, match="locks/a"):
        storage.swap("locks/a", b"other", "")
    second = storage.swap("locks/a", b"two", first.version)
    with pytest.raises(Changed):
        storage.swap("locks/a", b"late", first.version)
    found = storage.cell("locks/a")
    assert (found.data, found.version) == (b"two", second.version)
    assert [each.key for each in storage.list("locks/")] == ["locks/a"]


def test_a_cell_that_is_gone_is_not_replaced(storage: Storage) -> None:
    cell = storage.swap("locks/a", b"one", "")
    storage.delete("locks/a")
    with pytest.raises(Changed):
        storage.swap("locks/a", b"two", cell.version)
    assert storage.cell("locks/a").data is None


def test_swapping_the_same_again_is_success(storage: Storage) -> None:
    """An answer may have been lost: the retry must not look like a lost lease."""
    first = storage.swap("locks/a", b"one", "")
    assert storage.swap("locks/a", b"one", "").version == first.version
    second = storage.swap("locks/a", b"two", first.version)
    assert storage.swap("locks/a", b"two", first.version).version == second.version


def test_of_many_swaps_one_wins(storage: Storage) -> None:
    cell = storage.swap("race", b"start", "")
    won: list[int] = []
    ready = threading.Barrier(6)

    def swap(number: int) -> None:
        ready.wait(10)
        with contextlib.suppress(Changed):
            storage.swap("race", b"writer %d" % number, cell.version)
            won.append(number)

    threads = [threading.Thread(target=swap, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(won) == 1
    assert storage.cell("race").data == b"writer %d" % won[0]


def test_it_says_whether_conditions_are_kept(storage: Storage) -> None:
    storage.swap("asked", b"as it was", "")
    assert storage.conditional("asked")
    assert storage.get("asked") == b"as it was"
    with pytest.raises(KeyError):
        storage.conditional("absent")


def test_a_guard_is_asked_before_anything_is_written_or_deleted(storage: Storage) -> None:
    def refuse() -> None:
        raise ZeroDivisionError

    storage.put("there", b"x")
    with guarding(refuse):
        for write in (
            lambda: storage.put("new", b"x"),
            lambda: storage.upload("new", pieces(BIG)),
            lambda: storage.delete("there"),
        ):
            with pytest.raises(ZeroDivisionError):
                write()
    assert storage.head("new") is None
    assert storage.get("there") == b"x"
