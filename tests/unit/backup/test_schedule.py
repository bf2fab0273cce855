"""Do the files that we print run what the tiers promise, and are they what schedulers take?"""

from __future__ import annotations

import dataclasses
import json
import shlex
import shutil
import subprocess
from pathlib import Path
from zoneinfo import ZoneInfo

import kubernetes_validate
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from sre.backup.model import Declared, Tier, Verify
from sre.backup.scheduling.files import Host, crontab, units
from sre.backup.scheduling.kubernetes import Cluster, manifests
from sre.backup.scheduling.tasks import Task, tasks_of
from sre.backup.scheduling.times import cron_of, interval_of, on_calendar
from sre.backup.storage.local import LocalStore
from sre.backup.tier import Keep
from sre.cli.main import cli
from sre.core.cron import parse_cron
from sre.core.errors import UsageError
from sre.core.units import Duration
from tests.unit.backup.setting import Scene, TarDatabase

GOLD = Tier(
    full="weekly",
    differential="daily",
    incremental="hourly",
    archive=True,
    copies=("offsite",),
    verify=Verify(3, Duration(86400.0)),
    keep=Keep(daily=7),
)
HOST = Host(("/opt/sre tools/bin/sre",), "/etc/sre/100%/sre.yaml")


def declared(name: str = "orders", tier: Tier = GOLD, tier_name: str = "gold") -> Declared:
    database = TarDatabase(Path("/none"))
    return Declared(name, "postgres", database, "main", LocalStore(Path("/mnt/b")), tier_name, tier)


def test_everything_that_the_tier_promises_is_run() -> None:
    found = {task.argv[1:]: task for task in tasks_of([declared()])}
    assert set(found) == {
        ("run", "orders", "--kind", "full"),
        ("run", "orders", "--kind", "differential"),
        ("run", "orders", "--kind", "incremental"),
        ("verify", "orders", "--due"),
        ("copy", "orders", "--watch"),
        ("prune", "orders", "--yes"),
        ("archive", "orders"),
        ("doctor", "main"),
    }
    assert {argv for argv, task in found.items() if not task.cron} == {
        ("copy", "orders", "--watch"),
        ("archive", "orders"),
    }


def test_nothing_promised_is_said() -> None:
    with pytest.raises(UsageError, match="nothing to schedule"):
        tasks_of([declared(tier=Tier(), tier_name="")])


@given(
    st.lists(
        st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True), unique=True, max_size=4,
        min_size=1,
    )
)  # fmt: skip
def test_names_are_unique_and_short_enough(names: list[str]) -> None:
    tasks = tasks_of([declared(name) for name in names])
    found = [task.name for task in tasks]
    assert len(set(found)) == len(found)
    assert all(len(each) <= 52 and each[-1].isalnum() for each in found)


@given(
    st.one_of(
        st.sampled_from(["hourly", "daily", "weekly", "monthly", "1d", "7d"]),
        st.sampled_from([1, 2, 5, 10, 15, 20, 30]).map(lambda n: f"{n}m"),
        st.sampled_from([1, 2, 3, 4, 6, 8, 12]).map(lambda n: f"{n}h"),
    ),
    st.text(max_size=20),
)
def test_a_rhythm_is_kept(rhythm: str, name: str) -> None:
    """Never longer between two than what was asked for; at another minute for another name."""
    cron = cron_of(rhythm, name)
    assert interval_of(cron) <= interval_of(rhythm)
    assert cron == cron_of(rhythm, name)


@pytest.mark.parametrize("rhythm", ["sometimes", "7h", "90m", "10s", "* * *", "61 * * * *", ""])
def test_what_no_scheduler_keeps_is_refused(rhythm: str) -> None:
    with pytest.raises(UsageError, match=r"tiers\.gold\.full: "):
        tasks_of([declared(tier=dataclasses.replace(GOLD, full=rhythm))])


def test_times_are_spread() -> None:
    assert len({cron_of("daily", f"db{n}") for n in range(50)}) > 30


def test_a_crontab_is_one(tmp_path: Path) -> None:
    text = crontab(tasks_of([declared()]), HOST)
    jobs = [line for line in text.splitlines() if line and line[0] in "0123456789*"]
    assert len(jobs) == 8
    for line in jobs:
        parse_cron(" ".join(line.split(" ", 5)[:5]))
        command = line.split(" ", 5)[5]
        assert "%" not in command.replace(r"\%", "")
        shell = command.replace(r"\%", "%")
        subprocess.run(["/bin/sh", "-n", "-c", shell], check=True)
        inner = shlex.split(shell.partition(" >>")[0])[-1]
        assert "exec '/opt/sre tools/bin/sre' backup" in inner
        assert "--config /etc/sre/100%/sre.yaml" in inner


