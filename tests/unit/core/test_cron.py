"""Do schedules of five cron fields begin when cron would, also on days of clock change?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.core.cron import parse_cron

BERLIN = ZoneInfo("Europe/Berlin")
UTC_ZONE = ZoneInfo("UTC")


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def starts(text: str, after: str, until: str, zone: ZoneInfo = UTC_ZONE) -> list[str]:
    found = parse_cron(text).starts(at(after), at(until), zone)
    return [datetime.fromtimestamp(each, UTC).strftime("%m-%d %H:%M") for each in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30 2 * * sun", ["11-08 02:30", "11-15 02:30"]),
        ("30 2 * * 7", ["11-08 02:30", "11-15 02:30"]),
        ("0 0 1 * *", []),
        ("0 12 5,10 * *", ["11-05 12:00", "11-10 12:00"]),
        ("0 0 13 * fri", ["11-06 00:00", "11-13 00:00"]),  # either day is enough
        ("0 0 */5 * fri", ["11-06 00:00"]),  # a day that begins with * restricts as well
        ("0 6-8/2 9 nov mon-wed", [f"11-{d} {h}" for d in ("02", "03", "04", "09", "10", "11")
                                   for h in ("06:00", "08:00")]),
        ("@weekly", ["11-08 00:00", "11-15 00:00"]),
        ("59 23 31 12 *", []),
    ],
)  # fmt: skip
def test_two_weeks_of(text: str, expected: list[str]) -> None:
    assert starts(text, "2026-11-02T00:00:00Z", "2026-11-15T23:59:00Z") == expected


def test_the_first_moment_is_out_and_the_last_one_is_in() -> None:
    assert starts("0 * * * *", "2026-11-02T10:00:00Z", "2026-11-02T12:00:00Z") == [
        "11-02 11:00",
        "11-02 12:00",
    ]


def test_a_skipped_time_begins_later_and_a_repeated_one_once() -> None:
    spring = starts("30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z", BERLIN)
    assert spring == ["03-29 01:30", "03-30 00:30"]  # 03:30 and 02:30 in Berlin
    autumn = starts("30 2 * * *", "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z", BERLIN)
    assert autumn == ["10-25 00:30", "10-26 01:30"]
    every = starts("30 * * * *", "2026-10-24T23:00:00Z", "2026-10-25T03:00:00Z", BERLIN)
    assert every == ["10-24 23:30", "10-25 00:30", "10-25 01:30", "10-25 02:30"]


@pytest.mark.parametrize(
    "text",
    ["", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "a * * * *",
     "5-1 * * * *", "*/0 * * * *", "*-5 * * * *", "1,,2 * * * *", "0 0 31 feb *", "0 0 30 2 *",
     "@never", "-1 * * * *", "* * * foo *", "0x1 * * * *", "0 0 31 4,6,9,11 *"],
)  # fmt: skip
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"write|never begins|above 0"):
        parse_cron(text)


FIELDS = st.tuples(
    st.sampled_from(["*", "0", "*/7", "5,50", "10-20", "59"]),
    st.sampled_from(["*", "3", "*/5", "22-23", "0,12"]),
    st.sampled_from(["*", "1", "*/3", "28-31", "13"]),
    st.sampled_from(["*", "11", "*/2", "jan-mar"]),
    st.sampled_from(["*", "0", "7", "mon-fri", "fri,sat", "*/2"]),
)


@given(FIELDS, st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1)))
def test_it_begins_in_just_those_minutes_that_its_fields_name(fields, moment: datetime) -> None:
    cron = parse_cron(" ".join(fields))
    begin = moment.replace(second=0, microsecond=0, tzinfo=UTC)
    minutes = [begin + timedelta(minutes=n) for n in range(1, 60 * 36)]
    expected = [
        each.timestamp()
        for each in minutes
        if cron.falls_on(each.date()) and each.hour in cron.hours and each.minute in cron.minutes
    ]
    assert list(cron.starts(begin.timestamp(), minutes[-1].timestamp(), UTC_ZONE)) == expected
