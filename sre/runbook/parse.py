"""How does a Markdown file become a runbook, and what of it cannot be read?"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from sre.core.config import Node, Problems, decode
from sre.core.errors import ConfigError, Problem
from sre.core.yamlread import read_text
from sre.core.yamltext import compose
from sre.runbook.info import read_info
from sre.runbook.markdown import Fence, Heading, Prose, scan
from sre.runbook.model import Block, Document, Finding, Front, Section, Step

__all__ = ["parse", "parse_text"]

_SHELLS = ("bash", "sh")


def parse(path: Path) -> Document:
    """Read a file. Raises UsageError when it cannot be read as text."""
    return parse_text(read_text(path), path)


def parse_text(text: str, path: Path) -> Document:
    """Read a runbook's text; whatever is wrong becomes a finding, nothing is raised."""
    lines = text.splitlines()
    end = _front_end(lines)
    findings: list[Finding] = []
    front, front_lines = _front(lines, end, path, findings)
    reader = _Reader(str(path), findings)
    for part in scan(lines[end:], end + 1):
        reader.take(part)
    return Document(path, text, front, front_lines, reader.done(), tuple(sorted(set(findings))))


def _front_end(lines: list[str]) -> int:
    """How many lines the front matter takes, its two `---` included; 0 without one."""
    if lines and lines[0].rstrip() == "---":
        for index, line in enumerate(lines[1:], start=1):
            if line.rstrip() == "---":
                return index + 1
    return 0


def _front(
    lines: list[str], end: int, path: Path, findings: list[Finding]
) -> tuple[Front | None, dict[str, int]]:
    file = str(path)
    if not end:
        message = "no front matter; begin the file with '---', 'id: …', …, '---'"
        findings.append(Finding(file, 1, "error", "front-matter", message))
        return None, {}
    try:
        node, front = _decoded("\n".join(["", *lines[1 : end - 1], ""]), file)
    except ConfigError as error:
        for each in error.problems:
            said = f"{each.path}: {each.message}" if each.path else each.message
            findings.append(Finding(file, each.line, "error", "front-matter", said))
        return None, {}
    positions = {key: entry.key.line for key, entry in node.entries.items()}
    variables = node.get("vars")
    for name, entry in (variables.entries if variables else {}).items():
        positions[f"vars.{name}"] = entry.key.line
    return front, positions


def _decoded(text: str, file: str) -> tuple[Node, Front | None]:
    node = compose(text, file)
    if node is None or node.kind != "mapping":
        raise ConfigError([Problem(file, 1, 1, "", "expected 'key: value' lines")])
    problems = Problems()
    front = decode(Front, node, where="", problems=problems)
    problems.raise_if_any()
    return node, front


@dataclass
class _Reader:
    """Gathers the parts of the body into sections and steps."""

    file: str
    findings: list[Finding]
    sections: list[Section] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    parts: list[str | Block] = field(default_factory=list)

    def take(self, part: Heading | Fence | Prose) -> None:
        if isinstance(part, Heading):
            self._heading(part)
        elif isinstance(part, Fence):
            self._fence(part)
        else:
            self._prose(part.text)

    def done(self) -> tuple[Section, ...]:
        self._end_section()
        return tuple(self.sections)

    def _prose(self, text: str) -> None:
        if self.parts and isinstance(self.parts[-1], str):
            self.parts[-1] += f"\n{text}"
        else:
            self.parts.append(text)

    def _heading(self, heading: Heading) -> None:
        if heading.level == 2:
            self._end_section()
            self.sections.append(Section(heading.title, heading.line))
            self.steps = [Step("", heading.line)]
        elif heading.level == 3 and self.sections:
            self._end_step()
            self.steps.append(Step(heading.title, heading.line))
        elif heading.level > 1:
            self._prose(f"{'#' * heading.level} {heading.title}")

    def _end_step(self) -> None:
        if self.steps:
            self.steps[-1] = replace(self.steps[-1], parts=tuple(self.parts))
        self.parts = []

    def _end_section(self) -> None:
        self._end_step()
        if self.sections:
            kept = tuple(step for step in self.steps if step.title or step.prose or step.blocks)
            self.sections[-1] = replace(self.sections[-1], steps=kept)
        self.steps = []

    def _fence(self, fence: Fence) -> None:
        info = read_info(fence.info)
        faults = list(info.faults)
        if not fence.closed:
            faults.append(("fence", f"the block is not closed; end it with {fence.mark}"))
        if info.role and info.role != "manual" and info.language not in _SHELLS:
            faults.append(("language", f"a {info.role} block must be bash, not {info.language!r}"))
        if info.role and not self.sections:
            faults.append(("section", "a block with a role stands above the first '##' heading"))
        for rule, message in faults:
            self.findings.append(Finding(self.file, fence.line, "error", rule, message))
        if not info.role or not self.sections:
            self._prose(f"{fence.mark}{fence.info}\n{fence.text}{fence.mark}")
            return
        self.parts.append(
            Block(
                role=info.role,
                text=fence.text,
                line=fence.line,
                section=self.sections[-1].name,
                step=self.steps[-1].title,
                language=info.language,
                **{"id": "", **info.attributes},
            )
        )
