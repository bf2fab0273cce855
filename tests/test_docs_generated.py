"""Do the documents say what the code says, and does every declaration in them load?

`docs/generate.py` fills the marked regions; blocks that begin with `version: 1` are whole
declarations, those of `examples/` among them.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from sre.settings import load_settings

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
GENERATE = DOCS / "generate.py"
OURS = ("journeys-forms", "journeys-graphql", "journeys-rest", "loadtest")
_BLOCK = re.compile(
    r"^```yaml[^\n]*\n((?:#[^\n]*\n)*version: 1\n.*?)^```$", re.DOTALL | re.MULTILINE
)


def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", GENERATE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DOCS)  # where Python looks when it runs as a program
        spec.loader.exec_module(module)
    return module


def declarations() -> Iterator[tuple[str, str]]:
    for path in sorted(DOCS.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        for block in _BLOCK.finditer(text):
            yield f"{path.name}:{text.count(chr(10), 0, block.start()) + 1}", block[1]


def set_named_variables(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in re.findall(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}", text):
        monkeypatch.setenv(name, "http://127.0.0.1:1")


def test_generated_regions_are_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, GENERATE, "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"run docs/generate.py\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize(
    ("name", "marks"),
    [
        ("sre-yaml.md", ["sections", "options", "words", "profiles", "example", "kinds"]),
        ("probes.md", ["example", "feed-kinds", "probe-kinds"]),
        ("commands.md", ["commands", "exit-codes"]),
        ("metrics.md", ["metrics"]),
        ("loadtest.md", ["causes"]),
    ],
)
def test_documents_have_their_generated_regions(name: str, marks: list[str]) -> None:
    text = (DOCS / name).read_text(encoding="utf-8")
    assert sorted(marks) == sorted(
        set(re.findall(r"^<!-- generated: ([\w-]+)", text, re.MULTILINE))
    )
    assert len(re.findall(r"^<!-- generated: ", text, re.MULTILINE)) == len(
        re.findall(r"^<!-- end -->$", text, re.MULTILINE)
    )


def test_a_stale_region_is_noticed_and_mended() -> None:
    module = generate()
    stale = "before\n<!-- generated: exit-codes -->\nold\n<!-- end -->\nafter\n"
    fresh = module.generated(stale)
    assert "| 70 | internal error" in fresh
    assert fresh.startswith("before\n")
    assert fresh.endswith("<!-- end -->\nafter\n")
    assert module.generated(fresh) == fresh


def test_a_region_that_nothing_generates_is_an_error() -> None:
    module = generate()
    with pytest.raises(module.Wrong, match="nothing is named 'weather'"):
        module.generated("<!-- generated: weather -->\n<!-- end -->\n")


@pytest.mark.parametrize(("where", "text"), [*declarations()], ids=lambda value: value[:40])
def test_whole_declarations_in_documents_load(
    where: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_named_variables(text, monkeypatch)
    path = tmp_path / "sre.yaml"
    path.write_text(text, encoding="utf-8")
    settings = load_settings(path)
    assert [str(warning) for warning in settings.warnings] == [], where


@pytest.mark.parametrize("name", OURS)
def test_recipes_load_without_a_warning_and_stand_in_the_documents(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ROOT / "examples" / f"{name}.yaml"
    text = path.read_text(encoding="utf-8")
    set_named_variables(text, monkeypatch)
    settings = load_settings(path)
    assert [str(warning) for warning in settings.warnings] == []
    assert settings.journeys
    assert text in (DOCS / "sre-yaml.md").read_text(encoding="utf-8")
