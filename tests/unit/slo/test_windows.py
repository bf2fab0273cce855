"""Are windows, factors and numbers those of the SRE workbook, to the last digit?"""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.core.units import Duration, Share
from sre.slo.model import Objective
from sre.slo.windows import budget_of, number, pairs_of, span, windows_of, words


def objective(target: str = "99.9%", window: str = "30d") -> Objective:
    parsed = Share.parse(target), Duration.parse(window)
    return Objective("o", parsed[0], "shop", journey="checkout", window=parsed[1])


def table(window: str, every: float = 15) -> list[tuple[str, str, str, str]]:
    pairs = pairs_of(objective(window=window), every)
    return [(p.severity, span(p.long), span(p.short), number(p.factor)) for p in pairs]


def test_thirty_days_are_the_workbook():
    assert table("30d") == [
        ("page", "1h", "5m", "14.4"),
        ("page", "6h", "30m", "6"),
        ("ticket", "1d", "2h", "3"),
        ("ticket", "3d", "6h", "1"),
    ]


def test_other_periods_scale_the_factor():
    assert [row[3] for row in table("28d")] == ["13.44", "5.6", "2.8", "0.9333"]
    assert [row[3] for row in table("90d")] == ["43.2", "18", "9", "3"]


def test_a_short_period_shrinks_windows_rather_than_alert_below_the_sustainable_rate():
    assert table("7d") == [
        ("page", "1h", "5m", "3.36"),
        ("page", "6h", "30m", "1.4"),
        ("ticket", "16h", "80m", "1.05"),
    ]


def test_a_rare_probe_stretches_short_windows():
    assert [row[2] for row in table("30d", every=600)] == ["25m", "30m", "2h", "6h"]
    rare = pairs_of(objective(), 3600)
    assert [pair.usable for pair in rare] == [False, True, True, True]
    assert [span(w) for w in windows_of(objective(), 3600)] == ["150m", "6h", "1d", "3d", "30d"]


def test_the_windows_are_sloths():
    names = [span(window) for window in windows_of(objective(), 60)]
    assert names == ["5m", "30m", "1h", "2h", "6h", "1d", "3d", "30d"]


@pytest.mark.parametrize("target", ["99%", "99.5%", "99.9%", "99.95%", "99.99%", "99.999%", "50%"])
def test_budgets_are_exact(target):
    written = Fraction(target.removesuffix("%")) / 100
    assert budget_of(objective(target)) == 1 - written
    assert Fraction(number(budget_of(objective(target)))) == 1 - written


def test_a_large_budget_cannot_burn_fast():
    quick = pairs_of(objective("90%"), 15)[0]
    assert not quick.can_fire(Fraction(1, 10))
    assert quick.can_fire(Fraction(1, 100))


@given(st.integers(3600, 90 * 86400), st.floats(1, 86400))
def test_every_period_and_interval_has_sound_pairs(window, every):
    o = Objective("o", Share(0.99), "shop", journey="c", window=Duration(window))
    pairs = pairs_of(o, every)
    assert [p.long for p in pairs] == sorted({p.long for p in pairs})
    for pair in pairs:
        assert pair.short >= 2.5 * every or pair.short == pair.wanted
        assert pair.factor >= Fraction(9, 10)
        assert pair.long <= window
    windows = windows_of(o, every)
    assert list(windows) == sorted(set(windows))
    assert windows[-1] == window


def test_words_and_spans():
    assert [span(s) for s in (1, 90, 60, 5400, 86400, 30 * 86400)] == [
        "1s", "90s", "1m", "90m", "1d", "30d",
    ]  # fmt: skip
    assert [words(s) for s in (25, 300, 3600, 180000, 30 * 86400)] == [
        "25 seconds", "5 minutes", "1 hour", "50 hours", "30 days",
    ]  # fmt: skip
