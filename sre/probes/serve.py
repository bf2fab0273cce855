"""What do Prometheus, a load balancer and an operator get to see of the running probes?"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sre import __version__
from sre.core.masking import masked
from sre.core.web.answer import Answer, Asked

__all__ = ["Pages"]

_OWN = ("/", "/metrics", "/-/healthy", "/-/ready", "/-/probes", "/-/reload")


@dataclass(frozen=True)
class Pages:
    """What the server can show and do.

    Attributes:
        metrics: text and content type of /metrics, for an `Accept` header.
        ready: whether a plan is loaded and its timetable runs.
        reload: reads the declaration again; gives what is wrong with it, or None.
        results: JSON-ready last results.
        routes: pages of others by path, before our own.
        questions: the same for pages that depend on more than their path.
    """

    metrics: Callable[[str], tuple[tuple[bytes, ...], str]]
    ready: Callable[[], bool]
    reload: Callable[[], str | None]
    results: Callable[[], list[dict[str, Any]]]
    routes: Mapping[str, Callable[[], Answer]] = field(default_factory=dict)
    questions: Mapping[str, Callable[[Asked], Answer]] = field(default_factory=dict)

    def get(self, path: str, accept: str, asked: Asked | None = None) -> Answer:
        """The answer to GET or HEAD."""
        theirs = self._of_others(path, asked or Asked(""))
        if theirs is not None:
            return theirs
        match path:
            case "/metrics":
                blocks, kind = self.metrics(accept)
                return Answer(200, b"", kind, more=blocks)
            case "/-/healthy":
                return Answer.text(200, "Healthy")
            case "/-/ready":
                good = self.ready()
                return Answer.text(200 if good else 503, "Ready" if good else "Not ready")
            case "/-/probes":
                data = {"schema": "sre.probes/1", "results": self.results()}
                return Answer(200, json.dumps(masked(data)).encode(), "application/json")
            case "/":
                return Answer(200, self._index().encode(), "text/html; charset=utf-8")
            case "/-/reload":
                return self.unused(path)
            case _:
                return Answer.text(404, "not found")

    def _of_others(self, path: str, asked: Asked) -> Answer | None:
        if path in self.questions:
            return self.questions[path](asked)
        return self.routes[path]() if path in self.routes else None

    def post(self, path: str, *, near: bool = True) -> Answer:
        """The answer to POST; `near` are clients on this machine, and those who named themselves.

        Others may look, not act.
        """
        if path != "/-/reload":
            return self.unused(path)
        if not near:
            return Answer.text(403, "reload from this machine, or as a user of --web.config.file")
        wrong = self.reload()
        if wrong is None:
            return Answer.text(200, "reloaded")
        return Answer.text(500, f"not reloaded, the old declaration stays:\n{wrong}")

    def unused(self, path: str) -> Answer:
        """The answer to a method that nothing here has a use for."""
        if path not in {*_OWN, *self.routes, *self.questions}:
            return Answer.text(404, "not found")
        wanted = "POST" if path == "/-/reload" else "GET"
        return replace(Answer.text(405, f"use {wanted}"), headers=(("Allow", wanted),))

    def _index(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(one['probe'])}<td>{html.escape(one['outcome'])}"
            f"<td>{html.escape(one['reason'])}<td>{one['seconds']:.3f} s<td>{one['started']}"
            for one in self.results()
        )
        links = " · ".join(
            f'<a href="{path}">{path}</a>' for path in ("/metrics", "/-/probes", "/-/ready")
        )
        head = "<tr><th>probe<th>outcome<th>reason<th>took<th>started"
        return (
            f"<!doctype html><html lang=en><meta charset=utf-8><title>sre probes</title>"
            f"<h1>sre {__version__}: probes</h1><p>{links}</p><table>{head}{rows}</table></html>\n"
        )
