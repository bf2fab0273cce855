"""Writes into the documents what the code knows: option tables, `--help`, exit codes, metrics.

    python docs/generate.py            rewrites what lies between the marks
    python docs/generate.py --check    changes nothing; exit 1 and a diff where code and text differ

A mark is `<!-- generated: NAME [ARGUMENT] -->`, its end `<!-- end -->`; RENDERERS lists the names.
What a key means stands in its class's docstring under `Attributes:`, else in meanings.yaml. A key
without a meaning, or with two, is an error.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import inspect
import re
import sys
import textwrap
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from keytables import Wrong, duration, meanings, option_table, options, table

from sre import settings
from sre.cli.main import EXIT_CODES, cli
from sre.core.metrics import MetricInfo
from sre.journey.result import Outcome, Reason
from sre.loadtest.judge.validity import Cause, Limits
from sre.loadtest.model import LoadTest, stages_of
from sre.loadtest.profiles import PROFILES
from sre.probes.catalogue import all_metrics
from sre.probes.facts import Facts
from sre.probes.feeds import FEEDS
from sre.probes.kinds import KINDS

DOCS = Path(__file__).resolve().parent
EXAMPLES = DOCS.parent / "examples"
WIDTH = 96


def probe_kinds(_argument: str) -> str:
    """Every kind of probe: what it is, its keys, its example."""
    parts = []
    for name in KINDS.names():
        cls = KINDS.load(name)
        said = inspect.getdoc(cls).partition("Attributes:")[0].strip()  # type: ignore[union-attr]
        text = " ".join(said.replace("\n\n", "\0").split()).replace("\0", "\n\n")
        parts.append(f"### `kind: {name}`\n\n{text}\n\n{option_table(cls)}")
        parts += _inner_tables(cls, set())
        parts.append(example(f"kinds/{name}.yaml"))
    return "\n\n".join(parts)


def _inner_tables(cls: type[Any], seen: set[type[Any]]) -> Iterator[str]:
    """The tables of the mappings inside a kind's keys, each once."""
    keys: dict[type[Any], list[str]] = {}
    for key, hint in typing.get_type_hints(cls).items():
        for inner in _classes(hint):
            keys.setdefault(inner, []).append(f"`{key.removesuffix('_')}`")
    for inner, names in keys.items():
        if inner not in seen:
            seen.add(inner)
            yield f"{' and '.join(names)}:\n\n{option_table(inner)}"
            yield from _inner_tables(inner, seen)


def _classes(hint: Any) -> Iterator[type[Any]]:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type) and hint is not Facts:
        yield hint
    for inside in typing.get_args(hint):
        yield from _classes(inside)


def feed_kinds(_argument: str) -> str:
    """Every kind of feed: what it is, its keys."""
    parts = []
    for name in FEEDS.names():
        cls = FEEDS.load(name)
        said = inspect.getdoc(cls).partition("Attributes:")[0].strip()  # type: ignore[union-attr]
        parts.append(f"`kind: {name}`: {' '.join(said.split())}\n\n{option_table(cls)}")
    return "\n\n".join(parts)


def kinds(argument: str) -> str:
    """Every kind of a table, `MODULE:TABLE`: what it is, its keys, and those of its nodes."""
    module, _, name = argument.partition(":")
    known = getattr(importlib.import_module(module), name)
    parts = []
    for kind in known.names():
        cls = known.load(kind)
        said = inspect.getdoc(cls).partition("Attributes:")[0].removeprefix(f"`kind: {kind}`: ")
        parts.append(f"`kind: {kind}`: {' '.join(said.split())}\n\n{option_table(cls)}")
        if hasattr(cls, "NODE"):
            parts.append(f"Each of its nodes:\n\n{option_table(cls.NODE)}")
        parts += _inner_tables(cls, set())
    return "\n\n".join(parts)


def example(argument: str) -> str:
    """A whole file of `examples/`."""
    text = (EXAMPLES / argument).read_text(encoding="utf-8").rstrip("\n")
    return f"`examples/{argument}`:\n\n```yaml\n{text}\n```"


def words(argument: str) -> str:
    """The members of an enumeration with what they mean."""
    cls = {"outcomes": Outcome, "reasons": Reason}[argument]
    rows = [(f"`{key}`", text) for text, keys in meanings(cls).items() for key in keys]
    return table((argument.removesuffix("s"), "meaning"), rows)


def causes(_argument: str) -> str:
    """Why a load run is invalid, with its limits and what to do."""
    times = {"loop_lag_p99", "clock"}
    limits = {
        field.name: f"{field.default * 1000:.0f} ms"
        if field.name in times
        else f"{field.default:.0%}"
        for field in dataclasses.fields(Limits)
    }
    rows = []
    for text, (key, *_) in meanings(Cause).items():
        what, _, cure = text.partition(" | ")
        rows.append((f"`{key}`", what.format(**limits), cure))
    return table(("code", "what it says", "what to do"), rows)


