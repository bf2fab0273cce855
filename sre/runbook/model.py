"""What is a runbook, once read: its front matter, its sections, its steps and their blocks?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from sre.core.units import Duration
from sre.runbook.condition import Condition
from sre.runbook.expect import Expect

__all__ = [
    "HEADINGS",
    "MANDATORY",
    "ROLES",
    "Block",
    "Document",
    "Finding",
    "Front",
    "Goals",
    "Rehearsal",
    "Runbook",
    "Section",
    "Step",
    "Variable",
]

HEADINGS = (
    "Meaning", "Impact", "Preconditions", "Steps", "Verify", "Fail back", "Roll back", "Escalate",
)  # fmt: skip
"""The second-level headings, in their order."""

MANDATORY = ("Meaning", "Impact", "Preconditions", "Steps", "Verify", "Escalate")

ROLES = ("run", "check", "rollback", "info", "manual")
"""Second word of a fence's info string; a fence without one is an example, never executed."""

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_STRICT = {"extra": "forbid"}


@dataclass(frozen=True)
class Variable:
    """One `vars:` entry; the blocks see it as a plain shell variable.

    Attributes:
        default: taken when no value is given; without one the variable must be given, unless a
            block captures it.
        secret: known by reference alone (`value:`, by default `${env:NAME}`), masked everywhere.
    """

    __pydantic_config__: ClassVar = _STRICT
    about: str = ""
    type: Literal["text", "name", "integer", "number", "url", "path"] = "text"
    default: Any = None
    pattern: str | None = None
    choices: tuple[str, ...] = ()
    secret: bool = False
    value: str | None = None

    def __post_init__(self) -> None:
        if self.default is not None and not isinstance(self.default, str | int | float):
            raise ValueError("default must be one text or number")
        if self.secret and self.default is not None:
            raise ValueError("a secret has no default; name where it stands: value: '${env:NAME}'")
        if self.value is not None and not self.secret:
            raise ValueError("value is for secrets; use default")
        try:
            re.compile(self.pattern or "")
        except re.error as error:
            raise ValueError(f"pattern is not a regular expression: {error}") from None


@dataclass(frozen=True)
class Rehearsal:
    """`rehearsal:`: the only targets on which `--rehearse` may do dangerous things."""

    __pydantic_config__: ClassVar = _STRICT
    targets: tuple[str, ...]


@dataclass(frozen=True)
class Goals:
    """`targets:`: what following it should achieve; shown, and judged by drills."""

    __pydantic_config__: ClassVar = _STRICT
    rto: Duration | None = None
    mttr: Duration | None = None
    rpo_lost_acks: int | None = None


@dataclass(frozen=True)
class Front:
    """The front matter.

    Attributes:
        id: what `runbook:` in sre.yaml names.
        alerts: the objectives or alerts that this runbook answers.
        target: the variable that names what is worked on; one run at a time for each value.
        max_age: a rehearsal older than this is stale.
    """

    __pydantic_config__: ClassVar = _STRICT
    id: str
    title: str
    severity: Literal["page", "ticket"]
    owner: str
    target: str
    max_age: Duration
    alerts: tuple[str, ...] = ()
    vars: dict[str, Variable] = field(default_factory=dict)
    rehearsal: Rehearsal | None = None
    targets: Goals = field(default_factory=Goals)
    last_rehearsed: str | None = None
    apiVersion: Literal["runbook/v1"] = "runbook/v1"  # noqa: N815  the key in the file

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ValueError(f"id {self.id!r} must be lower-case letters, digits and '-'")
        if not self.title.strip() or not self.owner.strip():
            raise ValueError("title and owner must say something")
        for name in self.vars:
            if not re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
                raise ValueError(f"the variable {name!r} must be upper case, such as SHOP_URL")


@dataclass(frozen=True)
class Block:
    """A fenced block with a role.

    Attributes:
        line: where its fence stands in the file; its text begins one below.
        timeout: seconds for the whole block, its repetitions included.
        every: a check is repeated so often until it holds or the time is over.
        retries: how often more it may be tried.
        pnr: point of no return: what lies before it is not rolled back any more.
        capture: the variable that takes what it says on standard output.
    """

    role: str
    id: str
    text: str
    line: int
    section: str
    language: str = "bash"
    step: str = ""
    timeout: float = 0.0
    every: float | None = None
    retries: int | None = None
    expect: Expect = field(default_factory=Expect)
    danger: str = ""
    confirm: str = ""
    idempotent: bool = False
    pnr: bool = False
    when: Condition | None = None
    capture: str = ""
    secret: bool = False
    target: str = ""

    @property
    def key(self) -> str:
        """Its name in the journal; a rollback shares the id of what it undoes."""
        return f"{self.role}:{self.id}"

    @property
    def changes(self) -> bool:
        """Whether it may change something."""
        return self.role in {"run", "rollback"}


@dataclass(frozen=True)
class Step:
    """A `###` of Steps or Fail back, or all of another section.

    `parts` are its paragraphs and blocks as they stand in the file.
    """

    title: str
    line: int
    parts: tuple[str | Block, ...] = ()

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Its blocks with a role, in order."""
        return tuple(part for part in self.parts if isinstance(part, Block))

    @property
    def prose(self) -> str:
        """Everything that is not a block with a role."""
        return "\n".join(part for part in self.parts if isinstance(part, str)).strip()

    @property
    def caution(self) -> bool:
        """Whether it carries a `> [!CAUTION]` note."""
        return "[!CAUTION]" in self.prose


@dataclass(frozen=True)
class Section:
    """One `##` heading and what stands below it."""

    name: str
    line: int
    steps: tuple[Step, ...] = ()

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All its blocks with a role, in order."""
        return tuple(block for step in self.steps for block in step.blocks)


@dataclass(frozen=True, order=True)
class Finding:
    """Something that lint has to say about one line."""

    file: str
    line: int
    severity: Literal["error", "warning"]
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.severity} {self.rule}: {self.message}"


@dataclass(frozen=True)
class Runbook:
    """A file that could be read as a runbook. Lint says whether it may be followed."""

    path: Path
    text: str
    front: Front
    sections: tuple[Section, ...]

    @property
    def id(self) -> str:
        """What links and alerts name it by."""
        return self.front.id

    @property
    def alerts(self) -> tuple[str, ...]:
        """The alerts or objectives that it answers."""
        return self.front.alerts

    def section(self, name: str) -> Section:
        """A section, empty when the file has none of that name."""
        return next((each for each in self.sections if each.name == name), Section(name, 0))

    def blocks(self) -> Iterator[Block]:
        """All blocks with a role, in the order of the file."""
        for section in self.sections:
            yield from section.blocks


@dataclass(frozen=True)
class Document:
    """Whatever a file turned out to be: the front matter may be broken, findings say why."""

    path: Path
    text: str
    front: Front | None
    front_lines: dict[str, int]
    sections: tuple[Section, ...]
    findings: tuple[Finding, ...]

    def runbook(self) -> Runbook | None:
        """The runbook, None while its front matter is broken."""
        if self.front is None:
            return None
        return Runbook(self.path, self.text, self.front, self.sections)
