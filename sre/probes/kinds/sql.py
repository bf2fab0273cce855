"""What does the business say: orders, payments, refunds, stock, by queries of one's own?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from sre.core.secrets import Secret
from sre.journey.result import Outcome, Reason
from sre.probes.dial import Attempt, Trouble
from sre.probes.dsn import dsn_of
from sre.probes.facts import Facts
from sre.probes.fitting import SAMPLES
from sre.probes.model import ProbeContext, Reading
from sre.probes.parts import Late, Unanswered
from sre.probes.sqlquery import PREFIX, Query, Unusable, turned
from sre.probes.sqlrows import Engine, Rows, asking, engine_of, sqlite_asking

__all__ = ["SqlProbe"]

FACTS = Facts(
    "sql",
    ("query_success", "Whether a query gave numbers that can be used.", "query"),
    ("query_seconds", "How long a query took.", "query"),
    ("query_rows", "Rows that a query gave.", "query"),
)
_MOST_QUERIES = 20


@dataclass
class _Told:
    """What the queries told so far."""

    bad: list[str] = field(default_factory=list)
    poor: list[str] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)

    def verdict(self) -> tuple[Outcome, Reason, str]:
        if self.bad:
            reason = self.reasons[0] if len(set(self.reasons)) == 1 else Reason.STATUS
            return Outcome.FAILED, reason, "; ".join(self.bad)
        if self.poor:
            return Outcome.DEGRADED, Reason.STATUS, "; ".join(self.poor)
        return Outcome.OK, Reason.NONE, ""


@dataclass(frozen=True)
class SqlProbe:
    """Turns rows of queries into metrics named `sre_business_…`, on PostgreSQL, MySQL or SQLite.

    Each query runs in a read-only transaction of the server's own, within the probe's timeout, and
    nothing from outside is put into it. A query that fails fails the probe; the numbers of the
    others are exported all the same. Orders of probes and load tests are in the database as well:
    leave them out in each query, by the column where the shop keeps its X-Synthetic header.

    Attributes:
        database: an entry of `databases:`, whose dsn is used.
        dsn: `postgresql://…`, `mysql://…` or `sqlite:///FILE`.
        path: a SQLite file.
        engine: the kind of database, where the dsn does not tell.
        queries: the queries, each with its name and its limits; at most 20.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    facts: ClassVar[Facts] = FACTS
    queries: tuple[Query, ...]
    database: str | None = None
    dsn: Secret | None = None
    path: Path | None = None
    engine: Engine | None = None

    def __post_init__(self) -> None:
        if sum(place is not None for place in (self.database, self.dsn, self.path)) != 1:
            raise ValueError("write exactly one of database, dsn, path")
        if self.path is not None and self.engine not in (None, "sqlite"):
            raise ValueError("path is a SQLite file; for another engine write dsn or database")
        if not 1 <= len(self.queries) <= _MOST_QUERIES:
            raise ValueError(f"write 1 to {_MOST_QUERIES} queries; more in a probe of their own")
        names = [query.name for query in self.queries]
        metrics = [metric for query in self.queries for metric in query.metrics]
        for found, what in ((names, "queries are"), (metrics, "metrics would be")):
            twice = sorted({name for name in found if found.count(name) > 1})
            if twice:
                raise ValueError(f"two {what} named {twice[0]!r}; rename one")

    @cached_property
    def own_facts(self) -> Facts:
        """The metrics that the declaration itself names."""
        rows = [
            (metric, query.text, *query.labels)
            for query in self.queries
            for metric in query.metrics
        ]
        return Facts("sql", *rows, prefix=PREFIX)

    def check(self, context: ProbeContext) -> Reading:
        """Connect, ask one query after the other, hang up."""
        attempt = Attempt("sql", context)
        told = _Told()
        try:
            with self._asking(attempt) as rows:
                for query in self.queries:
                    self._ask(attempt, rows, query, told)
        except Trouble as trouble:
            return attempt.ended_by(trouble)
        except Unanswered as error:
            why = f"the server allows no read-only session: {error}"
            return attempt.ended_by(Trouble(Reason.STATUS, why))
        return attempt.reading(*told.verdict())

    def _asking(self, attempt: Attempt) -> AbstractContextManager[Rows]:
        if self.path is not None:
            return sqlite_asking(attempt, self.path)
        dsn = dsn_of(attempt.context, self.database, self.dsn)
        return asking(attempt, self.engine or engine_of(dsn), dsn)

    def _ask(self, attempt: Attempt, rows: Rows, query: Query, told: _Told) -> None:
        began, good, count = time.monotonic(), False, 0
        try:
            names, found = rows(query.sql, query.max_rows)
            count = len(found)
            result = turned(query, names, found, self.own_facts)
            with _room(attempt, len(result.gauges) + 3 * len(self.queries)):
                attempt.gauges += result.gauges
            good = True
        except Unanswered as error:
            told.bad.append(f"{query.name}: {error}")
            told.reasons.append(_reason(error))
        else:
            told.bad += result.bad
            told.reasons += [Reason.STATUS] * len(result.bad)
            told.poor += result.poor
        finally:
            seconds = time.monotonic() - began
            attempt.gauges += (
                FACTS("query_success", good, query=query.name),
                FACTS("query_seconds", seconds, query=query.name),
                FACTS("query_rows", count, query=query.name),
            )


def _reason(error: Unanswered) -> Reason:
    """Too late, of no use, or refused by the server."""
    if isinstance(error, Late):
        return Reason.TIMEOUT
    return Reason.EXTRACT if isinstance(error, Unusable) else Reason.STATUS


@contextmanager
def _room(attempt: Attempt, more: int) -> Iterator[None]:
    if len(attempt.gauges) + more > SAMPLES:
        raise Unusable(
            f"more series than one probe may export ({SAMPLES}); give it a probe of its own"
        )
    yield
