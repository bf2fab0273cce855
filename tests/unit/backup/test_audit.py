"""Is every kind of damage to the audit log found and named?"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sre.backup.audit.log import AuditLog
from sre.backup.audit.record import Entry, parse_entry
from sre.backup.job import Job
from sre.backup.model import Keys
from sre.backup.storage.memory import MemoryStorage
from sre.core.errors import Transient
from tests.unit.backup.audited import act, filled, job_at, log_at, problems
from tests.unit.backup.setting import make_keys


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys") / "k")


@pytest.fixture
def job(tmp_path: Path, keys: Keys) -> Job:
    return job_at(tmp_path, keys, MemoryStorage())


def test_a_log_over_months_is_whole(tmp_path: Path, keys: Keys) -> None:
    log, objects = filled(tmp_path, keys)
    assert problems(log) == []
    assert sorted(objects) == [
        "v1/audit/1970/01/000000001.json",
        "v1/audit/1970/01/000000002.json",
        "v1/audit/1970/01/000000003.json",
        "v1/audit/1970/02/000000004.json",
        "v1/audit/1970/02/000000005.json",
        "v1/audit/1970/03/000000006.json",
    ]
    assert len(list(log.folder.glob("0*.json"))) == 6


Damage = Callable[[dict[str, bytes], list[str], Keys], None]


def alter(objects: dict[str, bytes], names: list[str], keys: Keys) -> None:  # noqa: ARG001
    objects[names[2]] = objects[names[2]].replace(b"backup-2", b"backup-9")


def rewrite(objects: dict[str, bytes], names: list[str], keys: Keys) -> None:  # noqa: ARG001
    """With a hash that fits, but nobody's signature over it."""
    entry = parse_entry(objects[names[2]])
    record = dataclasses.replace(entry.record, objects=("other",))
    objects[names[2]] = Entry(record, record.digest, entry.signature).encode()


def rewrite_unsigned(objects: dict[str, bytes], names: list[str], keys: Keys) -> None:  # noqa: ARG001
    record = dataclasses.replace(parse_entry(objects[names[2]]).record, objects=("x",), signer="")
    objects[names[2]] = Entry(record, record.digest).encode()


def remove(objects: dict[str, bytes], names: list[str], keys: Keys) -> None:  # noqa: ARG001
    del objects[names[2]]


def remove_the_first(objects: dict[str, bytes], names: list[str], keys: Keys) -> None:  # noqa: ARG001
    del objects[names[0]], objects[names[1]]


def cut(objects: dict[str, bytes], names: list[str], keys: Keys) -> None:  # noqa: ARG001
    del objects[names[-1]], objects[names[-2]]


def empty(objects: dict[str, bytes], names: list[str], keys: Keys) -> None:  # noqa: ARG001
    objects.clear()


def swap(objects: dict[str, bytes], names: list[str], keys: Keys) -> None:  # noqa: ARG001
    one, other = names[1], names[2]
    objects[one], objects[other] = objects[other], objects[one]


def junk(objects: dict[str, bytes], names: list[str], keys: Keys) -> None:  # noqa: ARG001
    objects[names[2]] = b"\xff{"


def forge(objects: dict[str, bytes], names: list[str], keys: Keys) -> None:  # noqa: ARG001
    """A new end by somebody with a key of his own."""
    last = parse_entry(objects[names[-1]]).record
    record = dataclasses.replace(last, seq=last.seq + 1, prev=last.digest)
    raw = hashlib.sha256(b"mallory").digest()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    signature = Ed25519PrivateKey.from_private_bytes(raw).sign(record.encode())
    place = names[-1].replace("1970/03/000000006", "1970/03/000000007")
    objects[place] = Entry(record, record.digest, signature).encode()


def move(objects: dict[str, bytes], names: list[str], keys: Keys) -> None:  # noqa: ARG001
    objects[names[-1].replace("1970/03", "1970/04")] = objects.pop(names[-1])


def stray(objects: dict[str, bytes], names: list[str], keys: Keys) -> None:  # noqa: ARG001
    objects["v1/audit/notes.txt"] = b"hello"


def fork(objects: dict[str, bytes], names: list[str], keys: Keys) -> None:  # noqa: ARG001
    objects["v1/audit/1970/05/000000003.json"] = objects[names[2]]


