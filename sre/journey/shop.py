"""Which shop is it, how are our requests marked, and who may be sent anything?"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal

from sre.journey.host import origin_of

__all__ = ["Links", "Shop", "Synthetic", "Targets", "origin_of"]

_STRICT: dict[str, object] = {"extra": "forbid"}


@dataclass(frozen=True)
class Synthetic:
    """The header that marks every request of a probe or load test. `value` is a template."""

    __pydantic_config__: ClassVar = _STRICT
    header: str = "X-Synthetic"
    value: str = "sre/${run_id}"


@dataclass(frozen=True)
class Shop:
    """The shop under watch.

    Attributes:
        base_url: where relative addresses of journeys begin.
        environment: on `production`, load and side effects need --i-know-this-is-production. Left
            out, it is production unless `base_url` is a loopback address: no accident by omission.
        origins: further origins that may receive cookies and credentials.
    """

    __pydantic_config__: ClassVar = _STRICT
    name: str
    base_url: str
    environment: Literal["production", "staging", "test", "development"] | None = None
    synthetic: Synthetic = field(default_factory=Synthetic)
    origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for url in (self.base_url, *self.origins):
            origin_of(url)

    @property
    def is_production(self) -> bool:
        """Whether load, faults and side effects need an explicit word."""
        if self.environment is not None:
            return self.environment == "production"
        host = origin_of(self.base_url)[1]
        return not (host in ("localhost", "::1") or host.startswith("127."))

    @cached_property
    def trusted_origins(self) -> frozenset[tuple[str, str, int]]:
        """Who may receive `Authorization`, `Cookie`, idempotency keys and secret headers."""
        return frozenset(origin_of(url) for url in (self.base_url, *self.origins))


@dataclass(frozen=True)
class Targets:
    """The allow-list: `NAME:PORT`, `*.NAME:PORT`, `IP:PORT` or `CIDR:PORT`; PORT may be `*`."""

    __pydantic_config__: ClassVar = _STRICT
    allow: tuple[str, ...] = ()


@dataclass(frozen=True)
class Links:
    """Where runbooks and dashboards can be looked at; alerts link there."""

    __pydantic_config__: ClassVar = _STRICT
    runbooks: str | None = None
    dashboards: str | None = None
