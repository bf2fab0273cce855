"""Does one address answer over HTTP as it should?"""

from __future__ import annotations

import json as json_text
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Literal

from sre.core.errors import ConfigError
from sre.core.units import Duration, Size
from sre.journey.compile import single_step
from sre.journey.drive import run_once
from sre.journey.model import Journey
from sre.journey.shop import Shop
from sre.probes.facts import Facts
from sre.probes.model import ProbeContext, Reading
from sre.probes.path import reading_of

__all__ = ["HttpProbe"]

_AGES = 86400.0
"""The compiled request's own time limit: the run's deadline is always sooner."""

_ANY_SHOP = Shop("any", "http://localhost")


@dataclass(frozen=True)
class HttpProbe:
    """One request, written and judged as a step of a journey is.

    Attributes:
        url: absolute, or relative to the shop's `base_url`.
        headers, query, form, json, body, expect: as in a step; texts are templates.
        below: seconds; hard, an answer that takes longer has failed.
        follow: redirects, up to 10, each a row of the result.
        body_limit: bytes after decompression.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    facts: ClassVar[Facts] = Facts("http")
    url: str
    method: Literal["get", "head", "post", "put", "patch", "delete", "options"] = "get"
    headers: dict[str, Any] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    form: dict[str, Any] | None = None
    json: Any = None
    body: str | None = None
    expect: dict[str, Any] = field(default_factory=dict)
    below: Duration | None = None
    follow: bool = True
    body_limit: Size = Size(10 * 2**20)

    def __post_init__(self) -> None:
        try:
            single_step("http", self._step(), shop=_ANY_SHOP)
        except ConfigError as error:
            raise ValueError("; ".join(_plain(str(each)) for each in error.problems)) from error

    def check(self, context: ProbeContext) -> Reading:
        """One request with its redirects; new connections each time."""
        journey = _compiled(self._text, context.shop)
        result = run_once(
            replace(journey, timeout=context.deadline.left()),
            shop=context.shop,
            guard=context.guard,
            clock=context.clock,
            cancel=context.cancelled,
            sequence=context.sequence,
        )
        return reading_of(result, None)

    @cached_property
    def _text(self) -> str:
        return json_text.dumps(self._step(), sort_keys=True)

    def _step(self) -> dict[str, Any]:
        """The keys of the step that this probe is."""
        below = {} if self.below is None else {"below": f"{self.below:f}s"}
        step: dict[str, Any] = {
            self.method: self.url,
            "headers": self.headers,
            "query": self.query,
            "form": self.form,
            "json": self.json,
            "body": self.body,
            "expect": {**self.expect, **below},
            "body_limit": int(self.body_limit),
        }
        kept = {key: value for key, value in step.items() if value not in (None, {})}
        return {**kept, "follow": self.follow}


@lru_cache(maxsize=2048)
def _compiled(step: str, shop: Shop) -> Journey:
    return single_step("http", json_text.loads(step), shop=shop, timeout=_AGES)


def _plain(problem: str) -> str:
    """A problem without the place that the generated step has not."""
    return problem.partition("steps[0]")[2].lstrip(".") or problem
