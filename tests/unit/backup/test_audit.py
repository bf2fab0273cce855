"""Is every kind of damage to the audit log found and named, and does every action get in?"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sre.backup.audit.chain import Known, check_chain
from sre.backup.audit.doing import audit_log, audited
from sre.backup.audit.log import Action, AuditLog
from sre.backup.audit.look import verify_audit
from sre.backup.audit.record import Entry, parse_entry, safe_argv
from sre.backup.job import Job
from sre.backup.keys import new_keys, public_of, sign
from sre.backup.model import Keys
from sre.backup.objects import Storage
from sre.backup.pruning.marks import hold, release
from sre.backup.pruning.prune import prune
from sre.backup.restoring.restore import restore_to
from sre.backup.runner import run_backup
from sre.backup.storage.memory import MemoryStorage
from sre.core.clock import FakeClock
from sre.core.errors import CheckFailed, Transient
from sre.core.secrets import Secret
from tests.unit.backup.setting import TarDatabase, make_job, make_keys, make_tar, shop_files

MONTH = 31 * 86400.0


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys") / "k")


@pytest.fixture
def job(tmp_path: Path, keys: Keys) -> Job:
    return job_at(tmp_path, keys, MemoryStorage())


def job_at(folder: Path, keys: Keys, storage: Storage, then: str = "") -> Job:
    tar = make_tar(folder / "t", shop_files())
    return make_job(folder / "state", keys, TarDatabase(tar, then), storage=storage)


def log_at(folder: Path, keys: Keys, storage: Storage, clock: FakeClock | None = None) -> AuditLog:
    return AuditLog(storage, keys, "main-1", folder, clock or FakeClock())


def act(number: int = 0, at: float = 1_000_000.0) -> Action:
    return Action(at, ("sre", "backup"), "run", (f"backup-{number}",), "ok", number)


def filled(folder: Path, keys: Keys, count: int = 6) -> tuple[AuditLog, dict[str, bytes]]:
    storage = MemoryStorage()
    log = log_at(folder, keys, storage)
    for number in range(count):
        assert log.add(act(number, 1_000_000 + number * MONTH / 2))
    return log, storage.objects


def problems(log: AuditLog, *, remembered: bool = True) -> list[str]:
    known = log.known() if remembered else []
    checked = check_chain(log.objects(), known, log.keys.trusted)
    return [f"{fault.object}: {fault.problem}" for fault in checked.faults]


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


def test_run_and_restore_are_recorded_good_or_bad(job: Job, tmp_path: Path, keys: Keys) -> None:
    first = run_backup(job, "orders")
    assert first.audit_head is None
    restore_to(job, first.id, tmp_path / "out")
    storage = job.storages["main"]
    with pytest.raises(CheckFailed):
        run_backup(job_at(tmp_path, keys, storage, "exit 3"), "orders")
    second = run_backup(job, "orders")
    log = audit_log(job, "main")
    records = [parse_entry(data).record for _, data in sorted(log.objects().items())]
    assert [(each.action, each.objects[-1], each.fence) for each in records] == [
        ("run", first.id, 1),
        ("restore", str(tmp_path / "out"), None),
        ("run", records[2].objects[-1], 2),
        ("run", second.id, 3),
    ]
    assert "exit code 3" in records[2].result
    assert records[0].result == "ok"
    assert second.audit_head == {"seq": 3, "sha256": records[2].digest}
    assert verify_audit(job, "main").checked.faults == ()


def test_retention_and_holds_are_recorded(job: Job) -> None:
    made = run_backup(job, "orders")
    hold(job, made.id, "the auditors want it")
    release(job, made.id)
    prune(job, ["orders"])
    log = audit_log(job, "main")
    records = [parse_entry(data).record for _, data in sorted(log.objects().items())]
    assert [(each.action, each.objects[0], each.fence) for each in records[1:]] == [
        ("hold", made.id, None), ("release", made.id, None), ("prune", "orders", 1),
    ]  # fmt: skip
    assert records[-1].result == "ok: deleted nothing"
    assert problems(log) == []


def test_the_newest_manifest_knows_the_end(job: Job, tmp_path: Path, keys: Keys) -> None:
    """A machine that remembers nothing still sees that the end was cut off."""
    for _ in range(2):
        run_backup(job, "orders")
    storage = job.storages["main"]
    assert isinstance(storage, MemoryStorage)
    for key in [key for key in storage.objects if key.startswith("v1/audit/")]:
        del storage.objects[key]
    elsewhere = dataclasses.replace(job, state=tmp_path / "elsewhere")
    fault = verify_audit(elsewhere, "main").checked.faults[0]
    assert re.search("truncated: it ends with record 0, but the manifest of .* knows 1", str(fault))


def test_no_secret_gets_in(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = Secret.literal("hunter2hunter2")
    planted.reveal()
    secret_line = (job.backups.keys.identity or planted).reveal().splitlines()[-1]
    monkeypatch.setattr(
        sys, "argv",
        ["sre", "backup", "--dsn", "postgres://app:pw-in-url@db/x", "--password=open-sesame",
         "hunter2hunter2", "AGE-SECRET-KEY-1QQQQQQQQQQ", "host=db password=dsn-word user=x"],
    )  # fmt: skip
    with pytest.raises(CheckFailed), audited(job, "main", "run", "hunter2hunter2"):
        raise CheckFailed(f"could not log in with hunter2hunter2 {secret_line}")
    everything = str(audit_log(job, "main").objects()) + "".join(
        path.read_text() for path in job.state.rglob("*") if path.is_file()
    )
    for secret in (
        "hunter2", "pw-in-url", "open-sesame", "QQQQQQ", "dsn-word", secret_line,
    ):  # fmt: skip
        assert secret not in everything
    assert "postgres://app:<secret>@db/x" in everything


def test_a_command_line_keeps_what_is_no_secret() -> None:
    argv = ("sre", "backup", "run", "orders", "--config=x.yaml", "s3://bucket/a@b")
    assert safe_argv(argv) == argv


def test_a_signature_of_a_key_that_is_not_trusted(tmp_path: Path, keys: Keys) -> None:
    other = tmp_path / "other"
    new_keys(other)
    stranger = Keys(signing=Secret.from_file(other / "signing"))
    log, objects = filled(tmp_path, stranger, 1)
    assert public_of(stranger.signing) not in keys.trusted
    assert sign(b"x", stranger.signing)
    assert "forged signature" in check_chain(objects, log.known(), keys.trusted).faults[0].problem


def test_what_is_known_but_gone(tmp_path: Path, keys: Keys) -> None:
    log, _ = filled(tmp_path, keys, 2)
    checked = check_chain(log.objects(), [Known("a friend", 5, "00")], keys.trusted)
    assert "a friend knows 5" in checked.faults[0].problem


def test_the_command(tmp_path: Path) -> None:
    """`sre audit show|verify` in a process of its own, on a folder that was tampered with."""
    keys = make_keys(tmp_path / "keys")
    (tmp_path / "sre.yaml").write_text(
        f"""\
