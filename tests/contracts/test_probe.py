"""Does every kind of probe keep the contract of `Probe.check`? One suite, real servers."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from sre.core.clock import Deadline, SystemClock
from sre.core.config import Problems, decode_kind, read_tree
from sre.core.references import resolve
from sre.journey.compile import single_step
from sre.journey.guard import Guard
from sre.journey.result import PHASES, Outcome, Reason
from sre.journey.shop import Shop
from sre.probes.kinds import KINDS
from sre.probes.model import CheckFields, Probe, ProbeContext, Reading
from tests.contracts.probe_kinds import Kind, World, entries
from tests.servers.hostile import Hostile
from tests.servers.net import Canary, free_port
from tests.servers.tls import TlsServers, _Stall

LOCAL = ("127.0.0.1:*", "localhost:*", "[::1]:*")


CONTRACT: Mapping[str, Kind] = entries()


@pytest.fixture(scope="module")
def silent() -> Iterator[int]:
    stall = _Stall()
    yield stall.port
    stall.close()


@pytest.fixture
def world(hostile: Hostile, tls_servers: TlsServers, silent: int) -> World:
    return World(hostile, tls_servers, free_port(), silent)


def check(
    kind: str, config: dict[str, Any], *, allow: tuple[str, ...] = LOCAL, seconds: float = 5.0
) -> Reading:
    return made(kind, config).check(context(config, allow=allow, seconds=seconds))


def made(kind: str, config: dict[str, Any]) -> Probe:
    return KINDS.load(kind)(**config)


def context(
    config: dict[str, Any], *, allow: tuple[str, ...] = LOCAL, seconds: float = 5.0
) -> ProbeContext:
    shop = Shop("test", "http://127.0.0.1:1")
    path = config.get("journey")
    step = {"get": path}
    journeys = {path: single_step("step", step, shop=shop, timeout=seconds)} if path else {}
    guard = Guard(allow, shop.base_url)
    return ProbeContext(Deadline.after(seconds), guard, shop, SystemClock(), journeys)


def everywhere(situation: str) -> list[str]:
    return [kind for kind, how in CONTRACT.items() if getattr(how, situation) is not None]


@pytest.mark.parametrize("kind", KINDS.names())
def test_a_kind_is_a_frozen_dataclass_that_refuses_unknown_keys(kind):
    cls = KINDS.load(kind)
    assert is_dataclass(cls)
    assert cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert cls.__pydantic_config__ == {"extra": "forbid"}  # type: ignore[attr-defined]
    common = {one.name for one in fields(CheckFields)} | {"kind"}
    assert not common & {one.name for one in fields(cls)}, "names of the common fields are taken"


@pytest.mark.parametrize("kind", KINDS.names())
def test_its_example_is_the_smallest_declaration_that_works(kind):
    root = resolve(read_tree(Path(__file__).parents[2] / "examples" / "kinds" / f"{kind}.yaml"))
    problems = Problems()
    entries = root.get("probes")
    assert entries is not None
    found = [
        decode_kind(KINDS, node, where="probes", problems=problems, common=CheckFields)
        for node in entries.elements
    ]
    assert not problems.found
    assert [one.kind for one in found if one] == [kind]


@pytest.mark.parametrize("kind", everywhere("good"))
def test_a_good_target(kind, world):
    config = CONTRACT[kind].good(world)
    reading = check(kind, config)
    assert (reading.outcome, reading.reason, reading.message) == (Outcome.OK, Reason.NONE, "")
    assert len(reading.steps) == 1
    assert set(reading.steps[0].phases) == CONTRACT[kind].phases
    assert list(reading.steps[0].phases) == [p for p in PHASES if p in reading.steps[0].phases]
    assert 0 < reading.seconds < 2
    assert sum(reading.steps[0].phases.values()) <= reading.seconds + 0.002


@pytest.mark.parametrize("kind", everywhere("dead"))
def test_a_dead_target_is_a_reading(kind, world):
    reading = check(kind, CONTRACT[kind].dead(world))
    assert (reading.outcome, reading.reason) == (Outcome.FAILED, Reason.CONNECT)
    assert reading.message
    assert not {"tls", "processing", "transfer"} & set(reading.steps[0].phases)


@pytest.mark.parametrize("kind", everywhere("silent"))
def test_a_silent_target_ends_at_the_deadline(kind, world):
    began = time.monotonic()
    reading = check(kind, CONTRACT[kind].silent(world), seconds=0.4)
    assert time.monotonic() - began < 4
    assert (reading.outcome, reading.reason) == (Outcome.FAILED, Reason.TIMEOUT)
    assert 0.2 < reading.seconds < 2


@pytest.mark.parametrize("kind", everywhere("at"))
def test_a_name_without_an_address(kind):
    name = "no-such-host.invalid"
    reading = check(kind, CONTRACT[kind].at(name, 80), allow=(f"{name}:*",))
    assert (reading.outcome, reading.reason) == (Outcome.FAILED, Reason.DNS)


@pytest.mark.parametrize("kind", everywhere("at"))
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f000001"])
def test_a_target_that_is_not_allowed_is_never_contacted(kind, host):
    with Canary() as canary:
        reading = check(kind, CONTRACT[kind].at(host, canary.port), allow=("shop.example.com:443",))
        time.sleep(0.1)
        assert canary.connections == 0
    assert (reading.outcome, reading.reason) == (Outcome.BLOCKED, Reason.NONE)
    assert "allow-list" in reading.message


@pytest.mark.parametrize("kind", everywhere("good"))
def test_one_object_serves_several_threads_at_once(kind, world):
    config = CONTRACT[kind].good(world)
    probe = made(kind, config)
    with ThreadPoolExecutor(6) as pool:
        readings = list(pool.map(lambda _: probe.check(context(config)), range(12)))
    assert {reading.outcome for reading in readings} == {Outcome.OK}


@pytest.mark.parametrize("kind", KINDS.names())
def test_nothing_is_left_open(kind, world):
    situations = [CONTRACT[kind].good, CONTRACT[kind].dead, CONTRACT[kind].silent]
    configs = [how(world) for how in situations if how is not None]
    for config in configs:
        check(kind, config, seconds=0.6)
    me, threads = psutil.Process(), threading.active_count()

    def ours() -> int:
        ports = {world.tls.good, world.silent, world.hostile.port}
        found = me.net_connections("tcp")
        return sum(
            c.raddr != () and c.raddr.port in ports for c in found if c.status != "TIME_WAIT"
        )

    before = ours()
    for _ in range(5):
        for config in configs:
            check(kind, config, seconds=0.6)
    assert ours() <= before
    assert threading.active_count() <= threads + 1


@pytest.mark.parametrize("kind", everywhere("good"))
def test_gauges_are_named_as_prometheus_wants_them(kind, world):
    for gauge in check(kind, CONTRACT[kind].good(world)).gauges:
        assert re.fullmatch(rf"sre_probe_{kind}_[a-z0-9_]+", gauge.name)
        assert gauge.counter == gauge.name.endswith("_total")
        assert gauge.help.endswith(".")
        assert not {"probe", "url", "message", "le"} & {label for label, _ in gauge.labels}
