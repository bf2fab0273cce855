"""Does the watch know when work is planned, what a shard runs, and what a failure means?"""

from __future__ import annotations

from collections import Counter
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.core.errors import UsageError
from sre.core.units import Duration
from sre.journey.result import Outcome, Reason
from sre.probes.confirm import Confirmations, Verdict
from sre.probes.model import CheckFields, Retry
from sre.probes.shard import Shard, parse_shard
from sre.probes.watching import WatchOptions, Window, around, in_maintenance, spans
from tests.unit.probes.stubs import check, reading

NIGHT = Window("night", schedule="30 2 * * *", for_=Duration(3600), zone="Europe/Berlin")
SALE = Window("sale", from_="2026-11-27T22:00:00Z", to="2026-11-28T01:00:00+01:00", probes=("a*",))
DOWN = reading(Outcome.FAILED, Reason.STATUS)


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


class TestWindows:
    def test_what_goes_on_is_told_first_however_often_a_window_returns(self) -> None:
        often = Window("often", schedule="*/5 * * * *", for_=Duration(120))
        now = at("2026-11-27T12:06:00Z")
        begins = [span.begin for span in around([often, SALE], [check("a", reading)], now)]
        assert begins[:2] == [at("2026-11-27T12:05:00Z"), at("2026-11-27T12:10:00Z")]
        assert at("2026-11-27T22:00:00Z") in begins
        over = [begin for begin in begins if begin < now - 120]
        assert over == sorted(over, reverse=True)
        assert over == begins[-len(over) :]

    @pytest.mark.parametrize(
        ("moment", "names"),
        [
            ("2026-11-27T21:59:59Z", ()),
            ("2026-11-27T22:00:00Z", ("sale",)),
            ("2026-11-27T23:59:59Z", ("sale",)),
            ("2026-11-28T00:00:00Z", ()),
            ("2026-11-28T01:30:00Z", ("night",)),
            ("2026-11-28T02:29:59Z", ("night",)),
            ("2026-11-28T02:30:00Z", ()),
        ],
    )
    def test_open_from_its_begin_until_just_before_its_end(self, moment, names) -> None:
        assert in_maintenance((SALE, NIGHT), check("alpha"), at(moment)) == names

    def test_about_probes_and_journeys_by_name(self) -> None:
        window = Window("w", schedule="* * * * *", for_=Duration(60), journeys=("check*",))
        assert window.about(check("any", journey="checkout"))
        assert not window.about(check("checkout"))
        assert not SALE.about(check("b"))
        assert NIGHT.about(check("anything"))

    def test_spans_are_for_people(self) -> None:
        checks = (check("alpha"), check("b"))
        begin, end = at("2026-11-27T00:00:00Z"), at("2026-11-28T12:00:00Z")
        found = spans((SALE, NIGHT), checks, begin, end)
        assert [(one.name, one.probes) for one in found] == [
            ("night", ("alpha", "b")),
            ("sale", ("alpha",)),
            ("night", ("alpha", "b")),
        ]
        assert found[1].end - found[1].begin == 7200

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({}, "either"),
            ({"from_": "2026-11-27T22:00:00Z"}, "belong together"),
            ({"from_": "2026-11-27T22:00:00Z", "schedule": "* * * * *"}, "either"),
            ({"from_": "2026-11-27T22:00:00", "to": "2026-11-27T23:00:00Z"}, "offset"),
            ({"from_": "2026-11-27", "to": "2026-11-28"}, "time of day"),
            ({"from_": "2026-11-28T00:00:00Z", "to": "2026-11-27T00:00:00Z"}, "earlier"),
            ({"from_": "tomorrow", "to": "2026-11-27T00:00:00Z"}, "not a time"),
            ({"schedule": "* * * * *"}, "'for'"),
            ({"schedule": "* * *", "for_": Duration(60)}, "five fields"),
            ({"schedule": "* * * * *", "for_": Duration(32 * 86400)}, "31d"),
            ({"schedule": "* * * * *", "for_": Duration(60), "zone": "Mars/Base"}, "time zone"),
            ({"schedule": "* * * * *", "for_": Duration(60), "zone": "/etc/passwd"}, "time zone"),
        ],
    )
    def test_what_is_no_window_is_refused(self, fields, message) -> None:
        with pytest.raises(ValueError, match=message):
            Window("w", **fields)

    def test_local_times_need_a_zone_and_then_mean_it(self) -> None:
        window = Window("w", "2026-07-01T02:00:00", "2026-07-01T03:00:00", zone="Europe/Berlin")
        assert window.open_at(at("2026-07-01T00:30:00Z"))


