"""Does `sre check` hold the repository's own chain together, and name what breaks it?"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sre.core.facts import Facts
from sre.core.yamlread import read_tree
from sre.demo.postgres import EmbeddedPostgres
from sre.runbook.store import digest_of
from sre.settings import load_settings
from tests.servers.net import free_port

ROOT = Path(__file__).parent.parent.parent
CHAIN = ("config", "links", "fresh")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of the declaration and the runbooks, as in a clone."""
    for name in ("examples", "runbooks"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "docs").mkdir()
    for page in (ROOT / "docs").glob("*.md"):  # runbooks may link there
        shutil.copy(page, tmp_path / "docs")
    (tmp_path / ".git").mkdir()
    return tmp_path


def check(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """`sre check` in `folder`, with no variable that holds a secret."""
    bare = {name: text for name, text in os.environ.items() if name not in {"AK", "SK"}}
    bare.pop("ORDERS_DSN", None)
    return subprocess.run(
        [sys.executable, "-m", "sre", "check", *words],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
        env={**bare, "PYTHONPATH": str(ROOT), "SRE_STATE": str(folder / "state"), **env},
    )


def problems(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    document = json.loads(done.stdout)
    assert document["schema"] == "sre.check/1"
    keys = {"rule", "severity", "path", "file", "line", "message", "remedy"}
    assert all(keys <= each.keys() for each in document["problems"])
    return list(document["problems"])


def test_the_links_of_the_example_are_whole(clone: Path) -> None:
    done = check(clone, "--config", "examples/demo.yaml", "--only", "links")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[-1].startswith("examples/demo.yaml: good; 4 journeys, ")
    assert all(line.startswith("warning: examples/demo.yaml:") for line in lines[1:-1])


@pytest.mark.parametrize("name", ["checkout-failing", "checkout-slow"])
def test_a_runbook_that_was_removed_is_named_with_what_mends_it(clone: Path, name: str) -> None:
    (clone / "runbooks" / f"{name}.md").unlink()
    done = check(clone, "--config", "examples/demo.yaml", "--only", "links")
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if f"there is no runbook '{name}'" in line]
    assert lines
    for line in lines:
        assert line.startswith("examples/demo.yaml:")
        assert ".runbook: " in line
        assert line.endswith(f"then: sre runbook lint runbooks/{name}.md")
    shutil.copy(ROOT / f"runbooks/{name}.md", clone / "runbooks")
    assert check(clone, "--config", "examples/demo.yaml", "--only", "links").returncode == 0


def test_without_the_runbook_that_restores_no_database_is_safe(clone: Path) -> None:
    (clone / "runbooks/restore-order-database.md").unlink()
    done = check(clone, "--config", "examples/demo.yaml", "--only", "links")
    assert done.returncode == 1
    assert "databases.orders: no runbook restores 'orders'; write runbooks/" in done.stdout
    # others link to it: dead links count too
    assert "restore-order-database.md leads nowhere" in done.stdout


@pytest.mark.parametrize("example", sorted(p.name for p in (ROOT / "examples").glob("backup-*")))
def test_the_examples_of_backups_are_whole(clone: Path, example: str) -> None:
    done = check(clone, "--config", f"examples/{example}", "--only", "links", "--format", "json")
    assert done.returncode == 0, done.stdout
    assert {each["rule"] for each in problems(done)} <= {"runbook-alert"}


def test_the_example_with_everything_lacks_one_runbook_and_nothing_else(clone: Path) -> None:
    found = check(clone, "--config", "examples/backups.yaml", "--only", "links", "--format", "json")
    broken = [each for each in problems(found) if each["severity"] == "error"]
    assert [(each["rule"], each["path"]) for each in broken] == [
        ("database-runbook", "databases.customers")
    ]


def test_nothing_but_the_declaration_is_read_for_config(clone: Path) -> None:
    shutil.rmtree(clone / "runbooks")
    done = check(clone, "--config", "examples/demo.yaml", "--only", "config")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("examples/demo.yaml: good; ")
    assert not (clone / "state").exists()


@pytest.mark.parametrize("part", [[], ["--only", "config"], ["--only", "links"]])
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_wrong_declaration_ends_with_all_its_problems(
    clone: Path, part: list[str], form: str
) -> None:
    path = clone / "examples/demo.yaml"
    path.write_text(path.read_text().replace("target: 99%", "target: 100%"))
    done = check(clone, "--config", "examples/demo.yaml", "--format", form, *part)
    assert done.returncode == 2
    if form == "json":
        found = problems(done)
        assert [each["rule"] for each in found] == ["config"] * 3
        assert found[0]["path"].startswith("objectives[0]")
        assert found[0]["remedy"] == "try '99.9%'"
    else:
        assert done.stderr.count("target must be above 0% and below 100%") == 3


def test_links_in_json(clone: Path) -> None:
    (clone / "runbooks/checkout-slow.md").unlink()
    done = check(clone, "--config", "examples/demo.yaml", "--only", "links", "--format", "json")
    assert done.returncode == 1
    (found,) = (each for each in problems(done) if each["rule"] == "runbook-missing")
    assert found["severity"] == "error"
    assert (found["file"], found["path"]) == ("examples/demo.yaml", "objectives[1].runbook")
    line = (clone / "examples/demo.yaml").read_text().splitlines()[found["line"] - 1]
    assert line[found["col"] - 1 :].startswith("runbook: checkout-slow")


def rehearse_all(folder: Path) -> None:
    """As if every runbook had just been rehearsed here."""
    facts = Facts(folder / "state")
    for path in (folder / "runbooks").glob("*.md"):
        digest = digest_of(path.read_text())
        record = {"run": "r", "at": time.time(), "result": "passed", "seconds": 1, "digest": digest}
        facts.publish(f"runbook.{path.stem}", {"last_run": record, "last_rehearsal": record})


def test_a_store_that_does_not_answer_is_exit_4_when_nothing_else_can(clone: Path) -> None:
    rehearse_all(clone)
    path = clone / "examples/demo.yaml"
    dead = path.read_text().replace("127.0.0.1:18333", f"127.0.0.1:{free_port()}")
    path.write_text(dead.replace("addressing: path,", "addressing: path, attempts: 1,"))
    words = ("--config", "examples/demo.yaml", "--only", "fresh")
    done = check(clone, *words, AK="key-of-nobody", SK="secret-of-nobody")
    assert done.returncode == 4, done.stdout
    assert "databases.orders.store: the store 'main' said nothing" in done.stdout
    assert "secret-of-nobody" not in done.stdout + done.stderr
    assert check(clone, *words).returncode == 2  # no credentials: nothing that time mends
    Facts(clone / "state").publish(
        "backup/orders/run",
        {
            "attempt": {"at": 1.0, "exit_code": 0},
            "success": {"id": "x", "at": 1.0, "consistent": 1.0},
        },
    )
    done = check(clone, *words, AK="key-of-nobody", SK="secret-of-nobody")
    assert done.returncode == 1  # what is known here is stale
    assert "warning: examples/demo.yaml:" in done.stdout
    assert "sre backup verify orders --level 3" in done.stdout


def test_a_store_in_a_folder_that_is_empty(clone: Path) -> None:
    rehearse_all(clone)
    path = clone / "examples/backup-local.yaml"
    path.write_text(path.read_text().replace("/mnt/backups", str(clone / "store")))
    done = check(clone, "--config", "examples/backup-local.yaml", "--only", "fresh")
    assert done.returncode == 1
    assert done.stdout.splitlines()[1:-1] == [
        "examples/backup-local.yaml:13:3 databases.orders: there is no committed backup of "
        "'orders'; sre backup run orders",
        "warning: examples/backup-local.yaml:5:3 stores.disk: nobody has tried what the store "
        "'disk' really does; sre backup doctor disk",
    ]


def test_without_a_part_all_are_checked(clone: Path) -> None:
    done = check(clone, "--config", "examples/demo.yaml")
    assert done.returncode == 1
    heads = [line.partition(":")[0] for line in done.stdout.splitlines()]
    assert [head for head in heads if head in CHAIN] == ["links", "fresh"]
    assert done.stdout.splitlines()[-1].startswith("examples/demo.yaml: not whole; ")


def test_a_missing_file_is_wrong_usage(clone: Path) -> None:
    for form in ("text", "json"):
        done = check(clone, "--format", form)
        assert done.returncode == 2
        assert "sre.yaml: no such file" in done.stderr


def test_the_example_is_the_demo() -> None:
    """Its journeys go the same ways; what the demo promises, it promises too."""
    example = read_tree(ROOT / "examples/demo.yaml")
    journeys = read_tree(ROOT / "sre/demo/journeys.yaml").get("journeys")
    ours = example.get("journeys")
    assert ours is not None
    assert journeys is not None
    assert list(ours.entries) == list(journeys.entries)
    for name, entry in journeys.entries.items():
        (one, other) = (node.at("steps") for node in (ours.entries[name].value, entry.value))
        assert one is not None
        assert other is not None
        assert one.plain() == other.plain(), name
    template = (ROOT / "sre/demo/declaration.yaml").read_text()
    for objective in load_settings(ROOT / "examples/demo.yaml").objectives:
        if objective.journey == "checkout":
            assert f"name: {objective.name}, " in template
    loadtests = example.get("loadtests")
    assert loadtests is not None
    for threshold in loadtests.plain()["release"]["thresholds"]:
        assert threshold in template


def test_the_invariants_of_the_example_can_be_asked_of_the_demo_shop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ORDERS_DSN", raising=False)
    (orders,) = load_settings(ROOT / "examples/demo.yaml").databases.values()
    with EmbeddedPostgres() as server, psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute((ROOT / "sre/demo/schema.sql").read_text())
        found = {each.name: connection.execute(each.sql).fetchall() for each in orders.invariants}
    assert found.keys() >= {"no_orphan_lines", "nothing_oversold", "stock_agrees"}
    assert all(rows == [(0,)] for rows in found.values())
