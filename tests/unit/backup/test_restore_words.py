"""Does `sre backup restore` refuse what it cannot do together, and say what can be done?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from sre.backup.job import Job
from sre.backup.model import Keys, Tier
from sre.backup.objects import ObjectInfo
from sre.backup.restoring.landing import beside, must_be_free
from sre.backup.storage.memory import MemoryStorage
from sre.cli import backup_restore
from sre.cli.backup_parts import seconds_of
from sre.cli.backup_restore import restore_command
from sre.core.errors import SreError, Transient, UsageError
from tests.unit.backup.setting import TarDatabase, make_job


class Away(MemoryStorage):
    """A store that does not answer."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        raise Transient("the store does not answer")


def job_with_copies(tmp_path: Path) -> Job:
    made = make_job(
        tmp_path,
        Keys(trusted=("ed25519:" + "A" * 43 + "=",)),
        TarDatabase(tmp_path / "none"),
        storage=Away(),
    )
    declared = made.backups.databases["orders"]
    declared = dataclasses.replace(declared, tier=Tier(copies=("far",)))
    backups = dataclasses.replace(made.backups, databases={"orders": declared})
    return dataclasses.replace(made, backups=backups)


def restoring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *words: str
) -> tuple[type[SreError], str]:
    """What `sre backup restore orders …` ends with."""
    monkeypatch.setattr(backup_restore, "job_of", lambda _run: job_with_copies(tmp_path))
    command: click.Command = restore_command
    done = CliRunner().invoke(command, ["orders", *words], standalone_mode=False)
    assert isinstance(done.exception, SreError), done.output
    return type(done.exception), str(done.exception)


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("--at", "2026-11-22T10:00:00Z"), "--at"),
        (("--lsn", "1/0", "--exclusive"), "--lsn"),
        (("--before-order", "o'1"), "--before-order"),
        (("--latest",), "--latest"),
        (("--no-recover",), "--no-recover"),
    ],
)
def test_single_tables_come_from_the_end_of_a_physical_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], option: str
) -> None:
    into = ("--to", "env:COPY", "--table", "orders")
    kind, said = restoring(tmp_path, monkeypatch, *into, *words)
    assert kind is UsageError
    assert said.startswith(f"{option} needs a folder: restore with {option} --to DIR")


@pytest.mark.parametrize("more", [(), ("--dry-run",), ("--latest",)])
def test_a_store_that_is_away_is_said_with_its_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    kind, said = restoring(tmp_path, monkeypatch, "--to", str(tmp_path / "out"), *more)
    assert kind is Transient
    assert said.endswith("its copies are elsewhere: add --from far")


@pytest.mark.parametrize(
    "name", ["/proc/x", "/proc/x/y/z", "/dev/null/x", "/var/tmp/" + "n" * 250], ids=lambda n: n[:12]
)
def test_a_folder_that_cannot_be_made_is_named(name: str) -> None:
    with pytest.raises(UsageError, match="cannot make /") as told:
        must_be_free(Path(name))
        with beside(Path(name), 0):
            raise AssertionError("it was made")
    assert "\n" not in str(told.value)
    assert told.value.exit_code == 2


def test_a_folder_that_can_be_made_is_left_as_it_was(tmp_path: Path) -> None:
    must_be_free(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    with beside(tmp_path / "a" / "b", 0) as box:
        assert box.is_dir()
    assert list((tmp_path / "a").iterdir()) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [("9s", "--timeout must be at least 10s: no"), ("soon", "--timeout: "), ("", "--timeout: ")],
)
def test_a_duration_on_the_command_line_names_its_option(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        seconds_of("--timeout", text, 10, ": no")
    assert str(caught.value).startswith(said)
    assert seconds_of("--timeout", "10s", 10) == 10