class TestOptions:
    @pytest.mark.parametrize(
        "address", ["router", "10.0.0.0/8:53", "*.example.com:53", "1.1.1.1:*"]
    )
    def test_a_gate_is_one_address(self, address) -> None:
        with pytest.raises(ValueError, match="write HOST:PORT"):
            WatchOptions(gate=(address,))

    def test_a_retry_must_fit_into_the_interval(self) -> None:
        CheckFields("a", Duration(20), Duration(5), retry=Retry(2, Duration(2)))
        with pytest.raises(ValueError, match="at most every"):
            CheckFields("a", Duration(18), Duration(5), retry=Retry(2, Duration(2)))


class TestShards:
    @given(st.integers(1, 12))
    def test_together_they_run_everything_once(self, count) -> None:
        checks = [check(f"p{n}") for n in range(300)]
        parts = [Shard(index, count).of(checks) for index in range(1, count + 1)]
        seen = Counter(one.name for part in parts for one in part)
        assert seen == Counter(one.name for one in checks)

    def test_they_are_even_also_over_the_interval(self) -> None:
        from sre.probes.timetable import offset_of

        checks = [check(f"target_{n:05d}") for n in range(10_000)]
        parts = [Shard(index, 5).of(checks) for index in range(1, 6)]
        assert all(abs(len(part) - 2000) < 150 for part in parts)
        for part in parts:
            early = sum(offset_of(one.name, 60) < 30 for one in part)
            assert abs(early - len(part) / 2) < 120

    def test_few_probes_move_when_a_shard_is_added(self) -> None:
        checks = [check(f"p{n}") for n in range(2000)]
        before = {c.name: i for i in range(1, 5) for c in Shard(i, 4).of(checks)}
        after = {c.name: i for i in range(1, 6) for c in Shard(i, 5).of(checks)}
        assert sum(before[name] != after[name] for name in before) < 2000 / 5 * 1.25

    def test_what_shares_a_budget_shares_a_shard(self) -> None:
        checks = [check(f"p{n}", journey="checkout", budget=1 / 3600) for n in range(20)]
        parts = [Shard(index, 5).of(checks) for index in range(1, 6)]
        assert sorted(map(len, parts)) == [0, 0, 0, 0, 20]

    @pytest.mark.parametrize("text", ["", "2", "0/5", "6/5", "a/b", "1/0", "-1/5", "1/5/2", "²/5"])
    def test_what_is_no_shard_is_refused(self, text) -> None:
        with pytest.raises(UsageError, match="such as 2/5"):
            parse_shard(text)
        assert parse_shard("2/5") == Shard(2, 5)


class TestConfirmations:
    def test_a_failure_that_does_not_last_is_no_outage(self) -> None:
        flaky, heard = check("a", retry=Retry(2, Duration(3))), Confirmations()
        assert heard.first(flaky, DOWN) == Verdict(decides=False, again=3.0)
        assert heard.further(flaky, reading()) == Verdict(down=False)
        assert heard.first(flaky, DOWN).again == 3.0, "the next one is confirmed as well"

    def test_one_that_lasts_is_and_is_not_asked_about_again(self) -> None:
        broken, heard = check("a", retry=Retry(2, Duration(3))), Confirmations()
        heard.first(broken, DOWN)
        assert heard.further(broken, DOWN) == Verdict(again=3.0)
        assert heard.further(broken, DOWN) == Verdict(down=True)
        assert heard.first(broken, DOWN) == Verdict(), "it is known to be down"
        assert heard.first(broken, reading()) == Verdict()
        assert heard.first(broken, DOWN).again == 3.0

    def test_without_a_verdict_nothing_is_confirmed(self) -> None:
        busy, heard = check("a", retry=Retry(1, Duration(3))), Confirmations()
        heard.first(busy, DOWN)
        assert heard.further(busy, reading(Outcome.THROTTLED)) == Verdict()

    def test_the_next_run_of_the_schedule_ends_the_waiting(self) -> None:
        late, heard = check("a", retry=Retry(1, Duration(3))), Confirmations()
        heard.first(late, DOWN)
        assert heard.first(late, reading()) == Verdict(down=False)
        assert heard.further(late, DOWN) == Verdict()

    def test_orders_and_probes_without_retry_are_never_tried_again(self) -> None:
        heard = Confirmations()
        assert heard.first(check("a"), DOWN) == Verdict()
        assert heard.first(check("b", retry=Retry(), budget=1.0), DOWN) == Verdict()

    def test_our_own_failure_is_not_confirmed(self) -> None:
        ours = reading(Outcome.FAILED, Reason.PROBER)
        assert Confirmations().first(check("a", retry=Retry()), ours) == Verdict()
