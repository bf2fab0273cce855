"""Does the doctor see what kind of folder a store is, and what does it conclude from it?"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.backup.doctor import local_checks
from sre.backup.doctor.examine import examine, wanted_of
from sre.backup.doctor.judge import CAPABILITIES, capability, degraded, exit_code, failed
from sre.backup.doctor.known import capabilities, fact_name, many_writers_or_refuse
from sre.backup.doctor.local_checks import LOCAL_CHECKS
from sre.backup.doctor.local_scene import LocalScene, mount_of
from sre.backup.doctor.model import Check, Report, Result
from sre.backup.doctor.render import report_as_json, report_as_text
from sre.backup.job import Job
from sre.backup.model import Backups
from sre.backup.storage.local import LocalStore
from sre.core.clock import Deadline, FakeClock
from sre.core.errors import IntegrityError, Locked, Refused, Transient, UsageError

MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:25 / /dev/shm rw,nosuid shared:2 - tmpfs tmpfs rw
31 22 8:1 / /mnt/two\\040words rw shared:3 master:1 - xfs /dev/sdb1 rw
32 22 0:50 / /mnt rw - nfs4 server:/x rw
"""


def job_of(path: Path, state: Path) -> Job:
    return Job(Backups({"disk": LocalStore(path)}), state=state)


def found(report: Report) -> dict[str, str]:
    return {each.name: each.state for each in report.results}


def test_a_folder_works_and_nothing_is_left(tmp_path: Path) -> None:
    store = tmp_path / "a" / "store"
    job = job_of(store, tmp_path / "state")
    report = examine(job, "disk")
    bad = {name for name, state in found(report).items() if state != "holds"}
    assert bad <= {"own-disk", "filesystem", "free-space"}
    assert not (tmp_path / "a").exists()
    known = capabilities(job.facts, "disk", job.backups.stores["disk"])
    assert known.known
    assert known.conditional_put
    assert not known.object_lock
    many_writers_or_refuse(known, "disk")


def test_what_stood_there_stays(tmp_path: Path) -> None:
    storage = LocalStore(tmp_path / "store").open()
    storage.put("v1/real", b"untouched")
    examine(job_of(tmp_path / "store", tmp_path / "state"), "disk")
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["v1"]
    assert storage.get("v1/real") == b"untouched"


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no memory filesystem here")
def test_memory_is_no_disk(tmp_path: Path) -> None:
    path = Path("/dev/shm") / f"doctor-{os.getpid()}"
    report = examine(job_of(path, tmp_path), "disk")
    assert found(report)["filesystem"] == "broken"
    assert exit_code(report) == 1
    assert not path.exists()


def test_a_folder_for_everybody_is_unsafe(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store").chmod(0o777)
    report = examine(job_of(tmp_path / "store", tmp_path / "state"), "disk")
    assert [each.name for each in failed(report)] == ["permissions"]
    assert "chmod o-w" in report_as_text(report)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("")
    with pytest.raises(UsageError, match="is not a folder"):
        examine(job_of(tmp_path / "store", tmp_path / "state"), "disk")


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.EACCES, Refused), (errno.EROFS, Refused), (errno.ENOSPC, Transient)],
)
def test_a_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    def mkdir(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    scene = LocalScene(tmp_path / "store", FakeClock(), Deadline.after(5))
    monkeypatch.setattr("sre.backup.doctor.local_scene.Path.mkdir", mkdir)
    with pytest.raises(kind, match="store"):
        scene.open()


def lying(monkeypatch: pytest.MonkeyPatch, name: str, what: Callable[..., Any]) -> None:
    monkeypatch.setattr(local_checks.os, name, what)


def test_links_that_replace_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(old: Any, new: Any) -> None:
        Path(new).write_bytes(Path(old).read_bytes())

    lying(monkeypatch, "link", link)
    states = found(examine(job_of(tmp_path / "store", tmp_path / "state"), "disk"))
    assert states["create-once"] == states["create-race"] == "broken"


def test_a_disk_without_links_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: Any) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    lying(monkeypatch, "link", link)
    job = job_of(tmp_path / "store", tmp_path / "state")
    report = examine(job, "disk")
    assert found(report)["create-once"] in {"absent", "denied"}
    assert exit_code(report) in {1, 5}
    known = capabilities(job.facts, "disk", job.backups.stores["disk"])
    with pytest.raises(Refused, match="let one host alone write"):
        many_writers_or_refuse(known, "disk")


def test_one_at_a_time(tmp_path: Path) -> None:
    job = job_of(tmp_path / "store", tmp_path / "state")
    with job.lock("doctor", "disk"), pytest.raises(Locked):
        examine(job, "disk")


