"""What does a prober of /probe get, and what does it give back?

A module (`sre/probes/blackbox/modules.py`) says how to look, a `BlackboxContext` carries what one
request may use, and a `Prober` fills its `metrics` and answers yes or no.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from sre.core.clock import Deadline
from sre.probes.blackbox.families import HELP
from sre.probes.blackbox.modules import (
    DnsOptions,
    DnsValidator,
    GrpcOptions,
    HeaderMatch,
    HttpOptions,
    IcmpOptions,
    Label,
    Module,
    QueryResponse,
    TcpOptions,
    TlsConfig,
)

if TYPE_CHECKING:
    from sre.journey.guard import Guard

__all__ = [
    "BlackboxContext",
    "DnsOptions",
    "DnsValidator",
    "GrpcOptions",
    "HeaderMatch",
    "HttpOptions",
    "IcmpOptions",
    "Label",
    "LogLine",
    "Metrics",
    "Module",
    "Prober",
    "QueryResponse",
    "TcpOptions",
    "TlsConfig",
]

Labels = tuple[tuple[str, str], ...]


class Metrics:
    """The gauges of one request, under blackbox_exporter's names.

    A family appears once it was registered or set. Registered without labels it is 0, as
    blackbox_exporter's; a family with labels shows the label sets that were touched alone.
    """

    def __init__(self) -> None:
        self._values: dict[str, dict[Labels, float]] = {}

    def zero(self, *names: str, **labels: str) -> None:
        """Show these at 0 until they are set."""
        for name in names:
            self.add(name, 0.0, **labels)

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set one gauge. Raises KeyError for a name without a HELP text."""
        self._family(name)[tuple(sorted(labels.items()))] = float(value)

    def add(self, name: str, value: float, **labels: str) -> None:
        """Add to one gauge, which begins at 0."""
        family, key = self._family(name), tuple(sorted(labels.items()))
        family[key] = family.get(key, 0.0) + float(value)

    def get(self, name: str, **labels: str) -> float | None:
        """The value so far, None when it is not there."""
        return self._values.get(name, {}).get(tuple(sorted(labels.items())))

    def drop(self, name: str) -> None:
        """Take a family away again."""
        self._values.pop(name, None)

    def families(self) -> Iterator[tuple[str, str, Iterable[tuple[Labels, float]]]]:
        """(name, help, ((labels, value), …)) sorted by name, as they are exposed."""
        for name in sorted(self._values):
            yield name, HELP[name], sorted(self._values[name].items())

    def _family(self, name: str) -> dict[Labels, float]:
        if name not in HELP:
            raise KeyError(name)
        return self._values.setdefault(name, {})


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the log of a request. `at` is in seconds since the epoch."""

    at: float
    level: str
    message: str
    fields: tuple[tuple[str, Any], ...] = ()


@dataclass
class BlackboxContext:
    """What a prober may use for one request.

    Attributes:
        deadline: when it must have answered.
        guard: the allow-list; asked before anything is sent, once for each address.
        hostname: the parameter of that name; the handler has put it into the module already.
        metrics: where it records what it found.
        lines: the log of this request, shown with `debug=true`.
        blocked: why the allow-list refused, empty unless it did.
        marks: the headers that mark a request to an address as ours, where it goes to the shop.
    """

    deadline: Deadline
    guard: Guard
    hostname: str = ""
    metrics: Metrics = field(default_factory=Metrics)
    lines: list[LogLine] = field(default_factory=list)
    blocked: str = ""
    marks: Callable[[str], tuple[tuple[str, str], ...]] = field(default=lambda _url: ())

    def log(self, level: str, message: str, **fields: Any) -> None:
        """Say what happened: `info`, `error`, … Never a body, never a secret."""
        self.lines.append(
            LogLine(self.deadline.clock.wall(), level, message, tuple(fields.items()))
        )


class Prober(Protocol):
    """One way to look at a target. Keeps no state; called from several threads at once."""

    def probe(self, target: str, module: Module, context: BlackboxContext) -> bool:
        """Look once; whether the probe succeeded.

        A target that is down, slow, wrong or not allowed is False, never an exception. It ends
        by `context.deadline`, sends nothing before `context.guard` admitted the address and
        connects to the admitted address alone (`sre.probes.blackbox.resolve.choose`), and leaves
        nothing open.
        """
        ...
