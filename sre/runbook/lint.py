"""What is wrong with a runbook? Everything at once, each with its line. (pure)

`lint_blocks` looks at single blocks, `lint_text` at links, secrets and shell text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

from sre.runbook.lint_blocks import block_findings
from sre.runbook.lint_text import link_findings, secret_findings, shell_findings
from sre.runbook.model import HEADINGS, MANDATORY, Block, Document, Finding, Front, Section
from sre.runbook.shelltext import expansions
from sre.runbook.variables import complaint, secret_of, text_of

__all__ = ["errors", "lint", "lint_all"]

Say = Callable[[int, str, str], Finding]


def lint(
    document: Document,
    commands: frozenset[str] | None = None,
    exists: Callable[[Path], str | None] | None = None,
) -> tuple[Finding, ...]:
    """Everything there is to say about one file, in its order.

    Args:
        commands: the `sre` commands there are ("probe run"); None: they are not checked.
        exists: the text of a linked file (empty for one that is no text), None when there is none;
            without it links are not checked.
    """
    say = partial(Finding, str(document.path))
    found = list(document.findings)
    found += _headings(document.sections, say)
    found += block_findings(document, say)
    found += shell_findings(document, commands, say)
    found += secret_findings(document.text, say)
    if exists is not None:
        found += link_findings(document, exists, say)
    if document.front is not None:
        found += _front(document, document.front, say)
        found += _variables(document, document.front, say)
    return tuple(sorted(set(found)))


def lint_all(
    documents: Iterable[Document],
    commands: frozenset[str] | None = None,
    exists: Callable[[Path], str | None] | None = None,
) -> tuple[Finding, ...]:
    """As `lint`, for many files, and no id twice among them."""
    found: list[Finding] = []
    first: dict[str, Path] = {}
    for document in documents:
        found += lint(document, commands, exists)
        if document.front is not None:
            known = first.setdefault(document.front.id, document.path)
            if known != document.path:
                line = document.front_lines.get("id", 1)
                message = f"the id {document.front.id!r} is taken by {known}; rename one"
                found.append(Finding(str(document.path), line, "error", "id", message))
    return tuple(sorted(set(found)))


def errors(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those that keep a runbook from being followed."""
    return tuple(each for each in findings if each.severity == "error")


def _headings(sections: tuple[Section, ...], say: Callable[..., Finding]) -> Iterator[Finding]:
    seen: list[str] = []
    for section in sections:
        if fault := _misplaced(section.name, seen):
            yield say(section.line, "error", "heading", fault)
        if section.name in HEADINGS:
            seen.append(section.name)
        if not any(step.prose or step.blocks for step in section.steps):
            message = f"'{section.name}' is empty; say what a tired person needs"
            yield say(section.line, "error", "heading", message)
    for name in MANDATORY:
        if name not in seen:
            yield say(1, "error", "heading", f"the section '## {name}' is missing; add it")
    pnr = next((b for s in sections for b in s.blocks if b.pnr and s.name == "Steps"), None)
    if pnr is not None and "Fail back" not in seen:
        message = "behind a point of no return the way on is '## Fail back'; add it"
        yield say(pnr.line, "error", "heading", message)


def _misplaced(name: str, seen: list[str]) -> str:
    if name not in HEADINGS:
        return f"unknown heading '{name}'; known: {', '.join(HEADINGS)}"
    if name in seen:
        return f"'{name}' stands twice; join them"
    if any(HEADINGS.index(name) < HEADINGS.index(each) for each in seen):
        return f"'{name}' stands too late; order: {' · '.join(HEADINGS)}"
    return ""


def _front(document: Document, front: Front, say: Callable[..., Finding]) -> Iterator[Finding]:
    at = document.front_lines
    target = front.vars.get(front.target)
    if target is None or target.secret:
        message = f"target: {front.target!r} is not a plain variable of vars:; declare it there"
        yield say(at["target"], "error", "front-matter", message)
    if front.severity == "page" and not front.alerts:
        message = "alerts: a runbook that pages names the alerts that it answers"
        yield say(at["severity"], "warning", "front-matter", message)
    for name, variable in front.vars.items():
        line = at[f"vars.{name}"]
        if variable.default is not None and (why := complaint(variable, text_of(variable.default))):
            yield say(line, "error", "variable", f"{name}: its default: {why}")
        if variable.secret:
            try:
                secret_of(name, variable.value, Path())
            except ValueError as error:
                yield say(line, "error", "variable", f"{name}: {error}")


def _variables(document: Document, front: Front, say: Callable[..., Finding]) -> Iterator[Finding]:
    used = {front.target}
    for block in (block for section in document.sections for block in section.blocks):
        used.update(name for name, _line, _before in expansions(block.text))
        for where, name in _named(block).items():
            used.add(name)
            if name not in front.vars:
                message = f"{where}={name}: there is no such variable in vars:; declare it"
                yield say(block.line, "error", "variable", message)
            elif front.vars[name].secret:
                message = f"{where}={name}: a secret may not stand here"
                yield say(block.line, "error", "variable", message)
    for name, variable in front.vars.items():
        # A secret may be read by a program from its environment, as psql does with PGPASSWORD.
        if name not in used and not variable.secret and not name.startswith("PG"):
            message = f"{name} is declared and never used; remove it"
            yield say(document.front_lines[f"vars.{name}"], "warning", "variable", message)


def _named(block: Block) -> Mapping[str, str]:
    named = {"confirm": block.confirm, "capture": block.capture, "target": block.target}
    if block.when is not None:
        named["when"] = block.when.variable
    return {where: name for where, name in named.items() if name}
