"""Does the `icmp` kind ping, count what is lost, and say what to set where it may not?"""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from pathlib import Path
from subprocess import run
from typing import Any

import pytest

from sre.core.clock import Deadline, SystemClock
from sre.core.units import Duration, Share
from sre.journey.guard import Guard
from sre.journey.result import Outcome, Reason
from sre.journey.shop import Shop
from sre.probes.kinds.icmp import IcmpProbe, Limits, judge
from sre.probes.model import ProbeContext, Reading
from sre.probes.ping import Echoed, Reply
from tests.servers.examples import run_example, serve_example
from tests.servers.net import missing
from tests.servers.pingable import (
    ANSWERS,
    DELAY,
    DELAYED,
    EXCEEDED,
    HALF,
    SILENT,
    STRANGE,
    UNREACHABLE,
)

ROOT = Path(__file__).parents[3]
NOBODY, ROOT_GROUP = "", "0 0"
RAW = pytest.param(NOBODY, (), id="raw")
ORDINARY = pytest.param(ROOT_GROUP, ("setpriv", "--bounding-set=-net_raw"), id="ordinary")
both = pytest.mark.parametrize(("groups", "prefix"), [RAW, ORDINARY])


def look(host: str, *allow: str, **keys: Any) -> Reading:
    guard, shop = Guard(allow or ("127.0.0.1:*", "[::1]:*", "localhost:*")), Shop("t", "http://x")
    reading = IcmpProbe(host, **keys).check(
        ProbeContext(Deadline.after(2), guard, shop, SystemClock())
    )
    if reading.reason is Reason.PROBER:
        missing("the permission to send ICMP")
    return reading


