"""Does the gate cry wolf, and does it see the wolf?"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from sre.core.errors import Untrusted, UsageError
from sre.loadtest.history.comparison import Rule, State
from sre.loadtest.history.power import Design
from sre.loadtest.history.record import Record
from sre.loadtest.history.sets import compared_sets
from tests.unit.loadtest.made_history import KEY, made_record

RULE = Rule(worse_than=0.05)
P95 = ("checkout.response.p95",)


def runs(rng: random.Random, count: int, **given: Any) -> list[Record]:
    return [
        made_record(rng, **{"number": number, "seed": number, "samples": 60} | given)
        for number in range(count)
    ]


@pytest.mark.parametrize("metrics", [(), P95])
def test_200_comparisons_of_a_build_with_itself_raise_few_alarms(metrics: tuple[str, ...]) -> None:
    rng = random.Random(20261122)
    alarms = 0
    for _ in range(200):
        sets = compared_sets(runs(rng, 5), runs(rng, 5), RULE, metrics=metrics)
        alarms += sets.exit_code == 1
    assert alarms <= 0.05 * 200


@pytest.mark.parametrize(
    ("before", "now", "design"),
    [(5, 5, Design.PAIRS), (5, 6, Design.GROUPS), (10, 1, Design.HISTORY)],
)
def test_a_fifth_slower_is_found_in_four_of_five_comparisons(
    before: int, now: int, design: Design
) -> None:
    rng = random.Random(4)
    found = 0
    for _ in range(100):
        old = runs(rng, before, samples=300, sd=0.045)
        new = runs(rng, now, samples=300, sd=0.045, slower=0.2)
        sets = compared_sets(old, new, RULE, metrics=P95)
        assert sets.design is design
        found += sets.exit_code == 1
    assert found >= 80


def test_a_step_that_became_slow_is_named_though_the_journey_is_not_slower() -> None:
    rng = random.Random(1)
    before, now = runs(rng, 5, sd=0.01), runs(rng, 5, sd=0.01)
    slow = [
        replace(
            record,
            parts=tuple(
                replace(part, response=later.response) if part.name == "cart" else part
                for part, later in zip(record.parts, other.parts, strict=True)
            ),
        )
        for record, other in zip(now, runs(rng, 5, sd=0.01, slower=0.5), strict=True)
    ]
    sets = compared_sets(before, slow, RULE)
    bad = {name for name, each in sets.compared.items() if each.state is State.REGRESSION}
    assert sets.exit_code == 1
    assert bad == {"cart.response.p50", "cart.response.p95"}


def test_five_milliseconds_are_nothing_whatever_their_share() -> None:
    rng = random.Random(2)
    before, now = runs(rng, 5, sd=0.005), runs(rng, 5, sd=0.005, slower=0.1)
    assert compared_sets(before, now, RULE, metrics=("cart.response.p50",)).exit_code == 1
    blunt = replace(RULE, at_least=0.05)
    assert compared_sets(before, now, blunt, metrics=("cart.response.p50",)).exit_code == 0


def test_too_much_noise_is_told_with_the_number_of_runs_it_would_take() -> None:
    rng = random.Random(3)
    sets = compared_sets(runs(rng, 3, sd=0.2), runs(rng, 3, sd=0.2), RULE, metrics=P95)
    (each,) = sets.compared.values()
    assert (sets.exit_code, each.state) == (3, State.INCONCLUSIVE)
    assert each.sees is not None
    assert each.sees > 0.05
    assert each.needs is None or each.needs > 3


def test_one_run_against_one_is_shown_and_never_fails() -> None:
    rng = random.Random(5)
    sets = compared_sets(runs(rng, 1), runs(rng, 1, slower=3.0), RULE)
    assert sets.exit_code == 0
    assert {each.state for each in sets.compared.values()} == {State.SHOWN}


def test_failures_are_judged_by_their_exact_counts_from_nothing_too() -> None:
    rng = random.Random(6)
    failed = ("checkout.failed",)
    clean = runs(rng, 5)
    assert compared_sets(clean, runs(rng, 5), RULE, metrics=failed).exit_code == 0
    some = compared_sets(clean, runs(rng, 5, failed=0.1), RULE, metrics=failed)
    assert some.exit_code == 1
    (each,) = some.compared.values()
    assert each.ratio == float("inf")
    assert each.low is not None
    assert each.low > 1
    rare = [
        replace(record, parts=tuple(replace(p, counts={"ok": 59, "failed": 1}) for p in r.parts))
        for r, record in zip(clean[:1], clean[:1], strict=True)
    ] + clean[1:]
    assert compared_sets(clean, rare, RULE, metrics=failed).exit_code == 0  # one of 300 is chance


def test_what_cannot_be_compared_says_which_part_differs() -> None:
    rng = random.Random(7)
    before = runs(rng, 2)
    other = [replace(r, key=KEY | {"mix": "checkout 4/s", "cpu": "EPYC"}) for r in runs(rng, 2)]
    with pytest.raises(Untrusted, match="mix: checkout 2/s before, checkout 4/s now"):
        compared_sets(before, other, RULE)
    moved = [replace(r, key=KEY | {"cpu": "EPYC"}) for r in runs(rng, 2)]
    with pytest.raises(Untrusted, match="cpu: Xeon before, EPYC now"):
        compared_sets(before, moved, RULE)
    assert compared_sets(before, moved, RULE, ignore_host=True).compared


def test_pairs_are_pairs_only_with_the_same_seeds_in_order() -> None:
    rng = random.Random(8)
    before, now = runs(rng, 3), runs(rng, 3)[::-1]
    assert compared_sets(before, now, RULE).design is Design.GROUPS
    assert compared_sets(before, now[::-1], RULE).design is Design.PAIRS
    assert compared_sets(before, now[::-1], RULE, pairing="unpaired").design is Design.GROUPS
    with pytest.raises(UsageError, match="same seeds"):
        compared_sets(before, now, RULE, pairing="paired")


def test_a_metric_that_a_run_lacks_is_no_pass() -> None:
    rng = random.Random(9)
    sets = compared_sets(runs(rng, 3), runs(rng, 3), RULE, metrics=("checkout.response.p99",))
    assert sets.exit_code == 3  # 60 answers have no 99th percentile
    assert "fewer than 100" in sets.lacking["checkout.response.p99"]
