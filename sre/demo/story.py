"""What happens in the demo, act by act?

First the two jobs that one declaration drives, a probe and a gate; then the whole loop: a backup
that is known to restore, damage, the alert, the runbook, and a shop that sells again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sre.core.clock import Clock, SystemClock
from sre.demo.act import Act, Teller
from sre.demo.stage import Stage

__all__ = ["first_acts"]

_TRIES = 3
_INVALID = 3


def first_acts(
    stage: Stage, say: Callable[[str], None], clock: Clock | None = None
) -> Iterator[Act]:
    """A healthy shop, the gate with a backup beside it, a fault that both catch.

    A broken act does not end the story.
    """
    teller = Teller(stage, say, clock or SystemClock())
    yield probes(teller, "The probes look at a healthy shop", [], 0)
    yield from _gate_and_backup(teller)
    stage.shop.fault("payment", on=True)
    try:
        yield probes(
            teller, "The payment provider goes down; the probe names step and reason",
            ["checkout"], 1,
        )  # fmt: skip
        yield gate(teller, "The same release would now be stopped", "after", 1)
    finally:
        stage.shop.fault("payment", on=False)


def probes(teller: Teller, title: str, names: list[str], expected: int) -> Act:
    """`sre probe run`, each probe on a line."""
    return teller.play(title, ["probe", "run", *names], expected, _probe_lines)


def gate(teller: Teller, title: str, name: str, expected: int) -> Act:
    """`sre loadtest run release`, each threshold on a line.

    A run that must not be trusted (exit 3: this machine was too busy) is made again, as CI would.
    """
    out = teller.stage.folder / f"release-{name}"
    words = ["loadtest", "run", "release", "--out", str(out)]
    for _ in range(_TRIES):
        act = teller.play(title, words, expected, lambda data: _gate_lines(data, out))
        if act.code != _INVALID:
            break
    return act


def _gate_and_backup(teller: Teller) -> Iterator[Act]:
    done: list[Act] = []

    def back_up() -> None:
        title = "Meanwhile the order database is backed up: encrypted, signed, to S3"
        done.append(teller.play(title, ["backup", "run", "orders"], 0, _backup_lines))

    beside = threading.Thread(target=back_up, name="backup beside the load")
    beside.start()
    yield gate(teller, "The release gate: open-model load from the same journeys", "before", 0)
    beside.join()
    yield from done


def _backup_lines(data: dict[str, Any]) -> Iterator[str]:
    for backup in data.get("backups", [data]):
        yield (
            f"{backup['id']}: {backup['source_bytes'] / 2**20:.0f} MiB read, "
            f"{backup['stored_bytes'] / 2**20:.1f} MiB stored"
        )


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
