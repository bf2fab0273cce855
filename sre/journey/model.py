"""What is a journey once its declaration has been read and checked?

Everything here is frozen, compiled and picklable (a load test sends it to its child process).
Times are seconds, sizes bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import exp, log
from random import Random
from typing import Literal

from sre.journey.expect import Expectation, TemplateTree
from sre.journey.extract import Extractor
from sre.journey.result import Reason
from sre.journey.template import Template

__all__ = [
    "SAFE_METHODS",
    "Block",
    "Body",
    "Condition",
    "DataFile",
    "Field",
    "FileField",
    "Journey",
    "LogNormal",
    "Range",
    "Retry",
    "Step",
    "Until",
    "Var",
]

_NORMAL_P95 = 1.6448536269514722
"""The 95th percentile of the standard normal distribution."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Range:
    """A number drawn between two bounds, both included; equal bounds are a constant."""

    low: float
    high: float

    def draw(self, rng: Random) -> float:
        """A number between the two, all equally likely."""
        return rng.uniform(self.low, self.high)


@dataclass(frozen=True, slots=True)
class LogNormal:
    """How long people think: most a little, some for long, none for less than nothing.

    Attributes:
        high: no draw is longer.
    """

    median: float
    p95: float
    high: float

    def draw(self, rng: Random) -> float:
        """A number whose logarithm is normally distributed."""
        sigma = log(self.p95 / self.median) / _NORMAL_P95
        return min(self.high, self.median * exp(sigma * rng.gauss(0.0, 1.0)))


@dataclass(frozen=True, slots=True)
class Field:
    """A header, query or form field. Left out when a `${x?}` in it is unknown.

    Attributes:
        secret: its value is masked everywhere and goes only to the shop's own origins.
    """

    name: str
    values: tuple[Template, ...]
    secret: bool = False


@dataclass(frozen=True, slots=True)
class FileField:
    """One part of a multipart body. `content` was read when the configuration was."""

    name: str
    template: Template | None = None
    filename: str | None = None
    content: bytes = b""
    content_type: str | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """What a step sends: at most one of the four."""

    form: tuple[Field, ...] | None = None
    json: TemplateTree | None = None
    text: Template | None = None
    multipart: tuple[FileField, ...] | None = None

    @property
    def empty(self) -> bool:
        return all(v is None for v in (self.form, self.json, self.text, self.multipart))


@dataclass(frozen=True, slots=True)
class Condition:
    """`when: name` (a variable exists) or `"${x} == y"`, `"${x} != y"`."""

    name: str | None = None
    left: Template | None = None
    right: Template | None = None
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Retry:
    """Send again, `times` at most, when a step failed for one of `errors`.

    Attributes:
        throttled: a 429 is sent again too, after its `Retry-After`, or else after `pause`.
    """

    times: int
    errors: frozenset[Reason]
    pause: float = 0.2
    throttled: bool = False


@dataclass(frozen=True, slots=True)
class Until:
    """Send again every `every` seconds until `expect` is met, for `within` seconds at most."""

    expect: Expectation
    every: float
    within: float


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a journey and what must come of it.

    Attributes:
        plain: it comes once, whatever is known.
    """

    name: str
    method: str
    url: Template
    group: str | None = None
    query: tuple[Field, ...] = ()
    headers: tuple[Field, ...] = ()
    body: Body = Body()
    follow: bool = True
    timeout: float = 5.0
    body_limit: int = 10 * 2**20
    keep_alive: bool = True
    sandbox: bool = False
    idempotency_header: str | None = None
    expect: Expectation = field(default_factory=Expectation)
    refused: Expectation | None = None
    until: Until | None = None
    extract: tuple[Extractor, ...] = ()
    retry: Retry | None = None
    when: tuple[Condition, ...] = ()
    unless: tuple[Condition, ...] = ()
    pause: Range | LogNormal | None = None
    repeat: Range | None = None
    needs: frozenset[str] = frozenset()
    plain: bool = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        plain = not (self.when or self.unless) and self.repeat is None
        object.__setattr__(self, "plain", plain)

    @property
    def safe(self) -> bool:
        """Its method has no side effect by HTTP's own rules (RFC 9110, 9.2.1)."""
        return self.method in SAFE_METHODS


@dataclass(frozen=True, slots=True)
class Block:
    """Steps that stand or fall together: a plain step, or a fragment in its place."""

    parts: tuple[Step | Block, ...]
    when: tuple[Condition, ...] = ()
    unless: tuple[Condition, ...] = ()
    repeat: Range | None = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, those of inner fragments in their places."""
        return tuple(_steps((self,)))


@dataclass(frozen=True, slots=True)
class Var:
    """A variable evaluated once a run, in the order of the declaration."""

    name: str
    template: Template | None = None
    value: object = None
    secret: bool = False


@dataclass(frozen=True, slots=True)
class DataFile:
    """A row of a CSV file for each run; its columns are variables."""

    file: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    pick: Literal["sequential", "random", "unique"] = "sequential"


@dataclass(frozen=True, slots=True)
class Journey:
    """One customer path, ready to be driven.

    Attributes:
        every: seconds between runs as a probe; None: only load tests drive it.
        timeout: of one run, setup, cleanup and planned pauses left out.
        budget: side effects per second that probes may cause, at most.
        kept: variables of the setup that stay for the virtual user's later runs.
    """

    name: str
    blocks: tuple[Block, ...]
    every: float | None = 60.0
    timeout: float = 30.0
    side_effects: Literal["none", "order"] = "none"
    budget: float | None = None
    vars: tuple[Var, ...] = ()
    data: DataFile | None = None
    setup: tuple[Block, ...] = ()
    cleanup: tuple[Block, ...] = ()
    cleanup_timeout: float = 10.0
    kept: frozenset[str] = frozenset()
    synthetic: Field | None = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, setup and cleanup left out, fragments in their places."""
        return tuple(_steps(self.blocks))

    @property
    def all_steps(self) -> tuple[Step, ...]:
        """Setup, steps and cleanup."""
        return (*_steps(self.setup), *self.steps, *_steps(self.cleanup))


def _steps(blocks: tuple[Block, ...]) -> Iterator[Step]:
    for block in blocks:
        for part in block.parts:
            if isinstance(part, Block):
                yield from _steps((part,))
            else:
                yield part