def test_the_line_of_a_crontab_runs(tmp_path: Path) -> None:
    """By /bin/sh as cron does it: the environment arrives, the exit code is in nobody's way."""
    program = tmp_path / "a sre"
    program.write_text('#!/bin/sh\necho "$DSN $SRE_STATE $*"\n')
    program.chmod(0o755)
    (tmp_path / "env").write_text("DSN='of the file'\n")
    host = Host((str(program),), "/x.yaml", str(tmp_path / "env"), str(tmp_path))
    task = Task("t", ("backup", "run", "orders"), "1 2 * * *", "")
    line = crontab([task], host).splitlines()[-1].split(" ", 5)[5].replace(r"\%", "%")
    subprocess.run(["/bin/sh", "-c", line], check=True)
    assert (tmp_path / "t.log").read_text() == (
        f"of the file {tmp_path} backup run orders --config /x.yaml --no-progress\n"
    )


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    program = tmp_path / "sre 100% $HOME"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    host = Host((str(program),), "/etc/sre/s re.yaml", user="root", writes=("/mnt/a b",))
    files = units(tasks_of([declared()]), host)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in files)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    ours = [line for line in done.stderr.splitlines() if "sre-backup" in line]
    assert (done.returncode, ours) == (0, []), done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
@pytest.mark.parametrize(
    "cron",
    ["17 3 * * *", "5 * * * *", "*/15 * * * *", "40 1,13 * * 0", "0 4 1-7 2 *", "30 2 * * 1-5"],
)
def test_systemd_begins_when_cron_does(cron: str) -> None:
    [calendar] = on_calendar(cron)
    done = subprocess.run(
        ["systemd-analyze", "calendar", "--base-time", "2026-01-01 00:00:00 UTC",
         "--iterations", "3", f"{calendar} UTC"],
        capture_output=True, text=True, timeout=30, env={"TZ": "UTC", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    import datetime

    base = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC).timestamp()
    starts = list(parse_cron(cron).starts(base, base + 400 * 86400, ZoneInfo("UTC")))[:3]
    for start in starts:
        moment = datetime.datetime.fromtimestamp(start, datetime.UTC)
        assert f"{moment:%Y-%m-%d %H:%M}:00 UTC" in done.stdout


def test_either_kind_of_day_is_two_calendars() -> None:
    assert len(on_calendar("0 4 1 * mon")) == 2


@pytest.mark.parametrize("version", ["1.27", kubernetes_validate.latest_version()])
def test_kubernetes_takes_the_objects(version: str) -> None:
    found = manifests(tasks_of([declared(), declared("a" * 63)]), Cluster("registry/sre:1"))
    for each in found:
        kubernetes_validate.validate(each, version, strict=True)
    crons = [each for each in found if each["kind"] == "CronJob"]
    assert crons
    assert all(each["spec"]["concurrencyPolicy"] == "Forbid" for each in crons)
    assert sum(each["kind"] == "Deployment" for each in found) == 4


def test_the_command_prints_no_secret_and_writes_files(tmp_path: Path) -> None:
    scene = Scene(
        tmp_path,
        "postgresql://u:verysecret@h/d",
        {"kind": "local", "path": str(tmp_path / "store")},
    )
    scene.write()
    text = scene.config.read_text()
    scene.config.write_text(text.replace("{rpo: 60s,", "{full: daily, rpo: 60s,"))
    common = ["--config", str(scene.config)]
    env = {"ORDERS_DSN": scene.dsn}
    for kind, more in (("cron", []), ("systemd", []), ("kubernetes", ["--image", "r/sre:1"])):
        done = CliRunner().invoke(cli, ["backup", "schedule", kind, *more, *common], env=env)
        assert done.exit_code == 0, done.output
        assert "verysecret" not in done.output
        assert "--due" in done.output
    out = tmp_path / "units"
    argv = ["backup", "schedule", "systemd", "orders", "--out", str(out), "--format", "json"]
    done = CliRunner().invoke(cli, [*argv, *common], env=env)
    assert json.loads(done.output)["schema"] == "sre.schedule/1"
    assert (out / "sre-backup-full-orders.timer").exists()
    assert f"ReadWritePaths={tmp_path}" in (out / "sre-backup-full-orders.service").read_text()
