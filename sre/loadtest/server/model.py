"""What does `observe:` of a load test say?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import urlsplit

__all__ = ["Observe"]

_MOST = 20


@dataclass(frozen=True)
class Observe:
    """What to ask the shop's Prometheus when a run is over; shown, never judged.

    Attributes:
        prometheus: its address, such as `http://127.0.0.1:9090`.
        queries: name -> PromQL of one series, such as `sum(rate(http_requests_total[30s]))`.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    prometheus: str
    queries: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = urlsplit(self.prometheus)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("prometheus must be an address such as http://127.0.0.1:9090")
        if parts.username is not None or parts.password is not None:
            raise ValueError("prometheus: no user or password may stand in the address")
        if not 1 <= len(self.queries) <= _MOST:
            raise ValueError(f"queries: name 1 to {_MOST}, such as {{rate: 'sum(rate(x[30s]))'}}")
        for name, query in self.queries.items():
            if not name.strip() or not query.strip():
                raise ValueError(f"queries: {name!r} needs a name and PromQL")
