"""Are percentiles true to half a percent, and does merging lose nothing?"""

from __future__ import annotations

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from sre.loadtest.histogram import Histogram

VALUES = st.lists(st.floats(1e-6, 1e4), min_size=1, max_size=200)
QUANTILES = (0.5, 0.9, 0.95, 0.99, 1.0)


def nearest_rank(values: list[float], q: float) -> float:
    return sorted(values)[max(1, math.ceil(q * len(values) - 1e-9)) - 1]


@given(VALUES)
def test_percentiles_are_within_half_a_percent_of_the_exact_nearest_rank(
    values: list[float],
) -> None:
    histogram = Histogram(values)
    for q in QUANTILES:
        exact = nearest_rank(values, q)
        found = histogram.quantile(q)
        assert found is not None
        assert abs(found - exact) <= 0.00501 * exact


@given(VALUES, VALUES)
def test_merging_is_the_same_as_recording_everything_in_one(
    left: list[float], right: list[float]
) -> None:
    merged = Histogram(left)
    merged.merge(Histogram(right))
    together = Histogram(left + right)
    assert merged.buckets == together.buckets
    assert (merged.count, merged.minimum, merged.maximum) == (
        together.count,
        together.minimum,
        together.maximum,
    )
    assert math.isclose(merged.total, together.total)


@given(VALUES)
def test_the_plain_form_survives_json(values: list[float]) -> None:
    histogram = Histogram(values)
    back = Histogram.from_plain(json.loads(json.dumps(histogram.to_plain())))
    assert back.to_plain() == histogram.to_plain()


@given(VALUES)
def test_the_curve_rises_to_one(values: list[float]) -> None:
    curve = Histogram(values).curve()
    assert [share for _, share in curve] == sorted(share for _, share in curve)
    assert curve[-1][1] == 1.0


def test_extremes_and_counts_are_exact() -> None:
    histogram = Histogram([0.3049, 0.0, 5.0])
    assert (histogram.count, histogram.minimum, histogram.maximum) == (3, 0.0, 5.0)
    assert histogram.quantile(1.0) == 5.0
    assert math.isclose(histogram.total, 5.3049)


def test_a_constant_is_reported_as_itself() -> None:
    histogram = Histogram([0.3049] * 500)
    assert all(histogram.quantile(q) == 0.3049 for q in QUANTILES)


def test_nearest_rank_takes_no_higher_rank_than_it_must() -> None:
    histogram = Histogram([0.010] * 19 + [0.090])
    assert abs((histogram.quantile(0.95) or 0) - 0.010) < 0.0001


def test_an_empty_one_knows_nothing() -> None:
    histogram = Histogram()
    assert histogram.quantile(0.5) is None
    assert histogram.mean is None
    assert histogram.to_plain() == {}
    assert Histogram.from_plain({}).count == 0
