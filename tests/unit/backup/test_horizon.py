"""Is the moment that a copy promises never too late?"""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.backup.horizon import Horizon, position_of
from sre.core.clock import Deadline, SystemClock
from sre.core.errors import Transient
from tests.servers.net import wait_until


@given(st.integers(0, 2**64 - 1))
def test_positions(number: int) -> None:
    assert position_of(f"{number >> 32:X}/{number & 0xFFFFFFFF:X}") == number


@pytest.mark.parametrize("text", ["", "16", "x/y", "16/"])
def test_what_is_no_position(text: str) -> None:
    with pytest.raises(ValueError, match="int"):
        position_of(text)
    with Horizon(None, SystemClock()) as horizon:
        assert horizon.before(text) is None


def test_the_last_answer_before_the_end_counts() -> None:
    """Answers beyond the end of the copy promise nothing; failures and silence neither."""
    answers, asked = iter(["0/10", "", "0/20", "0/20", "1/0"]), threading.Event()
    moments: list[float] = []

    class Clock(SystemClock):
        def wall(self) -> float:
            moments.append(float(len(moments)))
            return moments[-1]

    def ask(_deadline: Deadline) -> str:
        answer = next(answers, None)
        if answer is None:
            asked.set()
            raise Transient("away")
        return answer

    with Horizon(ask, Clock(), every=0.001) as horizon:
        wait_until(asked.is_set, 10, "all answers")
    assert horizon.before("0/F") is None
    assert horizon.before("0/10") == 0.0
    assert horizon.before("0/20") == 3.0
    assert horizon.before("2/0") == 4.0
