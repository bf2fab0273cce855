"""Is the house still built as docs/architecture.md draws it?"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sre.core.kinds import Kinds

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "sre").rglob("*.py"))
MAX_FILE, MAX_FUNCTION = 300, 40

LONG_FILES: dict[str, str] = {}
"""Path -> why it may be longer than 300 lines."""

LONG_FUNCTIONS: dict[str, str] = {
    "sre/journey/compile_step.py:compile_step": "one line for each key of a step, in their order",
}
"""path:function -> why it may be longer than 40 lines."""

TABLES = {
    "sre.backup.databases:DATABASES": "sre.backup.engine:Database",
    "sre.backup.storage:STORES": "sre.backup.objects:Store",
    "sre.failover.clusters:CLUSTERS": "sre.failover.engine:Cluster",
    "sre.failover.control:CONTROLS": "sre.failover.nodes:Control",
    "sre.failover.traffic:SWITCHES": "sre.failover.switches:Traffic",
    "sre.probes.feeds:FEEDS": "sre.probes.feeds.model:Feed",
    "sre.probes.kinds:KINDS": "sre.probes.model:Probe",
}
"""Each table of kinds and the Protocol that its classes satisfy."""

HEAVY = {"locust", "boto3", "pydantic", "prometheus_client", "requests", "gevent", "pycurl"}


def load(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def functions() -> Iterator[tuple[str, int]]:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                yield f"{path.relative_to(ROOT)}:{node.name}", lines


def test_files_stay_below_their_ceiling() -> None:
    sizes = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in MODULES
    }
    long = {path: lines for path, lines in sizes.items() if lines > MAX_FILE}
    assert long.keys() == LONG_FILES.keys(), f"files over {MAX_FILE} lines: {long}"


def test_functions_stay_below_their_ceiling() -> None:
    long = {name: lines for name, lines in functions() if lines > MAX_FUNCTION}
    assert long.keys() == LONG_FUNCTIONS.keys(), f"functions over {MAX_FUNCTION} lines: {long}"


def test_every_module_says_which_question_it_answers() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in MODULES
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []


def kinds() -> list[tuple[str, str]]:
    return [(table, name) for table in TABLES for name in load(table).names()]


def test_every_table_of_kinds_is_known_here() -> None:
    found = {
        f"{'.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__')}:"
        f"{node.target.id if isinstance(node, ast.AnnAssign) else node.targets[0].id}"
        for path in MODULES
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and isinstance(node.value, ast.Call)
        and getattr(node.value.func, "id", "") == Kinds.__name__
    }
    assert found == set(TABLES)


@pytest.mark.parametrize(("table", "name"), kinds())
def test_every_kind_loads_and_keeps_its_protocol(table: str, name: str) -> None:
    kind, protocol = load(table).load(name), load(TABLES[table])
    assert dataclasses.is_dataclass(kind)
    assert kind.__dataclass_params__.frozen
    assert getattr(kind, "__pydantic_config__", {}).get("extra") == "forbid"
    assert kind.__doc__
    for method, promised in inspect.getmembers(protocol, inspect.isfunction):
        if not method.startswith("_"):
            kept = inspect.signature(getattr(kind, method))
            assert list(kept.parameters) == list(inspect.signature(promised).parameters), method


@pytest.mark.parametrize(("table", "name"), kinds())
def test_every_kind_has_an_example_and_stands_in_the_documents(table: str, name: str) -> None:
    examples = [path.read_text(encoding="utf-8") for path in (ROOT / "examples").rglob("*.yaml")]
    assert any(f"kind: {name}" in text for text in examples), f"no example with kind: {name}"
    documents = [path.read_text(encoding="utf-8") for path in (ROOT / "docs").rglob("*.md")]
    assert any(f"`{name}`" in text or f"kind: {name}" in text for text in documents), (
        f"{table}: {name} stands in no document"
    )


def test_every_kind_of_probe_has_an_example_that_a_test_runs() -> None:
    tests = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "tests/e2e/kinds").glob("test_*.py")
    )
    for name in load("sre.probes.kinds:KINDS").names():
        assert (ROOT / "examples" / "kinds" / f"{name}.yaml").exists(), name
        assert f'run_example("{name}"' in tests, f"no test runs examples/kinds/{name}.yaml"
        assert f'serve_example("{name}"' in tests, f"no test serves examples/kinds/{name}.yaml"


def imported(*argv: str) -> set[str]:
    """The top-level packages that a run of Python imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *argv], capture_output=True, text=True, check=True
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


@pytest.mark.parametrize(
    "argv",
    [
        pytest.param(["-m", "sre", "--help"], id="sre --help"),
        pytest.param(["-m", "sre", "--version"], id="sre --version"),
        pytest.param(["-c", "import sre.cli.main"], id="import sre.cli.main"),
    ],
)
def test_looking_at_the_help_loads_nothing_heavy(argv: list[str]) -> None:
    found = imported(*argv)
    assert "sre" in found
    assert found & (HEAVY | {"rich", "yaml", "psycopg", "flask"}) == set()
