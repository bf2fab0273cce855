"""Does what the documents say exist, and does what exists stand in them?

A fence whose info string holds `sre.yaml` is a whole declaration and must load. What lies between
`<!-- not yet -->` and `<!-- /not yet -->` describes what is still to come and is left alone.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import click
import pytest

from sre.backup.databases import DATABASES
from sre.backup.storage import STORES
from sre.cli.main import cli
from sre.core.errors import UsageError
from sre.core.metrics import MetricInfo, describe
from sre.failover.clusters import CLUSTERS
from sre.failover.control import CONTROLS
from sre.failover.traffic import SWITCHES
from sre.probes.catalogue import all_metrics, metrics_of
from sre.probes.feeds import FEEDS
from sre.probes.kinds import KINDS
from sre.settings import load_settings

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "runbooks").glob("*.md")),
]
DRAWN = [
    path
    for path in sorted((ROOT / "dashboards").rglob("*"))
    if path.suffix in {".json", ".yml", ".yaml"}
]
EXAMPLES = sorted((ROOT / "examples").rglob("*.yaml"))

OTHERS = {"sre_ledger"}
"""Names that look like those of metrics: the ledger's table."""

_PLANNED = re.compile(r"<!-- not yet -->.*?<!-- /not yet -->", re.DOTALL)
_FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block: its info string and its text."""

    info: str
    text: str
    line: int


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


def read(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    return _PLANNED.sub(lambda planned: "\n" * planned[0].count("\n"), text)


def blocks(path: Path) -> Iterator[Block]:
    text = read(path)
    for match in _FENCE.finditer(text):
        yield Block(match[1].strip(), match[2], text.count("\n", 0, match.start()) + 1)


def shell_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The commands in `sh` blocks, continued lines joined, prompts and comments removed."""
    for block in blocks(path):
        if block.info.split(" ")[0] in {"sh", "bash", "console", "shell"}:
            text = re.sub(r"\\\n\s*", " ", block.text)
            for offset, line in enumerate(text.splitlines(), start=1):
                yield block.line + offset, line.strip().removeprefix("$ ")


def calls(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Every `sre …` in shell blocks, less what a shell makes of it (pipes, redirections)."""
    for number, line in shell_lines(path):
        words = shlex.split(line, comments=True)
        for index, word in enumerate(words):
            if word == "sre" and (index == 0 or words[index - 1] in {"&&", "|", ";", "||"}):
                rest = words[index + 1 :]
                ends = [i for i, each in enumerate(rest) if re.match(r"[|&;<>]|\d>", each)]
                yield number, rest[: ends[0]] if ends else rest


def named_commands(path: Path) -> Iterator[list[str]]:
    """Every `sre …` in a code span of running text."""
    for span in _SPAN.findall(_FENCE.sub("", read(path))):
        if span == "sre" or span.startswith("sre "):
            yield re.split(r"\s+", span)[1:]


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that `words` name and the words after its name."""
    command: click.Command = cli
    context = click.Context(cli, info_name="sre")
    while isinstance(command, click.Group) and words and re.fullmatch(r"[a-z][a-z-]*", words[0]):
        found = command.get_command(context, words[0])
        assert found is not None, f"there is no command {words[0]!r} in {context.command_path!r}"
        context, command, words = click.Context(found, context, words[0]), found, words[1:]
    return command, words


def all_commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from all_commands(found, (*path, name))
    else:
        yield path


def per_document() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", DOCUMENTS, ids=short)


@per_document()
def test_calls_in_shell_blocks_parse(path: Path) -> None:
    for number, words in calls(path):
        command, rest = command_of(words)
        if isinstance(command, click.Group) and not rest:
            continue
        try:
            command.make_context("sre", list(rest), resilient_parsing=False)
        except click.exceptions.Exit:
            pass  # --help and --version
        except click.ClickException as error:
            pytest.fail(f"{short(path)}:{number}: sre {' '.join(words)}: {error.message}")


@per_document()
def test_commands_and_options_in_the_text_exist(path: Path) -> None:
    for words in named_commands(path):
        command, rest = command_of(words)
        known = {option for param in command.params for option in param.opts}
        known |= {"--help", "-h", "--version"}
        for word in rest:
            option = word.strip("[]…").split("=")[0]
            if option.startswith("--"):
                assert option in known, f"{short(path)}: sre {' '.join(words)}: no {option}"


@per_document()
def test_make_targets_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    lines = [line for _, line in shell_lines(path)] + _SPAN.findall(read(path))
    for line in lines:
        match = re.match(r"make ([a-z-]+)", line)
        assert not match or match[1] in targets, f"{short(path)}: {line}"


def test_every_command_stands_in_the_documents() -> None:
    text = "\n".join(read(path) for path in DOCUMENTS)
    silent = [name for path in all_commands(cli) if (name := " ".join(("sre", *path))) not in text]
    assert silent == []


@cache
def metrics() -> Mapping[str, MetricInfo]:
    """Those that there are, and those that the example of kind sql names itself."""
    return metrics_of(load_settings(ROOT / "examples" / "kinds" / "sql.yaml").probes)


@pytest.mark.parametrize("path", [*DOCUMENTS, *DRAWN, *EXAMPLES], ids=short)
def test_metrics_that_are_named_exist(path: Path) -> None:
    for name in re.findall(r"\bsre_[a-z0-9_]+", read(path)):
        if name in OTHERS:
            continue
        if name.endswith("_"):  # `sre_probe_…` speaks of all that begin so
            assert any(known.startswith(name) for known in metrics()), f"{short(path)}: {name}…"
        else:
            try:
                describe(name, metrics())
            except UsageError as error:
                pytest.fail(f"{short(path)}: {error}")


@per_document()
def test_kinds_that_are_named_exist(path: Path) -> None:
    tables = (KINDS, FEEDS, STORES, DATABASES, CLUSTERS, CONTROLS, SWITCHES)
    known = {"NAME"}.union(*(table.names() for table in tables))
    for name in re.findall(r"\bkind: *([a-z][a-z0-9-]*)\b", read(path)):
        assert name in known, f"{short(path)}: kind: {name}"


def declarations() -> list[tuple[str, str]]:
    whole = [(short(path), path.read_text(encoding="utf-8")) for path in EXAMPLES]
    for path in DOCUMENTS:
        whole += [
            (f"{short(path)}:{block.line}", block.text)
            for block in blocks(path)
            if "sre.yaml" in block.info.split()
        ]
    return whole


@pytest.mark.parametrize(("where", "text"), declarations(), ids=lambda value: value[:60])
def test_declarations_load(
    where: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in re.findall(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}", text):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    path = ROOT / where
    if path.suffix != ".yaml":
        path = tmp_path / "sre.yaml"
        path.write_text(text, encoding="utf-8")
    load_settings(path)


def families() -> Iterator[tuple[str, str, str]]:
    """Name, type and help of what the exporter and the kinds of probes really give out."""
    from sre.probes.exporter import registry_of
    from sre.probes.hostparts import collectors
    from sre.probes.record import Record

    for family in registry_of(Record()).collect():
        if family.name.startswith("sre_"):
            total = "_total" if family.type == "counter" else ""
            yield f"{family.name}{total}", family.type, family.documentation
    for part in collectors(["/"], {"python": 1}).values():
        for gauge in part().gauges:
            yield gauge.name, "counter" if gauge.counter else "gauge", gauge.help


def test_the_catalogue_says_what_is_exported() -> None:
    for name, kind, text in families():
        known = all_metrics().get(name)
        assert known == MetricInfo(name, kind, text, known.labels if known else ()), name  # type: ignore[arg-type]
