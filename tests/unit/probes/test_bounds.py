"""Are limits judged the same way for every kind, and is a missing driver told in one line?"""

from __future__ import annotations

import socket
import subprocess
import sys
from dataclasses import dataclass

import pytest

from sre.core.errors import MissingExtra
from sre.core.units import Duration, Share, Size
from sre.journey.result import Outcome
from sre.probes.bounds import Of, contradictions, verdict
from sre.probes.cdnjudge import Limits as CdnLimits
from sre.probes.drivers import needs
from sre.probes.wire import Bounded


@dataclass(frozen=True)
class Limits:
    memory: Share | None = None
    lag: Duration | None = None
    lag_bytes: Size | None = None
    min_replicas: int | None = None


NONE = Limits()


@pytest.mark.parametrize(
    ("limits", "measured", "told"),
    [
        (Limits(memory=Share(0.9)), {"memory": 0.9}, ""),
        (Limits(memory=Share(0.9)), {"memory": 0.93}, "memory 93.0% (limit 90.0%)"),
        (Limits(lag=Duration(60)), {"lag": 125.0}, "lag 2 m 05 s (limit 1 m 00 s)"),
        (Limits(lag=Duration(1)), {"lag": Of(2, "'a'")}, "lag of 'a' 2.00 s (limit 1.00 s)"),
        (Limits(lag_bytes=Size(1024)), {"lag_bytes": 1536}, "lag bytes 1.5 KiB (limit 1.0 KiB)"),
        (Limits(min_replicas=2), {"min_replicas": 1}, "replicas 1 (at least 2)"),
        (Limits(min_replicas=2), {"min_replicas": 2}, ""),
        (Limits(lag=Duration(1)), {"lag": None}, ""),
    ],
)
def test_a_limit(limits: Limits, measured: dict[str, float | None], told: str) -> None:
    outcome, _, message = verdict(limits, NONE, measured)
    assert (outcome, message) == (Outcome.FAILED if told else Outcome.OK, told)
    assert verdict(NONE, limits, measured)[::2] == (Outcome.DEGRADED if told else Outcome.OK, told)


def test_what_was_not_measured_cannot_be_judged_and_says_so() -> None:
    outcome, _, message = verdict(Limits(lag=Duration(1)), NONE, {})
    assert outcome is Outcome.DEGRADED
    assert message == "the limit 'lag' cannot be judged: not measured"


def test_what_is_bad_beats_what_is_poor() -> None:
    assert verdict(NONE, NONE, {}, bad=["a"], poor=["b"])[::2] == (Outcome.FAILED, "a")
    assert verdict(NONE, NONE, {}, poor=["b", "c"])[::2] == (Outcome.DEGRADED, "b; c")


def test_a_missing_driver_is_one_line() -> None:
    told = r"kind 'x' needs .* 'no_such_driver'.*sre\[queues\]"
    with pytest.raises(MissingExtra, match=told), needs("x", "queues"):
        import no_such_driver  # noqa: F401


def test_kinds_load_without_their_drivers() -> None:
    kinds = ("kafka", "memcached", "mongodb", "rabbitmq", "redis")
    drivers = ("confluent_kafka", "redis", "pymongo", "pymemcache")
    program = (
        "import sys\nfrom sre.probes.kinds import KINDS\n"
        f"for kind in {kinds}: KINDS.load(kind)\n"
        f"print([name for name in {drivers} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_bounded_connection_ends_with_its_time_and_its_allowance() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"x" * 30)
        bounded = Bounded(ours, lambda: 0.05, limit=20)
        assert bounded.recv(15) == b"x" * 15
        with pytest.raises(OSError, match="larger"):
            bounded.recv(15)
        bounded.settimeout(100)
        with pytest.raises(TimeoutError):
            Bounded(ours, lambda: 0.02).recv(1)
        with pytest.raises(TimeoutError):
            Bounded(ours, lambda: 0.0).sendall(b"x")


@pytest.mark.parametrize(
    ("warn", "highest", "told"),
    [
        (Limits(memory=Share(0.9)), Limits(memory=Share(0.7)), ["memory"]),
        (Limits(memory=Share(0.7)), Limits(memory=Share(0.9)), []),
        (Limits(memory=Share(0.7)), Limits(memory=Share(0.7)), []),
        (Limits(memory=Share(0.9)), Limits(lag=Duration(1)), []),
        (Limits(min_replicas=1), Limits(min_replicas=2), ["min_replicas"]),
        (Limits(min_replicas=2), Limits(min_replicas=1), []),
        (CdnLimits(hit_ratio=Share(0.5)), CdnLimits(hit_ratio=Share(0.8)), ["hit_ratio"]),
        (CdnLimits(hit_ratio=Share(0.8)), CdnLimits(hit_ratio=Share(0.5)), []),
    ],
)
def test_a_warning_that_never_comes(warn: object, highest: object, told: list[str]) -> None:
    assert contradictions(warn, highest) == told
