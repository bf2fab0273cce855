"""Is there ever more than one holder, whatever clocks and stores do? (pure and in memory)"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sre.backup.claim import Claim, lease_key, parse_claim
from sre.backup.lease import Fenced, Lease, Terms, hold
from sre.backup.objects import Cell
from sre.backup.storage.memory import MemoryStorage
from sre.core.clock import FakeClock
from sre.core.errors import IntegrityError, Locked, Transient, UsageError
from tests.unit.backup.setting import TarDatabase, make_job, make_keys

KEY = lease_key("orders", "run")


def taken(storage: MemoryStorage, clock: FakeClock) -> Lease:
    return Lease(storage, Terms("orders", "run"), clock)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def storage(clock: FakeClock) -> MemoryStorage:
    return MemoryStorage(clock)


def test_the_second_is_told_who_since_when_and_until_when(
    storage: MemoryStorage, clock: FakeClock
) -> None:
    first = taken(storage, clock)
    with pytest.raises(Locked, match=r"process \d+ on .* since 1970-01-12T13:46:40Z until 1970-01"):
        taken(storage, clock)
    assert first.fence == 1
    assert first.release()
    assert taken(storage, clock).fence == 2


def test_it_lasts_while_it_is_renewed_and_ends_when_it_is_not(
    storage: MemoryStorage, clock: FakeClock
) -> None:
    lease = taken(storage, clock)
    for _ in range(20):
        clock.advance(50)
        lease.confirm()
    clock.advance(58)
    lease.check()
    with pytest.raises(Locked):
        taken(storage, clock)
    clock.advance(1.5)
    with pytest.raises(Fenced, match="not renewed in time"):
        lease.check()
    with pytest.raises(Locked):
        taken(storage, clock)  # the holder gives up before others may begin
    clock.advance(1)
    assert taken(storage, clock).fence == 2
    with pytest.raises(Fenced):
        lease.confirm()
    assert not lease.release()
    assert parse_claim(storage.objects[KEY], KEY).fence == 2


def test_a_stolen_lease_is_noticed_by_asking(storage: MemoryStorage, clock: FakeClock) -> None:
    lease = taken(storage, clock)
    other = dataclasses.replace(lease.claim, owner="other", fence=9, host="elsewhere")
    storage.objects[KEY] = other.encode()
    lease.check()
    with pytest.raises(Fenced, match="elsewhere"):
        lease.confirm()
    with pytest.raises(Fenced):
        lease.check()
    assert storage.objects[KEY] == other.encode()


def test_a_store_that_is_away_for_a_moment_costs_nothing(
    storage: MemoryStorage, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = taken(storage, clock)

    def away(*_: object) -> Cell:
        raise Transient("away")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "swap", away)
        clock.advance(20)
        with pytest.raises(Transient):
            lease.renew()
        lease.check()
    clock.advance(20)
    lease.confirm()


def test_a_dead_owner_is_followed_at_once(storage: MemoryStorage, clock: FakeClock) -> None:
    first = taken(storage, clock)
    dead = frozenset({first.claim.owner})
    assert Lease(storage, Terms("orders", "run", dead=dead), clock).fence == 2


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"schema":"sre.lease/1"}', b"\xff"])
def test_a_damaged_lease_is_named(storage: MemoryStorage, clock: FakeClock, data: bytes) -> None:
    storage.objects[KEY] = data
    with pytest.raises(IntegrityError, match=KEY):
        taken(storage, clock)


def test_the_lease_of_another_database_does_not_count(
    storage: MemoryStorage, clock: FakeClock
) -> None:
    claim = taken(storage, clock).claim
    with pytest.raises(IntegrityError):
        parse_claim(claim.encode(), lease_key("orders", "prune"))


def test_run_and_retention_exclude_each_other(storage: MemoryStorage) -> None:
    for one, other in (("run", "prune"), ("prune", "run"), ("prune", "copy"), ("copy", "prune")):
        with (
            hold(storage, Terms("orders", one)),
            pytest.raises(Locked, match=one),
            hold(storage, Terms("orders", other)),
        ):
            pytest.fail("both")
        with hold(storage, Terms("orders", other)):
            pass
    with hold(storage, Terms("orders", "run")), hold(storage, Terms("users", "prune")):
        pass


class Careless(MemoryStorage):
    """Ignores conditions, as some servers do."""

    def swap(self, key: str, data: bytes, version: str) -> Cell:  # noqa: ARG002
        self.objects[key] = data
        return self.cell(key)

    def conditional(self, key: str) -> bool:  # noqa: ARG002
        return False


def test_a_store_that_ignores_conditions_is_for_one_writer() -> None:
    storage = Careless()
    with (
        pytest.raises(UsageError, match="single_writer: true"),
        hold(storage, Terms("orders", "run")),
    ):
        pytest.fail("a lock that always opens")
    with hold(storage, Terms("orders", "run", single_writer=True)) as lease:
        lease.confirm()


def test_the_thread_keeps_it() -> None:
    storage = MemoryStorage()
    renewed = threading.Event()
    swap = storage.swap

    def counting(key: str, data: bytes, version: str) -> Cell:
        if parse_claim(data, key).beat >= 2:
            renewed.set()
        return swap(key, data, version)

    storage.swap = counting  # type: ignore[method-assign]
    with hold(storage, Terms("orders", "run", ttl=2.4)) as lease:
        assert renewed.wait(20)
        lease.check()
    assert parse_claim(storage.objects[KEY], KEY).released
    assert not any(thread.name == "lease" and not thread.daemon for thread in threading.enumerate())


def test_a_copied_state_folder_says_nothing_of_the_original(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, keys = MemoryStorage(), make_keys(tmp_path / "keys")
    job = make_job(tmp_path / "s", keys, TarDatabase(tmp_path / "t"), storage=storage)
    declared = job.declared("orders")
    taken(storage, FakeClock(storage.clock.wall()))
    owner = parse_claim(storage.objects[KEY], KEY).owner
    note = tmp_path / "s" / "locks" / "lease-main-run-orders"
    note.parent.mkdir(parents=True)
    note.write_text(f"{owner} another-boot")
    with pytest.raises(Locked), job.lock("run", "orders"), job.lease(declared, "run"):
        pytest.fail("the owner may live on another machine")


Step = tuple[str, int, float]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["take", "renew", "release", "wait", "wait", "kill", "work"]),
        st.integers(0, 2),
        st.floats(0, 90),
    ),
    max_size=40,
)


class Cut(MemoryStorage):
    """Its time is cut to a second, as an HTTP Date is."""

    def cell(self, key: str) -> Cell:
        return dataclasses.replace(super().cell(key), at=float(int(self.clock.wall())))


@given(steps=STEPS)
@settings(max_examples=150, deadline=None)
def test_never_two_and_fences_only_grow(steps: list[Step]) -> None:
    """Three machines whose clocks began at other times share a store with a clock of its own."""
    server = FakeClock(5_000.25)
    local = [FakeClock(start) for start in (0.0, 77.7, 1e9)]
    storage = Cut(server)
    leases: dict[int, Lease] = {}
    fences = [0]

    def passes(check: Callable[[], None]) -> bool:
        with contextlib.suppress(Fenced):
            check()
            return True
        return False

    for what, who, seconds in steps:
        if what == "wait":
            for clock in (server, *local):
                clock.advance(seconds)
        elif what == "take":
            with contextlib.suppress(Locked):
                leases[who] = Lease(storage, Terms("orders", "run"), local[who])
                fences.append(leases[who].fence)
        elif who in leases and what == "kill":
            del leases[who]
        elif who in leases and what != "work":
            with contextlib.suppress(Fenced):
                getattr(leases[who], what)()
        assert sum(passes(lease.check) for lease in leases.values()) <= 1
    assert fences == sorted(set(fences))


def test_a_claim_is_read_as_it_was_written() -> None:
    claim = Claim("run", "orders", "o", "h", 1, 2, 3.5, 4.5, 6)
    assert parse_claim(claim.encode(), KEY) == claim