def test_mounts() -> None:
    assert mount_of(Path("/srv/x"), MOUNTS) == ("/", "ext4")
    assert mount_of(Path("/dev/shm/x"), MOUNTS) == ("/dev/shm", "tmpfs")
    assert mount_of(Path("/mnt/two words/x"), MOUNTS) == ("/mnt/two words", "xfs")
    assert mount_of(Path("/mnt/two"), MOUNTS) == ("/mnt", "nfs4")
    assert mount_of(Path("/x"), "") == ("/", "")


def test_a_damaged_fact_is_named(tmp_path: Path) -> None:
    job = job_of(tmp_path / "store", tmp_path / "state")
    job.facts.publish(fact_name("disk"), {"where": "x"})
    with pytest.raises(IntegrityError, match="sre backup doctor disk"):
        capabilities(job.facts, "disk", job.backups.stores["disk"])
    examine(job, "disk")
    assert capabilities(job.facts, "disk", job.backups.stores["disk"]).known


def test_a_bug_in_a_check_is_not_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(_scene: Any) -> Any:
        raise ZeroDivisionError

    checks = (Check("put-get", "a", "b", "data", bug),)
    monkeypatch.setattr("sre.backup.doctor.local_patient.LOCAL_CHECKS", checks)
    with pytest.raises(ZeroDivisionError):
        examine(job_of(tmp_path / "store", tmp_path / "state"), "disk")
    assert not (tmp_path / "store").exists()


STATES = ("holds", "absent", "broken", "denied", "unknown", "skipped")
SEVERITIES = ("data", "feature", "note")
RESULT = st.builds(
    Result,
    st.sampled_from(sorted({name for names in CAPABILITIES.values() for name in names})),
    st.just("p"), st.just("m"), st.sampled_from(SEVERITIES), st.sampled_from(STATES),
    st.just("f"), st.just(0.0),
)  # fmt: skip
REPORTS = st.lists(RESULT, unique_by=lambda each: each.name).map(
    lambda results: Report("s", "s3", "w", 0.0, 0.0, tuple(results))
)


@given(REPORTS)
def test_the_exit_code_is_good_only_when_all_that_matters_holds(report: Report) -> None:
    weighty = [r for r in report.results if r.severity != "note"]
    if all(r.state in {"holds", "skipped"} for r in weighty) and not failed(report):
        assert exit_code(report) == 0
    else:
        assert exit_code(report) in {1, 3, 4, 5}
    assert not set(failed(report)) & set(degraded(report))


@given(REPORTS)
def test_nothing_can_be_relied_on_that_was_not_seen(report: Report) -> None:
    states = {each.name: each.state for each in report.results}
    for name, checks in CAPABILITIES.items():
        if capability(report.results, name):
            assert all(states.get(check) == "holds" for check in checks)


@given(REPORTS)
def test_both_forms_name_what_is_wrong(report: Report) -> None:
    text, made = report_as_text(report), json.loads(report_as_json(report))
    assert made["schema"] == "sre.doctor/1"
    assert made["exit_code"] == exit_code(report)
    for each in (*failed(report), *degraded(report)):
        assert each.name in text
        assert each.name in made["failed"] + made["degraded"]


def test_what_nobody_wants_is_a_note(tmp_path: Path) -> None:
    job = job_of(tmp_path, tmp_path)
    assert wanted_of(job.backups, "disk") == frozenset()
    assert len(LOCAL_CHECKS) == len({each.name for each in LOCAL_CHECKS})


def sre(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "sre", *words]
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


CONFIG = """\
version: 1
shop: {name: s, base_url: "http://127.0.0.1:1"}
stores: {disk: {kind: local, path: store}}
"""


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "sre.yaml").write_text(CONFIG)
    plain = sre("backup", "doctor", "disk", cwd=tmp_path)
    assert plain.returncode in {0, 3}, plain.stderr
    assert plain.stdout.startswith("CHECK")
    made = sre("backup", "doctor", "disk", "--format", "json", cwd=tmp_path)
    assert json.loads(made.stdout)["schema"] == "sre.doctor/1"
    assert json.loads(made.stdout)["exit_code"] == made.returncode
    dry = sre("backup", "doctor", "disk", "--dry-run", cwd=tmp_path)
    assert dry.stdout.startswith("would try 20 things in disk")
    short = sre("backup", "doctor", "disk", "--timeout", "1s", cwd=tmp_path)
    assert short.returncode == 2
    store = tmp_path / "store"
    left = {path.relative_to(store).parts[:2] for path in store.rglob("*") if path.is_file()}
    assert left == {("v1", "audit")}