version: 1
shop: {{name: demo, base_url: "http://127.0.0.1:9"}}
stores: {{main: {{kind: local, path: {tmp_path}/store}}}}
keys: {{trusted: ["{keys.trusted[0]}"]}}
"""
    )
    from sre.backup.storage.local import LocalStorage

    log = log_at(tmp_path / "state-elsewhere", keys, LocalStorage(tmp_path / "store"))
    for number in range(3):
        log.add(act(number))

    def sre(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "sre", "audit", *arguments, "--config",
             str(tmp_path / "sre.yaml")],
            capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False,
        )  # fmt: skip

    whole = sre("verify")
    assert (whole.returncode, "is whole: 3 records" in whole.stdout) == (0, True), whole.stderr
    shown = json.loads(sre("show", "--format", "json").stdout)
    assert shown["schema"] == "sre.audit/1"
    assert [each["seq"] for each in shown["records"]] == [1, 2, 3]
    assert "backup-1" in sre("show").stdout
    assert sre("show", "--since", "1d").stdout.strip() == "no records"
    assert sre("show", "--since", "yesterday").returncode == 2
    assert sre("verify", "--store", "other").returncode == 2
    victim = tmp_path / "store" / "v1" / "audit" / "1970" / "01" / "000000002.json"
    victim.write_bytes(victim.read_bytes().replace(b"backup-1", b"backup-7"))
    bad = sre("verify", "--format", "json")
    assert bad.returncode == 7
    [store] = json.loads(bad.stdout)["stores"]
    assert "000000002.json" in store["problems"][0]["object"]
