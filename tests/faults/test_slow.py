"""How long is waited for a way that hardly moves, and is what is only slow let go on? (row 6)"""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError
from hypothesis import given, settings
from hypothesis import strategies as st

from sre.backup.restoring.restore import restore_to
from sre.backup.storage.s3 import S3Store
from sre.backup.storage.s3_reading import FLOOR, Broken, Patience, pieces_of
from sre.core.errors import Transient
from sre.core.units import Duration, Size
from tests.faults.ground import Ground
from tests.servers.s3faults import Rule

BOUND = 30.0


@pytest.mark.parametrize(
    ("act", "more"),
    [
        ("drip", {"size": 20, "seconds": 0.2}),
        ("stall", {}),
        ("reset-down", {"size": 100_000}),
        ("reset", {}),
    ],
)
def test_a_download_that_stands_still_goes_on_elsewhere(
    ground: Ground, act: str, more: dict[str, Any]
) -> None:
    """Once: over a new connection, from where it broke off, and the restore is whole."""
    made = ground.run(bad=False)
    [rule] = ground.faulty.plan(Rule(act, "GET", r"v000001\.zst", **more))
    began = time.monotonic()
    ground.restores(made, bad=True)
    assert (rule.hits, time.monotonic() - began < BOUND) == (1, True)


def test_always_it_ends_in_bounded_time(ground: Ground) -> None:
    """Every connection drips: exit code 4, and nothing landed."""
    made = ground.run(bad=False)
    ground.faulty.plan(Rule("drip", "GET", r"v000001\.zst", times=None, size=20, seconds=0.2))
    began = time.monotonic()
    with pytest.raises(Transient, match="bytes came in") as raised:
        restore_to(ground.job(), made, ground.folder / "out")
    assert (raised.value.exit_code, time.monotonic() - began < BOUND) == (4, True)
    assert not (ground.folder / "out").exists()


def test_an_upload_may_take_longer_than_the_timeout(ground: Ground) -> None:
    """What moves is waited for: 12 MiB take twice the store's timeout, and go once."""
    assert isinstance(ground.bad, S3Store)
    store = dataclasses.replace(ground.bad, timeout=Duration(3.0), part=Size(16 * 2**20))
    data, size = random.Random(5).randbytes(12 * 2**20), 2**16
    pace = 2 * 3.0 / (len(data) / size)
    [rule] = ground.faulty.plan(Rule("slow-up", "PUT", times=None, size=size, seconds=pace))
    began = time.monotonic()
    assert store.open().upload("thing", [data]) == len(data)
    assert (rule.hits, time.monotonic() - began > 5) == (1, True)
    assert ground.good.open().get("thing") == data


def test_what_was_replaced_meanwhile_is_not_put_together(ground: Ground) -> None:
    """Half of one object and half of another are nothing."""
    bad, good = (each.open() for each in (ground.bad, ground.good))
    good.upload("thing", [bytes(3 * 2**20)])
    ground.faulty.plan(Rule("drip", "GET", "thing", size=3 * 2**19, seconds=20.0))
    pieces = bad.stream("thing")
    next(pieces)
    good.delete("thing")
    good.upload("thing", [b"x" * (3 * 2**20)])
    with pytest.raises(Transient, match="replaced while it was read"):
        list(pieces)


class Slow:
    """A body that gives some bytes at each read and lets the time pass."""

    def __init__(self, data: bytes, sizes: list[int], time: list[float], now: list[float]) -> None:
        self._raw_stream = self
        self.data, self.sizes, self.time, self.now = data, sizes, time, now

    def read1(self, _most: int) -> bytes:
        size = self.sizes.pop(0) if self.sizes else len(self.data)
        self.now[0] += self.time.pop(0) if self.time else 0.0
        if size == 0:
            raise OSError("reset")
        piece, self.data = self.data[:size], self.data[size:]
        return piece

    def close(self) -> None:
        self.data = b""


def asking(data: bytes, made: Callable[[bytes], Slow]) -> Any:
    return lambda offset: (made(data[offset:]), len(data) - offset)


@given(
    st.binary(max_size=4000),
    st.lists(st.integers(0, 900), max_size=12),
    st.lists(st.floats(0, 20), max_size=12),
    st.integers(1, 4),
)
@settings(max_examples=300, deadline=None)
def test_all_bytes_in_order_or_an_error(
    data: bytes, sizes: list[int], pauses: list[float], attempts: int
) -> None:
    now = [0.0]
    patience = Patience(30.0, attempts, lambda: now[0])
    ask = asking(data, lambda rest: Slow(rest, sizes, pauses, now))
    found = b""
    try:
        for piece in pieces_of(ask, patience):
            found += piece
    except BotoCoreError:
        assert data.startswith(found)
    else:
        assert found == data


@pytest.mark.parametrize(("rate", "good"), [(2 * FLOOR, True), (FLOOR // 2, False)])
def test_the_floor(rate: int, good: bool) -> None:
    """Two kilobytes a second are slow; half of one stands still, and is given up in the end."""
    now, asked, data = [0.0], list[int](), bytes(200 * 1024)

    def made(rest: bytes) -> Slow:
        asked.append(len(rest))
        return Slow(rest, [rate] * 1000, [1.0] * 1000, now)

    found = pieces_of(asking(data, made), Patience(30.0, 3, lambda: now[0]))
    if good:
        assert b"".join(found) == data
        assert len(asked) == 1
        return
    with pytest.raises(Broken, match="bytes came in 30 s"):
        list(found)
    assert len(asked) == 3
    assert asked == sorted(asked, reverse=True), "it goes on from where it broke off"
    assert now[0] < 100
