"""What is pure in a load test over several hosts: addresses, keys, clocks, messages, seats."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st
from zmq.utils import z85

from sre.core.errors import Refused, UsageError
from sre.loadtest.cluster.address import Address, need_key
from sre.loadtest.cluster.clocks import Offset
from sre.loadtest.cluster.digest import differing, digests_of
from sre.loadtest.cluster.key import derived, shared_key
from sre.loadtest.cluster.messages import (
    FROM_MASTER,
    FROM_WORKER,
    LIMIT,
    PROTOCOL,
    decode,
    encode,
    opened,
)
from sre.loadtest.cluster.roster import FULL, MISMATCH, SILENCE, Refusal, Roster, Seat, State
from sre.loadtest.cluster.sheet import Offer, planned, sheet_of
from sre.loadtest.crew.wire import WorkerPlan
from sre.loadtest.job import Job
from sre.loadtest.runner import plan_of
from sre.loadtest.shape import Shape
from sre.settings import load_settings

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "loadtest.yaml"
VERSIONS = {"sre": "1", "locust": "2", "python": "3.11"}
HELLO = {"protocol": PROTOCOL, "host": "h", **VERSIONS}
KEY = "k" * 32


@pytest.mark.parametrize(
    ("text", "host", "port", "shown", "loopback"),
    [
        ("127.0.0.1:5557", "127.0.0.1", 5557, "127.0.0.1:5557", True),
        ("[::1]:1", "::1", 1, "[::1]:1", True),
        ("localhost:65535", "localhost", 65535, "localhost:65535", True),
        ("0.0.0.0:5557", "0.0.0.0", 5557, "0.0.0.0:5557", False),
        ("master.load.svc:5557", "master.load.svc", 5557, "master.load.svc:5557", False),
        ("127.0.0.1.evil.test:1", "127.0.0.1.evil.test", 1, "127.0.0.1.evil.test:1", False),
    ],
)
def test_addresses(text: str, host: str, port: int, shown: str, loopback: bool) -> None:
    address = Address.parse(text)
    assert (address.host, address.port, str(address)) == (host, port, shown)
    assert address.is_loopback is loopback
    need_key(address, KEY)
    if not loopback:
        with pytest.raises(Refused, match="is not loopback"):
            need_key(address, None)


@pytest.mark.parametrize("text", ["", "5557", ":1", "h:", "h:0", "h:x", "h:65536", "::1:5", "h:٣"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="write HOST:PORT"):
        Address.parse(text)


def test_port_0_is_for_those_who_listen() -> None:
    assert Address.parse("127.0.0.1:0", port_zero=True).port == 0


def test_keys_make_valid_pairs_that_differ(tmp_path: Path, monkeypatch: Any) -> None:
    secrets = {derived(key, whose) for key in (KEY, "l" * 32) for whose in ("master", "worker")}
    assert len(secrets) == 4
    assert len({zmq.curve_public(z85.encode(secret)) for secret in secrets}) == 4
    monkeypatch.delenv("SRE_LOADTEST_KEY", raising=False)
    assert shared_key(None) is None
    monkeypatch.setenv("SRE_LOADTEST_KEY", KEY)
    assert shared_key(None) == KEY
    (tmp_path / "key").write_text("x" * 40 + "\n", encoding="utf-8")
    assert shared_key(tmp_path / "key") == "x" * 40
    (tmp_path / "key").write_text("x" * 31 + "\n", encoding="utf-8")
    with pytest.raises(UsageError, match="openssl rand -hex 32") as caught:
        shared_key(tmp_path / "key")
    assert "xxx" not in str(caught.value)


def test_the_quickest_exchange_tells_the_offset() -> None:
    offset = Offset()
    for trip in (0.050, 0.0004, 0.020, 0.3, 0.1, 0.1, 0.1):
        offset.add(10.0, 510.0 + trip * 0.9, 10.0 + trip)
        assert not offset.enough
    offset.add(10.0, 510.0, 10.1)
    assert offset.enough
    assert offset.uncertainty == pytest.approx(0.0002)
    assert abs(offset.seconds - 500.0) <= offset.uncertainty


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=80),
    st.floats(-1e6, 1e6),
)
def test_an_offset_is_within_its_uncertainty(trips: list[tuple[float, float]], true: float) -> None:
    offset = Offset()
    for there, back in trips:
        offset.add(5.0, 5.0 + there + true, 5.0 + there + back)
    assert abs(offset.seconds - true) <= offset.uncertainty + 1e-6
    assert offset.uncertainty == pytest.approx(min(there + back for there, back in trips) / 2)


def packed(*message: Any) -> bytes:
    return bytes(msgpack.packb(list(message)))


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_no_bytes_are_mistaken_for_a_message(frames: list[bytes]) -> None:
    assert opened(frames) is None
    assert opened(frames, "me") is None


json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.sampled_from(["client_ready", "heartbeat", "spawn", "sre", "ack", "quit"]), json_like)
def test_what_passes_has_the_shape_that_its_reader_expects(kind: str, data: Any) -> None:
    found = opened([b"me", packed(kind, data, "me")])
    if found is not None and kind == "heartbeat" and found[1] is not None:
        assert isinstance(found[1]["state"], str)
    if found is not None and kind == "spawn":
        assert {"timestamp", "user_classes_count"} <= found[1].keys()


@pytest.mark.parametrize(
    "frames",
    [
        [b"me", packed("quit", None, "another")],
        [b"me", packed("locustfile", {"version": "2"}, "me")],
        [b"me", packed("exception", None, "me")],
        [b"me", packed("stats", {}, "me")],
        [b"me", packed("quit", None)],
        [b"\xff", packed("quit", None, "me")],
        [b"me", packed("quit", None, "me"), b""],
        [b"me", packed("sre", b"x" * (LIMIT + 2000), "me")],
        [b"me", packed({}, None, "me")],
    ],
)
def test_messages_that_are_dropped(frames: list[bytes]) -> None:
    assert opened(frames) is None


def test_messages_that_pass() -> None:
    assert opened([b"me", packed("quit", None, "me")]) == ("quit", None, "me")
    assert opened([packed("ack", {"index": 0}, "me")], "me") == ("ack", {"index": 0}, "me")


@given(json_like)
def test_decoding_gives_what_was_encoded_or_nothing(data: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        decode(data, FROM_WORKER)


def test_our_messages() -> None:
    assert decode(encode("start", begin=3), FROM_MASTER) == ("start", {"begin": 3.0})
    bad = [
        (encode("start", begin="now"), FROM_MASTER),
        (encode("start", begin=True), FROM_MASTER),
        (encode("start", begin=None), FROM_MASTER),
        (encode("start"), FROM_MASTER),
        (encode("start", begin=1.0, more=2), FROM_MASTER),
        (encode("start", begin=1.0), FROM_WORKER),
        (encode("leaving", why="x" * 5000), FROM_WORKER),
        (b'{"kind":["start"]}', FROM_MASTER),
        (b"[]", FROM_MASTER),
        (b"{", FROM_MASTER),
    ]
    for data, allowed in bad:
        with pytest.raises(ValueError):  # noqa: PT011
            decode(data, allowed)


def roster(expect: int = 2) -> Roster:
    return Roster(expect, VERSIONS, {"shop": "a"})


def seated(made: Roster, client: str, **other: Any) -> Seat:
    seat = made.greet(client, HELLO | other, 0.0)
    assert isinstance(seat, Seat)
    return seat


def test_seats_are_given_in_order_and_anew_when_they_fall_free() -> None:
    made = roster()
    first, second = seated(made, "a"), seated(made, "b")
    assert (first.number, second.number) == (0, 1)
    assert seated(made, "a") is first
    refused = made.greet("c", HELLO, 0.0)
    assert isinstance(refused, Refusal)
    assert refused.code == FULL
    made.free(first)
    assert seated(made, "c").number == 0
    assert made.compiled(second, {"shop": "a"}, "") is None
    assert (made.here, made.all_are(State.HERE)) == (1, False)
    made.under_way = True
    made.free(second)
    assert isinstance(made.greet("d", HELLO, 0.0), Refusal)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"protocol": PROTOCOL + 1}, "protocol"),
        ({"sre": "9"}, "it has sre 9, the master 1"),
        ({"locust": "9"}, "it has locust 9"),
        ({"python": "3.99"}, "it has python 3.99"),
    ],
)
def test_other_versions_are_refused(other: dict[str, Any], words: str) -> None:
    refused = roster().greet("a", HELLO | other, 0.0)
    assert isinstance(refused, Refusal)
    assert refused.code == MISMATCH
    assert words in refused.why


def test_another_declaration_is_refused_and_its_seat_is_free() -> None:
    made = roster(1)
    refused = made.compiled(seated(made, "a"), {"shop": "b", "journey 'x'": "c"}, "")
    assert refused is not None
    assert refused.code == MISMATCH
    assert "differs from ours in journey 'x', shop" in refused.why
    assert made.seats == []
    why = made.compiled(seated(made, "b"), {}, "its sre.yaml has no load test 'x'")
    assert why is not None
    assert "no load test 'x'" in why.why


def test_silence_is_noticed_but_not_when_we_stood_still() -> None:
    made = roster()
    seat, other = seated(made, "a"), seated(made, "b")
    made.heard("b", SILENCE)
    made.heard("nobody", SILENCE)
    assert made.silent(SILENCE + 0.1) == [seat]
    made.forgive(SILENCE + 0.1)
    assert made.silent(SILENCE + 0.2) == []
    seat.state = State.DONE
    assert made.silent(100.0) == [other]


def whole(name: str = "release") -> tuple[Job, WorkerPlan, Offer]:
    settings = load_settings(EXAMPLE)
    name = name if name in settings.loadtests else next(iter(settings.loadtests))
    test = settings.loadtests[name]
    job = Job(name, test, settings.journeys, settings.shop, settings.targets)
    offer = Offer(
        master=Address("127.0.0.1", 1),
        key=None,
        wait=1.0,
        loadtests=settings.loadtests,
        journeys=settings.journeys,
        shop=settings.shop,
        targets=settings.targets,
        versions=VERSIONS,
        log_level="warning",
    )
    return job, plan_of(job, 3, "run", "warning"), offer


@pytest.fixture(autouse=True)
def _env(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BASE_URL", "SHOP_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")


def test_a_worker_makes_the_masters_plan_from_its_own_declaration() -> None:
    job, plan, offer = whole()
    sheet = decode(encode("plan", sheet=sheet_of(plan, job.name)), FROM_MASTER)[1]["sheet"]
    made = planned({**sheet, "worker": 2, "max_in_flight": 7}, offer)
    assert (made.worker, made.workers, made.max_in_flight) == (2, 3, 7)
    assert list(made.shape.arrivals()) == list(plan.shape.arrivals())
    assert digests_of(made) == digests_of(plan)


def test_a_curve_that_the_master_has_changed_is_what_is_run() -> None:
    job, plan, offer = whole()
    shape = Shape.from_plain(plan.shape.to_plain() | {"seed": 77})
    changed = replace(plan, shape=shape, slot=3.0)
    made = planned(sheet_of(changed, job.name), offer)
    assert made.shape.seed == 77
    assert differing(digests_of(changed), digests_of(made)) == []


def test_a_worker_that_cannot_make_the_plan_says_why() -> None:
    job, plan, offer = whole()
    sheet = sheet_of(plan, job.name)
    with pytest.raises(UsageError, match="has no load test 'x'"):
        planned(sheet | {"test": "x"}, offer)
    with pytest.raises(UsageError, match="has no journey 'x'"):
        planned(sheet | {"journeys": ["x"]}, offer)
    for key in ("shape", "slot", "users", "workers"):
        with pytest.raises(UsageError, match="cannot read the plan"):
            planned(sheet | {key: "x"}, offer)


def test_each_part_has_a_fingerprint_of_its_own() -> None:
    _, plan, _ = whole()
    name = next(iter(plan.journeys))
    other = replace(plan.journeys[name], timeout=99.0)
    changed = replace(plan, journeys=plan.journeys | {name: other})
    assert differing(digests_of(plan), digests_of(changed)) == [f"journey {name!r}"]
    moved = replace(plan, shop=replace(plan.shop, base_url="http://127.0.0.1:2"))
    assert differing(digests_of(plan), digests_of(moved)) == ["shop"]
    own = replace(plan, worker=1, max_in_flight=1, report=9, log_level="debug")
    assert differing(digests_of(plan), digests_of(own)) == []


FINGERPRINT = """
from tests.unit.loadtest.test_cluster import digests_of, whole
print(sorted(digests_of(whole()[1]).items()))
"""


def test_fingerprints_are_the_same_in_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    told = set()
    for seed in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        argv = [sys.executable, "-c", FINGERPRINT]
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
        told.add(done.stdout)
    assert len(told) == 1


def test_a_secret_counts_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        'version: 1\nshop: {name: t, base_url: "http://127.0.0.1:1"}\njourneys:\n  home:\n'
        "    steps: [{name: a, get: /, headers: {Authorization: "
        '{secret: true, value: "${env:TOKEN}"}}}]\n'
        "loadtests: {x: {mix: {home: 1/s}, stages: [{hold: 1s}]}}\n"
    )
    told = []
    for value, file in (("one", text), ("two", text), ("one", text.replace("TOKEN", "TICKET"))):
        monkeypatch.setenv("TOKEN", value)
        (tmp_path / "sre.yaml").write_text(file, encoding="utf-8")
        settings = load_settings(tmp_path / "sre.yaml")
        test = settings.loadtests["x"]
        job = Job("x", test, settings.journeys, settings.shop, settings.targets)
        told.append(digests_of(plan_of(job, 1, "run", "warning")))
    assert told[0] == told[1]
    assert differing(told[0], told[2]) == ["journey 'home'"]
