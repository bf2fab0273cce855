"""Is every threshold of the grammar understood, and every other one refused with its place?"""

from __future__ import annotations

import pytest

from sre.loadtest.thresholds import Names, Target, parse_threshold

NAMES = Names(
    {
        "checkout": [("search", None), ("cart", "buy"), ("pay", "buy"), ("both", "both")],
        "browse": [("search", None), ("front", None)],
    }
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("checkout.response.p95 < 800ms", ("checkout", "response", "p95", "<", 0.8, "seconds")),
        ("pay.service.max<=1m30s", ("pay", "service", "max", "<=", 90.0, "seconds")),
        ("checkout.failed < 0.5%", ("checkout", "", "failed", "<", 0.005, "share")),
        ("checkout.dropped <= 0", ("checkout", "", "dropped", "<=", 0.0, "count")),
        ("checkout/search.ok >= 99.9%", ("checkout/search", "", "ok", ">=", 0.999, "share")),
        ("  a.b.throttled > 12  ", ("a.b", "", "throttled", ">", 12.0, "count")),
        ("v1.2 buy.refused < 3%", ("v1.2 buy", "", "refused", "<", 0.03, "share")),
        ("v1.response.p50 < 1s", ("v1", "response", "p50", "<", 1.0, "seconds")),
    ],
)
def test_what_the_grammar_allows(text: str, expected: tuple[object, ...]) -> None:
    t = parse_threshold(text)
    found = (t.name, t.series, t.measure, t.op, pytest.approx(t.limit), t.unit)
    assert found == expected
    assert t.expression == text.strip()


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("checkout.response.p95", 22, "expected <, <=, > or >="),
        ("checkout.response.p75 < 1s", 19, "one of p50, p90, p95, p99, max"),
        ("checkout.p95 < 1s", 10, "checkout.response.p95"),
        ("checkout.response < 1s", 18, "checkout.response.p95"),
        ("checkout.broken < 1%", 10, "one of ok, failed"),
        ("failed < 1%", 1, "NAME.response.p95"),
        ("checkout.response.p95 < 1%", 25, "duration with its unit"),
        ("checkout.response.p95 < 800", 25, "duration with its unit"),
        ("checkout.response.p95 < soon", 25, "expected a duration"),
        ("checkout.failed < 1s", 19, "a percentage of arrivals"),
        ("checkout.failed < ,5%", 19, "expected a percentage"),
        ("checkout.failed < 150%", 19, "at most 100%"),
        ("checkout.latency.p95 < 1s", 18, "expected checkout.response.p95"),
        ("checkout.failed <", 18, "a percentage of arrivals"),
        ("checkout.failed == 1%", 22, "expected <, <=, > or >="),
    ],
)
def test_what_it_does_not_allow_is_named_with_its_place(text: str, place: int, words: str) -> None:
    with pytest.raises(ValueError, match="threshold") as error:
        parse_threshold(text)
    assert f"character {place}:" in str(error.value)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("checkout", Target("journey", "checkout", "checkout")),
        ("pay", Target("step", "checkout", "pay", ("pay",))),
        ("checkout/pay", Target("step", "checkout", "pay", ("pay",))),
        ("buy", Target("group", "checkout", "buy", ("cart", "pay"))),
        ("browse/search", Target("step", "browse", "search", ("search",))),
    ],
)
def test_names_find_journeys_steps_and_groups(name: str, target: Target) -> None:
    assert NAMES.resolve(parse_threshold(f"{name}.failed < 1%")) == target


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("search.failed < 1%", "ambiguous; write checkout/search or browse/search"),
        ("both.failed < 1%", "a step and a group of checkout share the name"),
        ("chekout.failed < 1%", "did you mean 'checkout'"),
        ("nothing.failed < 1%", "journeys: checkout, browse"),
        ("pay.dropped < 1", "write checkout.dropped"),
    ],
)
def test_names_that_cannot_be_meant(text: str, words: str) -> None:
    with pytest.raises(ValueError, match="threshold") as error:
        NAMES.resolve(parse_threshold(text))
    assert words in str(error.value)


def test_labels_carry_the_journey_only_where_they_must() -> None:
    labels = {NAMES.label(part) for part in NAMES.parts() if part.kind == "step"}
    assert labels == {"checkout/search", "browse/search", "cart", "pay", "both", "front"}


def test_limits_are_compared_as_written() -> None:
    assert parse_threshold("a.failed <= 1%").holds(0.01)
    assert not parse_threshold("a.failed < 1%").holds(0.01)
    assert parse_threshold("a.ok > 3").holds(4)
    assert parse_threshold("a.ok >= 3").holds(3)
