"""What happens in the demo, act by act, and did each act go as it should?

Each act runs the very command that a user would type, against the running set.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sre.core.clock import Clock, Deadline, SystemClock
from sre.core.process import run
from sre.demo.stage import Stage

__all__ = ["Act", "tell"]

_LIMIT = 120.0


@dataclass(frozen=True)
class Act:
    """One command of the story.

    Attributes:
        title: for people.
        command: as a user would type it, beside the demo's folder.
        expected, code: the exit code that the story needs, and the one that came.
        lines: what to look at, drawn from the command's own JSON.
        data: that JSON.
    """

    title: str
    command: str
    expected: int
    code: int
    seconds: float
    lines: tuple[str, ...] = ()
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def as_planned(self) -> bool:
        """The exit code is the one that the story needs."""
        return self.code == self.expected


def tell(stage: Stage, say: Callable[[str], None], clock: Clock | None = None) -> Iterator[Act]:
    """Play the acts one after the other; a broken one does not end the story.

    Args:
        say: told what is going on, for a progress line.
    """
    teller = _Teller(stage, say, clock or SystemClock())
    yield teller.probes("The probes look at a healthy shop", [], 0)
    yield teller.gate("The release gate: open-model load from the same journeys", "before", 0)
    stage.shop.fault("payment", on=True)
    try:
        yield teller.probes(
            "The payment provider goes down; the probe names step and reason", ["checkout"], 1
        )
        yield teller.gate("The same release would now be stopped", "after", 1)
    finally:
        stage.shop.fault("payment", on=False)
    yield teller.probes("The provider is back", ["checkout"], 0)


@dataclass(frozen=True)
class _Teller:
    stage: Stage
    say: Callable[[str], None]
    clock: Clock

    def probes(self, title: str, names: list[str], expected: int) -> Act:
        """`sre probe run`, each probe on a line."""
        return self._act(title, ["probe", "run", *names], expected, _probe_lines)

    def gate(self, title: str, name: str, expected: int) -> Act:
        """`sre loadtest run release`, each threshold on a line."""
        out = self.stage.folder / f"release-{name}"
        words = ["loadtest", "run", "release", "--out", str(out)]
        return self._act(title, words, expected, lambda data: _gate_lines(data, out))

    def _act(
        self,
        title: str,
        words: list[str],
        expected: int,
        look: Callable[[dict[str, Any]], Iterator[str]],
    ) -> Act:
        self.say(f"{title}: sre {' '.join(words)}")
        config = str(self.stage.config)
        argv = [sys.executable, "-m", "sre", *words, "--config", config, "--format", "json"]
        done = run(argv, Deadline.after(_LIMIT, self.clock), env={"COLUMNS": "100"})
        command = " ".join(["sre", *words, "--config", config])
        try:
            data = json.loads(done.stdout)
            lines = tuple(look(data))
        except (ValueError, KeyError):
            data, lines = {}, tuple(done.stderr.strip().splitlines()[-5:])
        return Act(title, command, expected, done.returncode, done.seconds, lines, data)


def _probe_lines(data: dict[str, Any]) -> Iterator[str]:
    results = data["results"]
    width = max(len(result["probe"]) for result in results)
    for result in results:
        steps = [step for step in result["steps"] if step["outcome"] == result["outcome"]]
        text = (
            f"{result['probe']:{width}}  {result['outcome']:8} {result['seconds'] * 1000:7.1f} ms"
        )
        if result["outcome"] not in ("ok", "degraded") and steps:
            bad = steps[-1]
            text += f"  at step {bad['step']}: {bad['reason']} ({result.get('message', '')})"
        elif len(result["steps"]) > 1:
            slowest = max(result["steps"], key=lambda step: float(step["seconds"]))
            text += (
                f"  {len(result['steps'])} requests, slowest {slowest['step']} "
                f"{slowest['seconds'] * 1000:.1f} ms"
            )
        yield text


def _gate_lines(data: dict[str, Any], out: Path) -> Iterator[str]:
    arrivals = sum(journey["arrivals"] for journey in data["journeys"].values())
    yield f"verdict: {data['verdict']}; {arrivals} customers"
    for threshold in data["thresholds"]:
        mark = {True: "ok    ", False: "BROKEN", None: "?     "}[threshold["passed"]]
        yield f"{mark}  {threshold['expression']}  ({_value(threshold)})"
    for reason in data["validity"]["reasons"] if data["verdict"] == "invalid" else ():
        yield f"invalid: {reason.get('text', reason) if isinstance(reason, dict) else reason}"
    yield f"report: {out / 'report.html'}"


def _value(threshold: dict[str, Any]) -> str:
    value = threshold["value"]
    if value is None:
        return "not measured"
    if "response" in threshold["expression"] or "service" in threshold["expression"]:
        return f"measured {value:.0f} ms"
    return f"measured {value:.3g} %" if "%" in threshold["expression"] else f"measured {value:g}"
