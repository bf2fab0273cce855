"""Does the regression gate cry wolf on the demo shop, and does it see a slowdown of 10 %?

Pairs of runs of the demo shop, side by side in the order A B B A: first the shop against itself
(A/A), then against itself behind a delay that makes a checkout's p95 about 10 % slower (A/B). Each
side goes through a proxy of its own, so that the proxy favours nobody. Every number is kept in
--out: a second call goes on where the first one stopped. Then the gate's own rule is asked about
many groups of the number of pairs that it prints. The last line is JSON.

    python benchmarks/regression_power.py --pairs 40 --out regression-power.jsonl
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from sre.demo.stage import staged  # noqa: E402
from sre.loadtest.history.comparison import Rule, State, compare, decide  # noqa: E402
from sre.loadtest.history.model import parse_metric  # noqa: E402
from sre.loadtest.history.power import Design, cautious, runs_for  # noqa: E402
from sre.loadtest.history.record import Observed  # noqa: E402
from sre.loadtest.history.store import read_record  # noqa: E402
from tests.servers.faultproxy import FaultProxy  # noqa: E402

METRIC = parse_metric("checkout.response.p95")
SLOWDOWN, WORSE_THAN, ALPHA = 0.10, 0.05, 0.05
GROUPS = 2000
HARMLESS = {"too_few_samples", "not_comparable", "invariant_unknown"}
_TEST = """
  power:
    mix: {{checkout: {rate}/s}}
    stages: [{{ramp: 1s}}, {{hold: {seconds}s}}]
    warmup: 1s
    seed: {seed}
    thresholds: ["checkout.failed < 1%"]
"""


class Bed:
    """The shop, two proxies before it, and a declaration for each run."""

    def __init__(self, folder: Path, declared: str, shop: str, proxies: dict[str, FaultProxy]):
        self.folder, self.declared, self.shop, self.proxies = folder, declared, shop, proxies

    def run(self, side: str, seed: int, args: argparse.Namespace) -> dict[str, Any]:
        """One run through the proxy of `side`, repeated while this machine is too busy."""
        url, config = self.proxies[side].url, self.folder / "power.yaml"
        test = _TEST.format(rate=args.rate, seconds=args.seconds, seed=seed)
        text = self.declared.replace(f'base_url: "{self.shop}"', f'base_url: "{url}"')
        text = text.replace(f"base_url: {self.shop}", f"base_url: {url}")
        text = re.sub(r"allow: \[.*\]", 'allow: ["127.0.0.1:*"]', text)
        config.write_text(text.replace("\nloadtests:\n", f"\nloadtests:{test}"), encoding="utf-8")
        for attempt in range(1, args.attempts + 1):
            out = self.folder / "run"
            argv = ["run", "power", "--config", config, "--out", out, "--no-progress"]
            done = subprocess.run(
                [sys.executable, "-m", "sre", "loadtest", *map(str, argv)],
                cwd=self.folder, env=_environment(self.folder),
                capture_output=True, text=True, timeout=300, check=False,
            )  # fmt: skip
            if done.returncode not in (0, 3):
                raise SystemExit(f"exit {done.returncode}: {done.stdout}{done.stderr}")
            record = read_record(out)
            spoilt = sorted(set(record.doubts) - HARMLESS)
            if not spoilt:
                break
            print(f"    invalid ({', '.join(spoilt)}), attempt {attempt}", flush=True)
        else:
            raise SystemExit("this machine is too busy to measure on; call again later")
        seen = record.observed(METRIC)
        if seen is None:
            raise SystemExit(f"no {METRIC.text} in {out}")
        requests = json.loads((out / "summary.json").read_text("utf-8"))["requests"]
        shutil.rmtree(out)
        return {"p95": seen.value, "count": seen.count, "requests": requests / seen.count}


def _environment(home: Path) -> dict[str, str]:
    from tests.servers.child import clean_environment

    return clean_environment(home) | {"PYTHONPATH": str(ROOT)}


@contextmanager
def bed() -> Iterator[Bed]:
    """The demo's shop; ends with the block."""
    with tempfile.TemporaryDirectory(prefix="sre-power-") as name:
        folder = Path(name)
        with staged(folder / "demo", lambda _words: None) as stage:
            port = stage.shop.port
            with closing(FaultProxy(port)) as one, closing(FaultProxy(port)) as two:
                text = stage.config.read_text("utf-8")
                yield Bed(stage.folder, text, stage.shop.url, {"a": one, "b": two})


def planted(place: Bed, args: argparse.Namespace) -> dict[str, Any]:
    """The delay of each answer that makes a checkout's p95 slower by SLOWDOWN."""
    seen = [place.run("a", 10_000 + number, args) for number in range(3)]
    p95 = math.exp(fmean(math.log(run["p95"]) for run in seen))
    requests = fmean(run["requests"] for run in seen)
    return {
        "kind": "setting",
        "p95": p95,
        "delay": SLOWDOWN * p95 / requests,
        "rate": args.rate,
        "seconds": args.seconds,
    }


