"""What do the journey's tests share: a declaration as written, and a shop that is a list?"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sre.core.clock import FakeClock
from sre.journey.drive import run_once
from sre.journey.exchange import Request, Response, TransportFailure
from sre.journey.guard import Guard
from sre.journey.model import Journey
from sre.journey.result import JourneyResult, Reason
from sre.settings import Settings, load_settings

__all__ = ["BASE", "Script", "answer", "declare", "drive", "failure", "one", "only", "real"]

BASE = "http://shop.test"
Answer = Response | BaseException | Callable[[Request], Response]


def declare(
    folder: Path, journey: str, *, base: str = BASE, top: str = "", allow: str = "127.0.0.1:*"
) -> Settings:
    """sre.yaml with one journey `j`: its keys, or its list of steps alone."""
    body = textwrap.dedent(journey).strip("\n")
    if body.startswith("- "):
        body = "steps:\n" + textwrap.indent(body, "  ")
    text = (
        f"version: 1\nshop:\n  name: t\n  base_url: {base}\n"
        f"targets: {{allow: ['{allow}', 'shop.test:*']}}\n"
        f"{textwrap.dedent(top)}\njourneys:\n  j:\n{textwrap.indent(body, '    ')}\n"
    )
    path = folder / "sre.yaml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path)


def only(settings: Settings) -> Journey:
    return settings.journeys["j"]


def answer(
    body: bytes | str = b"",
    status: int = 200,
    headers: Mapping[str, str] | tuple[tuple[str, str], ...] = (),
    seconds: float = 0.0,
) -> Response:
    """A Response; `Script` puts it on its clock."""
    pairs = tuple(headers.items()) if isinstance(headers, Mapping) else headers
    data = body.encode() if isinstance(body, str) else body
    return Response(status=status, body=data, headers=pairs, ended=seconds)


def failure(reason: Reason, *, sent: bool = False, seconds: float = 0.0) -> Response:
    """No answer, for this reason."""
    return Response(failure=TransportFailure(reason, f"no {reason}", sent=sent), ended=seconds)


class Script:
    """A shop that gives these answers in turn, the last one for ever, on a clock of its own."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = answers
        self.clock = FakeClock()
        self.requests: list[Request] = []
        self.at: list[float] = []

    def __call__(self, request: Request) -> Response:
        given = self.answers[min(len(self.requests), len(self.answers) - 1)]
        self.requests.append(request)
        started = self.clock.now()
        self.at.append(started - 1_000_000)
        if isinstance(given, BaseException):
            raise given
        made = given if isinstance(given, Response) else given(request)
        self.clock.advance(made.ended)
        return Response(
            made.status, made.headers, made.body, made.phases, started, self.clock.now(),
            made.failure,
        )  # fmt: skip

    def sent(self, name: str) -> list[str | None]:
        """The value of a header in each request, None where it was not sent."""
        name = name.lower()
        return [
            next((v for n, v in request.headers if n.lower() == name), None)
            for request in self.requests
        ]

    @property
    def urls(self) -> list[str]:
        return [request.url for request in self.requests]

    @property
    def bodies(self) -> list[str]:
        return [(request.body or b"").decode() for request in self.requests]


def drive(settings: Settings, script: Script, **more: Any) -> JourneyResult:
    """One run as a probe against the script."""
    guard = Guard(settings.targets.allow, settings.shop.base_url)
    return run_once(
        only(settings), shop=settings.shop, guard=guard, clock=script.clock, perform=script, **more
    )


def real(settings: Settings, **more: Any) -> JourneyResult:
    """One run as a probe over real sockets."""
    guard = more.pop("guard", None) or Guard(settings.targets.allow, settings.shop.base_url)
    return run_once(only(settings), shop=settings.shop, guard=guard, **more)


def one(
    folder: Path, keys: str, *answers: Response, journey: str = ""
) -> tuple[JourneyResult, Script]:
    """A journey of one step against these answers."""
    script = Script(*answers)
    settings = declare(folder, f"{journey}\nsteps:\n  - {{name: a, {keys}}}".lstrip())
    return drive(settings, script), script
