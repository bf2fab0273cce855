"""Does every action get into the audit log, and no secret; and what does the command say of it?"""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sre.backup.audit.chain import Known, check_chain
from sre.backup.audit.doing import audit_log, audited
from sre.backup.audit.look import verify_audit
from sre.backup.audit.record import parse_entry, safe_argv
from sre.backup.job import Job
from sre.backup.keys import new_keys, public_of, sign
from sre.backup.model import Keys
from sre.backup.pruning.marks import hold, release
from sre.backup.pruning.prune import prune
from sre.backup.restoring.restore import restore_to
from sre.backup.runner import run_backup
from sre.backup.storage.memory import MemoryStorage
from sre.backup.verifying.verify import verify
from sre.core.errors import CheckFailed, Transient
from sre.core.secrets import Secret
from tests.unit.backup.audited import act, filled, job_at, log_at, problems
from tests.unit.backup.setting import make_keys


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys") / "k")


@pytest.fixture
def job(tmp_path: Path, keys: Keys) -> Job:
    return job_at(tmp_path, keys, MemoryStorage())


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


class Away(MemoryStorage):
    """It lists, and no more."""

    def get(self, key: str) -> bytes:
        raise Transient("it does not answer")

    def put(self, key: str, data: bytes) -> None:
        raise Transient("it does not answer")


def test_verifications_are_recorded_with_level_and_outcome(job: Job) -> None:
    made = run_backup(job, "orders")
    assert verify(job, made.id, 1).passed
    storage = job.storages["main"]
    assert isinstance(storage, MemoryStorage)
    del storage.objects[made.volumes[0].object]
    assert not verify(job, made.id, 2).passed
    away = Away()
    away.objects = storage.objects
    with pytest.raises(Transient):
        verify(dataclasses.replace(job, storages={"main": away}), made.id, 0)
    assert verify(job, made.id, 0).exit_code == 7  # brings along what the store did not take
    log = audit_log(job, "main")
    records = [parse_entry(data).record for _, data in sorted(log.objects().items())][1:]
    assert [(each.action, each.objects) for each in records] == [
        ("verify", (made.id, f"level {level}")) for level in (1, 2, 0, 0)
    ]
    assert records[0].result == "ok: level 1 passed"
    assert records[1].result.startswith(f"failed 7 at level 2: {made.volumes[0].object}: ")
    assert records[2].result.startswith("failed 4 Transient: ")
    assert problems(log) == []
    assert verify_audit(job, "main").checked.faults == ()


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