def measure(path: Path, args: argparse.Namespace) -> list[dict[str, Any]]:
    """All rows: those of earlier calls, and what is still missing."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if _has(path) else []
    wanted = [(kind, pair) for kind in ("A/A", "A/B") for pair in range(args.pairs)]
    missing = [each for each in wanted if not any((r["kind"], r.get("pair")) == each for r in rows)]
    if not missing:
        return rows
    with bed() as place, path.open("a", encoding="utf-8") as file:

        def keep(row: dict[str, Any]) -> None:
            rows.append(row)
            file.write(json.dumps(row) + "\n")
            file.flush()

        if not any(row["kind"] == "setting" for row in rows):
            keep(planted(place, args))
        setting = next(row for row in rows if row["kind"] == "setting")
        for kind, pair in missing:
            place.proxies["b"].delay(down=setting["delay"] if kind == "A/B" else 0.0)
            sides = ("a", "b") if pair % 2 == 0 else ("b", "a")
            found = {side: place.run(side, 1 + pair, args) for side in sides}
            keep({"kind": kind, "pair": pair, **found})
            ratio = found["b"]["p95"] / found["a"]["p95"]
            print(f"  {kind} pair {pair + 1} of {args.pairs}: {ratio - 1:+.1%}", flush=True)
    return rows


def _has(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def rate(pairs: list[dict[str, Any]], size: int) -> float:
    """How often the gate's rule calls `size` of these pairs a regression."""
    rng, rule = random.Random(1), Rule(WORSE_THAN, alpha=ALPHA)
    found = 0
    for _ in range(GROUPS):
        group = rng.sample(pairs, size) if size <= len(pairs) else rng.choices(pairs, k=size)
        before, now = (
            [
                Observed(pair[side]["p95"], pair[side]["count"], pair[side]["count"])
                for pair in group
            ]
            for side in ("a", "b")
        )
        decided = decide({"m": compare(METRIC, before, now, Design.PAIRS, alpha=ALPHA)}, rule)
        found += decided["m"].state is State.REGRESSION
    return found / GROUPS


def report(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The numbers, from all rows."""
    same = [row for row in rows if row["kind"] == "A/A"]
    slow = [row for row in rows if row["kind"] == "A/B"]
    steps = {
        kind: [math.log(row["b"]["p95"] / row["a"]["p95"]) for row in found]
        for kind, found in (("same", same), ("slow", slow))
    }
    sd = stdev(steps["same"]) / math.sqrt(2)
    floor = math.log1p(WORSE_THAN)
    planned = cautious(sd, len(same) - 1)
    needed = runs_for(math.log1p(SLOWDOWN), planned, Design.PAIRS, ALPHA, floor)
    size = max(2, needed or len(same))
    return {
        "pairs_measured": [len(same), len(slow)],
        "noise_of_one_run_percent": round(math.expm1(sd) * 100, 2),
        "aa_mean_percent": round(math.expm1(fmean(steps["same"])) * 100, 2),
        "planted_percent": round(math.expm1(fmean(steps["slow"])) * 100, 2),
        "pairs_needed": needed,
        "group": size,
        "false_alarms": rate(same, size),
        "found": rate(slow, size),
    }


def main() -> int:
    """0 when the gate keeps its word on enough pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--seconds", type=int, default=8, help="of the steady phase")
    parser.add_argument("--rate", type=float, default=4.0, help="checkouts a second")
    parser.add_argument("--attempts", type=int, default=6, help="of a run on a busy machine")
    parser.add_argument("--out", type=Path, default=Path("regression-power.jsonl"))
    args = parser.parse_args()
    if args.pairs < 2:
        parser.error("--pairs must be at least 2")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated; call again to go on"))
    found = report(measure(args.out, args))
    rows = (
        ("noise of one run, p95 of a checkout", f"{found['noise_of_one_run_percent']} %"),
        ("planted slowdown, as measured", f"{found['planted_percent']} % (wanted 10 %)"),
        ("pairs that 10 % needs (worse_than 5 %)", found["pairs_needed"] or "more than 500"),
        ("false regressions, A/A", f"{found['false_alarms']:.1%} (at most 5 %)"),
        ("10 % found, A/B", f"{found['found']:.1%} (at least 80 %)"),
    )
    for name, value in rows:
        print(f"{name:42} {value}")
    print(json.dumps(found))
    return 0 if found["false_alarms"] <= 0.05 and found["found"] >= 0.80 else 1


if __name__ == "__main__":
    sys.exit(main())
