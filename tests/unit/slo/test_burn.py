"""Does the burn arithmetic fire and clear when it should, and say nothing without events?"""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from sre.core.units import Duration, Share
from sre.slo.burn import Sample, budget_left, burn_rates, error_ratio
from sre.slo.model import Objective
from sre.slo.windows import span

STRICT = Objective("strict", Share.parse("99.9%"), "shop", journey="checkout")
EASY = Objective("easy", Share.parse("99%"), "shop", journey="checkout")
HOUR = 3600


def runs(seconds: int, every: int, bad=lambda at: False) -> list[Sample]:  # noqa: ARG005
    return [Sample(at, int(not bad(at)), 1) for at in range(every, seconds + 1, every)]


def firing(samples, now, objective=EASY, every=60.0) -> list[str]:
    return [
        span(burn.pair.long)
        for burn in burn_rates(samples, now, objective, every)
        if burn.fires and burn.pair.severity == "page"
    ]


def test_one_failed_run_a_minute_pages_on_three_nines_and_not_on_two():
    once = runs(6 * HOUR, 60, lambda at: at == 6 * HOUR)
    assert firing(once, 6 * HOUR, STRICT) == ["1h"]
    assert firing(once, 6 * HOUR, EASY) == []


def test_an_outage_pages_and_clears_when_the_short_window_is_clean():
    outage = runs(12 * HOUR, 60, lambda at: 6 * HOUR < at <= 8 * HOUR)
    assert firing(outage, 6 * HOUR) == []
    assert firing(outage, 6 * HOUR + 540) == ["1h"]
    assert firing(outage, 8 * HOUR) == ["1h", "6h"]
    assert firing(outage, 8 * HOUR + 300) == ["6h"]
    assert firing(outage, 8 * HOUR + 1800) == []


def test_burning_as_fast_as_allowed_is_no_news():
    steady = runs(3 * 86400, 60, lambda at: at // 60 % 100 == 0)
    assert [burn.fires for burn in burn_rates(steady, 3 * 86400, EASY)] == [False] * 4
    assert budget_left(steady, 3 * 86400, EASY) == Fraction(1, 216)


def test_exactly_the_factor_does_not_fire():
    exact = [Sample(at, 856, 1000) for at in range(60, 6 * HOUR, 60)]
    assert firing(exact, HOUR, EASY) == ["6h"]
    over = [Sample(at, 855, 1000) for at in range(60, 6 * HOUR, 60)]
    assert firing(over, HOUR, EASY) == ["1h", "6h"]


def test_without_events_nothing_is_known_and_nothing_fires():
    assert error_ratio([], 100, 60) is None
    assert budget_left([Sample(1, 0, 0)], 100, EASY) is None
    for burn in burn_rates([], 100, EASY):
        assert (burn.long, burn.short, burn.fires) == (None, None, False)


def test_a_ticket_never_pages():
    ticket = Objective("t", Share(0.99), "shop", journey="c", severity="ticket")
    burns = burn_rates([Sample(50, 0, 1)], 100, ticket)
    assert {burn.pair.severity for burn in burns if burn.fires} == {"ticket"}


def test_an_event_leaves_a_window_exactly_at_its_length():
    sample = [Sample(100, 0, 1)]
    assert error_ratio(sample, 159.9, 60) == 1
    assert error_ratio(sample, 160, 60) is None
    assert error_ratio(sample, 99.9, 60) is None


@given(
    st.lists(st.tuples(st.integers(0, 86400), st.booleans()), min_size=1),
    st.integers(0, 86400),
)
def test_more_failures_never_silence_an_alert(events, now):
    samples = [Sample(at, int(good), 1) for at, good in events]
    worse = [Sample(at, 0, 1) for at, _ in events]
    o = Objective("o", Share(0.99), "shop", journey="c", window=Duration(86400))
    for before, after in zip(burn_rates(samples, now, o), burn_rates(worse, now, o), strict=True):
        assert after.fires or not before.fires