def sections(_argument: str) -> str:
    """Which sections the file may have, and which this version refuses."""
    known = ", ".join(f"`{name}`" for name in settings._SECTIONS)
    text = f"**Sections:** {known}. `version` and `shop` are required."
    if settings._LATER:
        later = ", ".join(f"`{name}`" for name in sorted(settings._LATER))
        text += (
            f" This version refuses {later}: they are not ignored, so that nobody believes in a "
            "backup that is not made."
        )
    return "\n".join(textwrap.wrap(text, WIDTH + 4, break_on_hyphens=False))


def profiles(_argument: str) -> str:
    """The named curves."""
    rows = []
    for name in PROFILES:
        stages = stages_of(LoadTest(users=1, profile=name))
        text = ", ".join(f"{stage.label} for {duration(stage.seconds)}" for stage in stages)
        rows.append((f"`{name}`", text))
    return table(("profile", "stages"), rows)


def exit_codes(_argument: str) -> str:
    """The table of `sre --help`."""
    rows = re.findall(r"^  (\d+) +(.+)$", EXIT_CODES, re.MULTILINE)
    return table(("code", "meaning"), rows)


def commands(_argument: str) -> str:
    """`--help` of every command."""
    parts = []
    wide = {**cli.context_settings, "terminal_width": WIDTH}
    for path, text in _helps(cli, click.Context(cli, info_name="sre", **wide)):
        plain = "\n".join(line.rstrip() for line in text.splitlines())
        parts.append(f"{'##' if ' ' not in path else '###'} `{path}`\n\n```text\n{plain}\n```")
    return "\n\n".join(parts)


def _helps(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None:
                inside = {**found.context_settings, "parent": context, "info_name": name}
                yield from _helps(found, click.Context(found, **inside))


_HEADINGS = {
    **{f"sre_probe_{kind}_": f"`kind: {kind}`" for kind in KINDS.names()},
    "sre_probe_": "Probes and journeys",
    "sre_backup_": "Backups",
    "sre_failover_": "Failover",
    "sre_": "The process itself",
}


def metrics(_argument: str) -> str:
    """The catalogue, a table for each part."""
    parts: dict[str, list[MetricInfo]] = {}
    for metric in all_metrics().values():
        prefix = next(prefix for prefix in _HEADINGS if metric.name.startswith(prefix))
        parts.setdefault(prefix, []).append(metric)
    return "\n\n".join(
        f"### {_HEADINGS[prefix]}\n\n{_metric_table(parts[prefix])}" for prefix in parts
    )


def _metric_table(found: list[MetricInfo]) -> str:
    rows = [
        (f"`{m.name}`", m.type, ", ".join(f"`{label}`" for label in m.labels), m.help)
        for m in found
    ]
    return table(("name", "type", "labels", "meaning"), rows)


RENDERERS: dict[str, Callable[[str], str]] = {
    "causes": causes,
    "commands": commands,
    "example": example,
    "exit-codes": exit_codes,
    "metrics": metrics,
    "options": options,
    "feed-kinds": feed_kinds,
    "kinds": kinds,
    "probe-kinds": probe_kinds,
    "profiles": profiles,
    "sections": sections,
    "words": words,
}

_REGION = re.compile(
    r"^(?P<mark><!-- generated: (?P<name>[\w-]+)(?: (?P<argument>\S+))? -->)\n.*?^<!-- end -->$",
    re.MULTILINE | re.DOTALL,
)


def generated(text: str) -> str:
    """A document with its regions as the code says now."""

    def render(region: re.Match[str]) -> str:
        if region["name"] not in RENDERERS:
            raise Wrong(f"nothing is named {region['name']!r}; known: {', '.join(RENDERERS)}")
        body = RENDERERS[region["name"]](region["argument"] or "")
        return f"{region['mark']}\n\n{body}\n\n<!-- end -->"

    return _REGION.sub(render, text)


def main(arguments: list[str]) -> int:
    """Rewrite the documents, or with `--check` say how they differ."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python docs/generate.py [--check]\n")
        return 2
    stale = 0
    for path in sorted(DOCS.glob("*.md")):
        old = path.read_text(encoding="utf-8")
        try:
            new = generated(old)
        except Wrong as error:
            sys.stderr.write(f"{path.name}: {error}\n")
            return 1
        if new == old:
            continue
        stale += 1
        if arguments:
            pair = old.splitlines(keepends=True), new.splitlines(keepends=True)
            sys.stdout.writelines(difflib.unified_diff(*pair, path.name, "as the code says"))
        else:
            path.write_text(new, encoding="utf-8")
    if arguments and stale:
        sys.stderr.write("run: python docs/generate.py\n")
    return 1 if arguments and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
