"""Which rules must each block keep, and the blocks of a step together? (pure)"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from sre.runbook.model import Block, Document, Finding, Section, Step

__all__ = ["block_findings"]

Fault = tuple[int, str, str]

_ALLOWED = {
    "Meaning": (), "Impact": ("info",), "Preconditions": ("check", "info", "manual"),
    "Steps": ("run", "check", "rollback", "info", "manual"), "Verify": ("check", "info", "manual"),
    "Fail back": ("run", "check", "rollback", "info", "manual"),
    "Roll back": ("rollback",), "Escalate": (),
}  # fmt: skip
_DESTROYS = re.compile(
    r"\brm\s+-\w*[rf]|-m\s*immediate|\b(?:drop|truncate)\s+(?:database|table|schema)\b|\bmkfs|"
    r"\bdd\s+[^\n]*\bof=|\bkill\s+-(?:9|KILL)|\bdropdb\b",
    re.IGNORECASE,
)


def block_findings(document: Document, say: Callable[..., Finding]) -> Iterator[Finding]:
    """Everything about roles, attributes and how blocks of a step belong together."""
    for line, rule, message in _faults(document):
        yield say(line, "error", rule, message)


def _faults(document: Document) -> Iterator[Fault]:
    undone = {b.id for s in document.sections for b in s.blocks if b.role == "rollback"}
    for section in document.sections:
        for step in section.steps:
            yield from _placed(section, step)
            yield from _unchecked(step)
            for block in step.blocks:
                yield from _complete(block)
                yield from _dangerous(block, step, undone)
    yield from _ids([block for section in document.sections for block in section.blocks])


def _placed(section: Section, step: Step) -> Iterator[Fault]:
    allowed = _ALLOWED.get(section.name)
    for block in step.blocks:
        if allowed is not None and block.role not in allowed:
            takes = (
                f"it takes {', '.join(allowed)}" if allowed else "it takes no blocks with a role"
            )
            yield block.line, "section", f"a {block.role} block in '{section.name}'; {takes}"
        elif section.name in {"Steps", "Fail back"} and not step.title:
            yield block.line, "step", "the block stands in no step; begin one with '### 1. Title'"


def _complete(block: Block) -> Iterator[Fault]:
    if not block.id:
        yield block.line, "id", f"a {block.role} block needs id="
    if not block.timeout and block.role != "manual":
        yield block.line, "timeout", f"a {block.role} block needs timeout="
    if not block.text.strip():
        yield block.line, "empty", "the block is empty"
    if block.retries is not None and block.changes and not block.idempotent:
        yield block.line, "idempotent", "retries= needs idempotent=yes: it may happen twice"
    if block.every is not None and block.changes and block.retries is None:
        yield block.line, "attribute", "every= of a block that changes something needs retries="
    if block.capture and block.secret:
        yield block.line, "attribute", "capture= and secret=yes exclude each other"


def _dangerous(block: Block, step: Step, undone: set[str]) -> Iterator[Fault]:
    destroys = _DESTROYS.search(block.text)
    if destroys and block.role != "manual" and block.danger != "destructive":
        word = " ".join(destroys[0].split())
        cure = "danger=destructive" if block.role == "run" else "a run block"
        yield block.line, "danger", f"'{word}' destroys something; it belongs into {cure}"
    if block.role != "run":
        return
    if not block.danger:
        cure = "danger=none, danger=reversible or danger=destructive"
        yield block.line, "danger", f"a run block says how dangerous it is: {cure}"
    if block.danger == "reversible" and block.id not in undone:
        message = f"reversible, but nothing takes it back; add a rollback block with id={block.id}"
        yield block.line, "danger", message
    if block.danger == "destructive" and not block.confirm:
        message = "destructive, but nobody confirms it; add confirm=VARIABLE: its value is typed"
        yield block.line, "danger", message
    if block.danger == "destructive" and not step.caution:
        yield block.line, "danger", "destructive, but its step has no '> [!CAUTION]' note; add one"


def _unchecked(step: Step) -> Iterator[Fault]:
    waiting: list[Block] = []
    for block in step.blocks:
        if block.role == "run":
            waiting.append(block)
        elif block.role == "check":
            waiting = [each for each in waiting if not _answers(block, each)]
    for block in waiting:
        yield block.line, "unchecked", f"no check follows {block.id or 'it'} in its step; add one"


def _answers(check: Block, run: Block) -> bool:
    """A check for some values of the variables answers only runs for the same ones."""
    return check.when is None or check.when == run.when


def _ids(blocks: list[Block]) -> Iterator[Fault]:
    seen: dict[tuple[bool, str], int] = {}
    runs = {block.id for block in blocks if block.role == "run"}
    for block in blocks:
        if not block.id:
            continue
        first = seen.setdefault((block.role == "rollback", block.id), block.line)
        if first != block.line:
            what = "rollback of " if block.role == "rollback" else "id "
            yield block.line, "id", f"the {what}{block.id!r} stands on line {first} too; rename one"
        if block.role == "rollback" and block.id not in runs:
            yield block.line, "id", f"there is no run block with id={block.id} to take back"
