"""Which keys may a journey have in sre.yaml, and of which type? (the shape, before any meaning)

These dataclasses are what the configuration edge checks and what the JSON Schema for editors is
made from; `compile` gives them their meaning.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from sre.core.units import Duration, Rate, Size

__all__ = [
    "DataSpec",
    "DefaultsSpec",
    "ExpectSpec",
    "ExtractSpec",
    "JourneySpec",
    "RetrySpec",
    "StepSpec",
    "UntilSpec",
    "UseSpec",
]

_STRICT: dict[str, object] = {"extra": "forbid"}
Errors = Literal[
    "dns", "connect", "tls", "timeout", "status", "protocol", "body", "header", "throttled"
]


@dataclass(frozen=True)
class ExpectSpec:
    """`expect`, `refused` and `until.expect`."""

    __pydantic_config__: ClassVar = _STRICT
    status: int | str | list[int | str] | None = None
    header: dict[str, Any] | None = None
    not_header: dict[str, Any] | None = None
    contains: Any = None
    not_contains: Any = None
    matches: Any = None
    not_matches: Any = None
    json: dict[str, Any] | None = None
    css: dict[str, Any] | str | None = None
    size: Any = None
    below: Duration | None = None
    slow: Duration | None = None


@dataclass(frozen=True)
class UntilSpec:
    """`until`: ask again until `expect` is met."""

    __pydantic_config__: ClassVar = _STRICT
    expect: ExpectSpec
    within: Duration
    every: Duration = Duration(0.5)


@dataclass(frozen=True)
class RetrySpec:
    """`retry`: send again after these reasons."""

    __pydantic_config__: ClassVar = _STRICT
    times: int
    errors: tuple[Errors, ...] = ("connect", "timeout")

    def __post_init__(self) -> None:
        if not 1 <= self.times <= 10:
            raise ValueError("times must be 1 to 10")


@dataclass(frozen=True)
class ExtractSpec:
    """One extractor."""

    __pydantic_config__: ClassVar = _STRICT
    css: str | None = None
    attr: str | None = None
    json: str | None = None
    regex: str | None = None
    header: str | None = None
    cookie: str | None = None
    url: str | None = None
    pick: Literal["first", "last", "random", "all"] = "first"
    distinct: bool = False
    required: bool = True
    secret: bool = False


@dataclass(frozen=True)
class IdempotencySpec:
    """`idempotency_key`: the header that carries it."""

    __pydantic_config__: ClassVar = _STRICT
    header: str


@dataclass(frozen=True)
class DefaultsSpec:
    """`defaults`: merged into each step."""

    __pydantic_config__: ClassVar = _STRICT
    headers: dict[str, Any] | None = None
    follow: bool | None = None
    timeout: Duration | None = None
    body_limit: Size | None = None
    keep_alive: bool | None = None
    expect: ExpectSpec | None = None
    refused: ExpectSpec | None = None
    retry: RetrySpec | None = None
    pause: Any = None


@dataclass(frozen=True)
class StepSpec:
    """One step. Exactly one of the methods carries the address."""

    __pydantic_config__: ClassVar = _STRICT
    name: str
    get: str | None = None
    post: str | None = None
    put: str | None = None
    patch: str | None = None
    delete: str | None = None
    head: str | None = None
    options: str | None = None
    group: str | None = None
    query: dict[str, Any] | None = None
    headers: dict[str, Any] | None = None
    form: dict[str, Any] | None = None
    json: Any = None
    body: Any = None
    multipart: dict[str, Any] | None = None
    follow: bool | None = None
    timeout: Duration | None = None
    body_limit: Size | None = None
    keep_alive: bool | None = None
    sandbox: bool = False
    idempotency_key: IdempotencySpec | None = None
    expect: ExpectSpec | None = None
    refused: ExpectSpec | None = None
    until: UntilSpec | None = None
    extract: dict[str, ExtractSpec] = field(default_factory=dict)
    retry: RetrySpec | None = None
    when: str | list[str] | None = None
    unless: str | list[str] | None = None
    pause: Any = None
    repeat: Any = None


@dataclass(frozen=True)
class UseSpec:
    """`use`: a fragment's steps in this place."""

    __pydantic_config__: ClassVar = _STRICT
    use: str
    when: str | list[str] | None = None
    unless: str | list[str] | None = None
    repeat: Any = None


@dataclass(frozen=True)
class DataSpec:
    """`data`: a row of a CSV file for each run."""

    __pydantic_config__: ClassVar = _STRICT
    file: str
    pick: Literal["sequential", "random", "unique"] = "sequential"


@dataclass(frozen=True)
class JourneySpec:
    """One journey; its steps are checked one by one."""

    __pydantic_config__: ClassVar = _STRICT
    steps: list[Any]
    every: Duration | None = None
    timeout: Duration = Duration(30)
    side_effects: Literal["none", "order"] = "none"
    budget: Rate | None = None
    vars: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, Any] | None = None
    data: DataSpec | None = None
    defaults: DefaultsSpec | None = None
    setup: list[Any] = field(default_factory=list)
    cleanup: list[Any] = field(default_factory=list)
    cleanup_timeout: Duration = Duration(10)

    def __post_init__(self) -> None:
        if self.every is not None and self.every < 1:
            raise ValueError("every must be at least 1s")
        for name in ("timeout", "cleanup_timeout"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be longer than 0")