@pytest.mark.parametrize(
    ("damage", "expected", "alone"),
    [
        (alter, r"01/000000003.json: altered", True),
        (rewrite, r"01/000000003.json: forged signature", True),
        (rewrite_unsigned, r"02/000000004.json: .*another record 3 .*altered or replaced", True),
        (remove, r"gap: record 3 is missing", True),
        (remove_the_first, r"gap: records 1 to 2 are missing", True),
        (cut, r"truncated: it ends with record 4, but .*fact knows 6", False),
        (empty, r"truncated: it ends with record 0", False),
        (swap, r"000000002.json: reordered: it is record 3, and stands as 2", True),
        (junk, r"000000003.json: altered: it is not an audit record", True),
        (forge, r"000000007.json: forged signature", True),
        (move, r"04/000000006.json: reordered", True),
        (stray, r"notes.txt: it is no audit record", True),
        (fork, r"stands in two places", True),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_every_damage_is_named(
    tmp_path: Path, keys: Keys, damage: Damage, expected: str, *, alone: bool
) -> None:
    """`alone`: found from the store itself, on a machine that remembers nothing."""
    log, objects = filled(tmp_path, keys)
    damage(objects, sorted(objects), keys)
    assert re.search(expected, "\n".join(problems(log)))
    if alone:
        assert re.search(expected, "\n".join(problems(log, remembered=False)))


def test_without_any_signature_the_copies_here_show_a_rewritten_end(tmp_path: Path) -> None:
    keys = Keys()
    log, objects = filled(tmp_path, keys)
    last = max(objects)
    record = dataclasses.replace(parse_entry(objects[last]).record, result="nothing happened")
    objects[last] = Entry(record, record.digest).encode()
    assert problems(log, remembered=False) == []
    assert "altered: record 6 is not the one that this machine's fact knows" in problems(log)[0]


@given(
    data=st.data(), count=st.integers(1, 5), index=st.integers(0, 4), flip=st.integers(0, 10_000)
)
@settings(max_examples=60, deadline=None)
def test_no_flipped_byte_goes_unseen(
    keys: Keys,
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    count: int,
    index: int,
    flip: int,
) -> None:
    log, objects = filled(tmp_path_factory.mktemp("log"), keys, count)
    name = sorted(objects)[index % count]
    body = bytearray(objects[name])
    body[flip % len(body)] ^= 1 << data.draw(st.integers(0, 7))
    objects[name] = bytes(body)
    found = problems(log, remembered=False)
    assert found
    assert any(name in each or f"record {index % count + 1}" in each for each in found)


def test_writers_at_once_make_one_chain(tmp_path: Path, keys: Keys) -> None:
    storage = MemoryStorage()
    logs = [log_at(tmp_path / str(number), keys, storage) for number in range(4)]

    def write(log: AuditLog, number: int) -> None:
        for each in range(5):
            assert log.add(act(number * 10 + each))

    threads = [
        threading.Thread(target=write, args=(log, number)) for number, log in enumerate(logs)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(storage.objects) == 20
    for log in logs:
        assert problems(log) == []


def test_what_a_store_did_not_take_follows(tmp_path: Path, keys: Keys) -> None:
    class Away(MemoryStorage):
        away = True

        def put(self, key: str, data: bytes) -> None:
            if self.away:
                raise Transient("away")
            super().put(key, data)

    storage = Away()
    log = log_at(tmp_path, keys, storage)
    assert not log.add(act(1, 10.0))
    assert not log.add(act(2, 20.0))
    assert len(log.pending()) == 2
    storage.away = False
    assert log.add(act(3, 30.0))
    assert not log.pending()
    found = [parse_entry(data).record for _, data in sorted(storage.objects.items())]
    assert [(each.seq, each.objects[0]) for each in found] == [
        (1, "backup-1"), (2, "backup-2"), (3, "backup-3"),
    ]  # fmt: skip
    assert problems(log) == []


def test_a_damaged_record_does_not_stop_the_next(tmp_path: Path, keys: Keys) -> None:
    log, objects = filled(tmp_path, keys, 2)
    objects["v1/audit/1970/01/000000003.json"] = b"junk"
    assert log.add(act(9))
    assert any("000000003.json: altered" in each for each in problems(log))
    assert not any("000000004" in each for each in problems(log))
