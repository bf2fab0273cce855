"""What does the shop's Prometheus say about the time of a run? Shown beside it, never judged."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import requests

from sre.core.clock import Clock, Deadline
from sre.core.secrets import redactor
from sre.loadtest.judge.assemble import Ran
from sre.loadtest.judge.finding import Finding, State
from sre.loadtest.server.model import Observe

__all__ = ["ServerExaminer"]

_POINTS = 120
_TIMEOUT = 10.0
_LARGEST = 4 * 2**20


class _Nothing(Exception):  # noqa: N818  what there is instead of an answer
    """Nobody can tell, and why."""


class ServerExaminer:
    """Asks each query for the time of the run, when it is over.

    To be asked first among all examiners: when the run began is told from when it ended.
    """

    def __init__(self, observe: Observe, clock: Clock) -> None:
        self._observe, self._clock = observe, clock

    def before(self, run_id: str) -> None:
        """As Examiner.before."""

    def after(self, ran: Ran) -> Sequence[Finding]:
        """As Examiner.after."""
        begin = self._clock.wall() - ran.facts.seconds
        seconds = max(1.0, ran.facts.seconds)
        deadline = Deadline.after(3 * _TIMEOUT, self._clock)
        found = []
        for name, query in self._observe.queries.items():
            try:
                series = self._ask(query, begin, seconds, deadline)
                found.append(_finding(name, query, series))
            except _Nothing as nothing:
                found.append(_blank(name, query, str(nothing)))
        return found

    def _ask(self, query: str, begin: float, seconds: float, ends: Deadline) -> list[Any]:
        """Each series that the query has in that time."""
        if ends.passed():
            raise _Nothing("no time was left to ask")
        params = {
            "query": query,
            "start": f"{begin:.3f}",
            "end": f"{begin + seconds:.3f}",
            "step": f"{max(1.0, seconds / _POINTS):.3f}",
            "timeout": f"{_TIMEOUT:g}s",
        }
        url = f"{self._observe.prometheus.rstrip('/')}/api/v1/query_range"
        answer = self._posted(url, params)
        if not isinstance(answer, dict) or answer.get("status") != "success":
            said = answer.get("error") if isinstance(answer, dict) else None
            raise _Nothing(f"Prometheus refuses the query: {str(said or 'no reason given')[:200]}")
        try:
            series = answer["data"]["result"]
            return [[(float(at) - begin, _number(value)) for at, value in one["values"]]
                    for one in series]  # fmt: skip
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise _Nothing("what answers there is not the API of Prometheus") from error

    def _posted(self, url: str, params: dict[str, str]) -> object:
        deadline = Deadline.after(_TIMEOUT, self._clock)
        body = bytearray()
        try:
            with (
                requests.Session() as session,
                session.post(url, data=params, timeout=_TIMEOUT, stream=True) as answer,
            ):
                for chunk in answer.iter_content(2**16):
                    body += chunk
                    if deadline.passed() or len(body) > _LARGEST:
                        raise _Nothing("the answer of Prometheus is too slow or too long")
                return json.loads(body)
        except requests.RequestException as error:
            raise _Nothing(f"Prometheus does not answer ({type(error).__name__})") from error
        except (ValueError, RecursionError) as error:
            raise _Nothing("what answers there is not the API of Prometheus") from error


def _number(text: object) -> float | None:
    value = float(str(text))
    return value if math.isfinite(value) else None


def _finding(name: str, query: str, series: list[Any]) -> Finding:
    if not series:
        return _blank(name, query, "Prometheus has nothing for it in the time of the run")
    points = [(round(at, 3), value) for at, value in series[0]]
    values = [value for _, value in points if value is not None]
    if not values:
        return _blank(name, query, "every value is NaN or infinite")
    low, mean, high = min(values), math.fsum(values) / len(values), max(values)
    problem = ""
    if len(series) > 1:
        problem = f"{len(series)} series, the first is drawn; take sum() or max() of them"
    return Finding(
        "server",
        name,
        State.KEPT,
        f"mean {mean:.4g}, {low:.4g} to {high:.4g}",
        "",
        problem,
        informational=True,
        data={"query": query, "min": low, "mean": mean, "max": high, "points": points},
    )


def _blank(name: str, query: str, why: str) -> Finding:
    return Finding(
        "server",
        name,
        State.UNKNOWN,
        "nothing",
        "",
        redactor.mask(why),
        informational=True,
        data={"query": query, "min": None, "mean": None, "max": None, "points": []},
    )
