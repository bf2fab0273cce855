"""Does a load test that cannot be meant say so, with its cure?"""

from __future__ import annotations

import re
from typing import Any

import pytest

from sre.core.units import Duration, Rate, Share
from sre.loadtest.model import Invariant, LoadTest, Stage, stages_of
from sre.loadtest.profiles import PROFILES

HOLD = (Stage(hold=Duration(10.0)),)
MIX = {"home": Rate(2.0)}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "either `mix"),
        ({"mix": MIX, "users": 3}, "either `mix"),
        ({"users": 0, "stages": HOLD}, "users must be at least 1"),
        ({"mix": MIX, "journeys": ("home",), "stages": HOLD}, "belongs to `users`"),
        ({"mix": {"home": Rate(0.0)}, "stages": HOLD}, "must be above 0"),
        ({"mix": MIX}, "either `stages"),
        ({"mix": MIX, "stages": HOLD, "profile": "smoke"}, "either `stages"),
        (
            {"mix": MIX, "profile": "smok"},
            "known: baseline, capacity, peak, singles_day, smoke, soak",
        ),
        ({"mix": MIX, "stages": HOLD, "warmup": Duration(10.0)}, "shorter than the stages"),
        ({"mix": MIX, "stages": HOLD, "max_in_flight": 0}, "max_in_flight"),
        ({"mix": MIX, "stages": HOLD, "min_samples": 0}, "min_samples"),
        ({"mix": MIX, "stages": HOLD, "thresholds": ("home.p95 < 1s",)}, "home.response.p95"),
    ],
)
def test_declarations_that_cannot_be_meant(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        LoadTest(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"ramp": Duration(1.0), "hold": Duration(1.0)},
        {"step": Share(2.0)},
        {"step": Share(2.0), "ramp": Duration(1.0)},
        {"hold": Duration(1.0), "to": Share(1.0)},
        {"hold": Duration(0.0)},
    ],
)
def test_stages_that_cannot_be_meant(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"stage|step|ramp"):
        Stage(**fields)


def test_an_invariant_has_one_bound() -> None:
    with pytest.raises(ValueError, match="exactly one"):
        Invariant("n", "db", "select 1", equals=1, min=2)


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_every_profile_is_a_curve(profile: str) -> None:
    stages = stages_of(LoadTest(mix=MIX, profile=profile))
    assert all(stage.seconds > 0 for stage in stages)


def test_defaults_are_those_of_the_documents() -> None:
    test = LoadTest(mix=MIX, stages=HOLD)
    assert (test.arrivals, test.seed, test.max_in_flight, test.min_samples) == (
        "poisson",
        1,
        1000,
        20,
    )
    assert not test.closed
    assert LoadTest(users=3, stages=HOLD).closed