def elsewhere(
    host: str, groups: str, prefix: tuple[str, ...], seconds: float = 0.5, **keys: Any
) -> Any:
    """What a probe finds in the network of `tests/servers/pingable.py`."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        missing("unshare and ip")
    arguments = json.dumps([groups, seconds, {"host": host} | keys])
    child = [*prefix, sys.executable, "-m", "tests.servers.pingable", arguments]
    done = run(
        ["unshare", "-Urn", "--", *child],
        capture_output=True, text=True, cwd=ROOT, timeout=30, check=False,
    )  # fmt: skip
    if done.returncode:
        missing(f"a network namespace ({done.stderr.strip()[-200:]})")
    return json.loads(done.stdout)


def test_the_example(tmp_path: Path) -> None:
    look("127.0.0.1")
    at = {"count: 3": "count: 3, every: 1s"}
    code, told = run_example("icmp", tmp_path, at)
    assert (code, [one["outcome"] for one in told["results"]]) == (0, ["ok"])
    with serve_example("icmp", tmp_path, at) as metrics:
        assert 'sre_probe_icmp_loss_ratio{probe="web1_ping"} 0' in metrics
        assert 'sre_probe_icmp_received{probe="web1_ping"} 3' in metrics


@pytest.mark.parametrize(
    ("host", "keys"),
    [
        ("127.0.0.1", {}),
        ("localhost", {"payload_size": 0}),
        ("127.0.0.1", {"payload_size": 20000, "ttl": 3}),
        ("127.0.0.1", {"payload_size": 1400, "dont_fragment": True}),
        ("::1", {"count": 2, "interval": Duration(0.01)}),
    ],
)
def test_loopback_answers(host: str, keys: dict[str, Any]) -> None:
    reading = look(host, **keys)
    assert (reading.outcome, reading.reason, reading.message) == (Outcome.OK, Reason.NONE, "")
    found = {(one.name, *dict(one.labels).values()): one.value for one in reading.gauges}
    assert found["sre_probe_icmp_received",] == keys.get("count", 1)
    assert found["sre_probe_icmp_reply_hop_limit",] == 64
    mean = found["sre_probe_icmp_rtt_seconds", "mean"]
    assert 0 < mean < 0.1
    assert reading.steps[0].phases["processing"] == mean
    assert found["sre_probe_icmp_rtt_seconds", "min"] <= mean


def test_only_an_entry_for_every_port_admits_it() -> None:
    reading = look("127.0.0.1", "127.0.0.1:443")
    assert (reading.outcome, reading.gauges) == (Outcome.BLOCKED, ())
    assert "127.0.0.1 is not on the allow-list" in reading.message
    assert "add '127.0.0.1:*' to targets.allow" in reading.message


def test_without_the_permission_it_says_what_to_set() -> None:
    dropped = ("setpriv", "--bounding-set=-net_raw")
    outcome, reason, message, gauges, _ = elsewhere(ANSWERS, NOBODY, dropped)
    assert (outcome, reason, gauges) == ("failed", "prober", {})
    assert "net.ipv4.ping_group_range" in message
    assert "CAP_NET_RAW" in message


@both
def test_a_machine_that_answers_twice_counts_once(groups: str, prefix: tuple[str, ...]) -> None:
    outcome, reason, message, gauges, _ = elsewhere(
        ANSWERS, groups, prefix, count=3, interval=0.01, dont_fragment=True
    )
    assert (outcome, reason, message) == ("ok", "", "")
    assert (gauges["sent"], gauges["received"], gauges["reply_hop_limit"]) == (3, 3, 61)


@pytest.mark.parametrize("count", [1, 3])
def test_silence_ends_at_the_deadline(count: int) -> None:
    outcome, reason, message, gauges, took = elsewhere(SILENT, NOBODY, (), count=count)
    assert (outcome, reason) == ("failed", "timeout")
    assert message.startswith("no answer to ")
    assert (gauges["sent"], gauges["loss_ratio"]) == (count, 1.0)
    assert 0.4 < took < 0.8


@both
def test_answers_that_are_not_ours_do_not_count(groups: str, prefix: tuple[str, ...]) -> None:
    outcome, reason, _, gauges, took = elsewhere(STRANGE, groups, prefix, seconds=0.3)
    assert (outcome, reason, gauges["received"]) == ("failed", "timeout", 0)
    assert 0.25 < took < 0.6


@both
@pytest.mark.parametrize("host", [UNREACHABLE, EXCEEDED])
def test_a_router_that_reports_an_error(groups: str, prefix: tuple[str, ...], host: str) -> None:
    outcome, reason, message, gauges, took = elsewhere(host, groups, prefix, seconds=3)
    assert (outcome, reason, gauges["received"]) == ("failed", "connect", 0)
    assert "no route to host" in message
    assert took < 3


def test_no_route_is_told_at_once() -> None:
    outcome, reason, message, _, took = elsewhere("192.0.2.1", NOBODY, (), seconds=3)
    assert (outcome, reason) == ("failed", "connect")
    assert "unreachable" in message
    assert took < 3


def test_some_are_lost() -> None:
    outcome, reason, message, gauges, _ = elsewhere(
        HALF, NOBODY, (), seconds=1, count=4, interval=0.01
    )
    assert (outcome, reason) == ("degraded", "status")
    assert (gauges["sent"], gauges["received"], gauges["loss_ratio"]) == (4, 2, 0.5)
    assert "loss 50.0% (limit 0.0%)" in message


@both
def test_the_time_is_the_networks(groups: str, prefix: tuple[str, ...]) -> None:
    *_, gauges, _ = elsewhere(DELAYED, groups, prefix)
    assert DELAY <= gauges["rtt_seconds"] < DELAY + 0.3


@both
def test_too_large_for_the_path_in_one_piece(groups: str, prefix: tuple[str, ...]) -> None:
    outcome, reason, message, *_ = elsewhere(
        ANSWERS, groups, prefix, payload_size=1473, dont_fragment=True
    )
    assert (outcome, reason) == ("failed", "connect")
    assert message == "a payload of 1473 bytes does not fit through the path in one piece"


def test_the_verdict() -> None:
    slow = Echoed(2, [Reply(1, 0.2, 64), Reply(2, 0.4, 64)])
    assert judge(slow, Limits(), Limits())[0] is Outcome.OK
    assert judge(slow, Limits(rtt=Duration(0.25)), Limits())[0] is Outcome.DEGRADED
    assert judge(slow, Limits(), Limits(rtt=Duration(0.25)))[0] is Outcome.FAILED
    lossy = dataclasses.replace(slow, sent=4)
    assert judge(lossy, Limits(), Limits(loss=Share(0.4)))[0] is Outcome.FAILED
    assert judge(Echoed(1, [], "no route to host"), Limits(), Limits())[1] is Reason.CONNECT


@pytest.mark.parametrize(
    "bad", [{"count": 0}, {"payload_size": 70000}, {"ttl": 256}, {"interval": Duration(0.0)}]
)
def test_nonsense_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        IcmpProbe("127.0.0.1", **bad)
