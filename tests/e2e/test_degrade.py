"""Do the levels of examples/degrade.yaml do to a real HAProxy what they say, and undo it?"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sre.cli import main
from sre.core.errors import CheckFailed, Transient
from sre.failover.degrade.doings.map import MapDoing
from sre.failover.degrade.engine import Bench, Order, apply_level
from sre.failover.degrade.model import Held, Level, Tools
from sre.failover.degrade.places.live import MapLive
from sre.failover.degrade.restore import Wish, restore
from sre.journey.guard import Guard
from tests.servers.degrading import (
    EXAMPLES,
    FEATURES,
    RATES,
    Edge,
    Flags,
    running_edge,
    running_flags,
)
from tests.servers.net import wait_until

ROOT = Path(__file__).parents[2]


@dataclass
class Scene:
    """The example, its HAProxy, its API and a state folder."""

    edge: Edge
    flags: Flags
    home: Path

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT)}

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "sre", "traffic", *words, "--config", f"{self.home}/sre.yaml"]

    def sre(self, *words: str, code: int = 0) -> str:
        """In this process: a start costs more than all of a level."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            found = main.run(self.argv(*words)[3:])
        assert found == code, out.getvalue()
        assert "t0ken" not in out.getvalue()
        return out.getvalue()

    def active(self) -> list[dict[str, Any]]:
        fact = json.loads((self.home / "state/facts/degrade/active.json").read_text())
        found: list[dict[str, Any]] = fact["value"]["levels"]
        return found

    def as_before(self) -> bool:
        features, rates = self.edge.features.read_text(), (self.edge.home / "rates.map").read_text()
        return (features, rates) == (FEATURES, RATES)


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Edge, Flags]]:
    with running_edge(tmp_path_factory.mktemp("edge")) as edge, running_flags() as flags:
        yield edge, flags


@pytest.fixture
def scene(
    standing: tuple[Edge, Flags], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scene]:
    edge, flags = standing
    monkeypatch.setenv("SRE_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("FLAGS_TOKEN", "t0ken-of-flags")
    text = (EXAMPLES / "degrade.yaml").read_text(encoding="utf-8")
    for old, new in (
        ("{kind: haproxy, socket: /run/haproxy/admin.sock, config: /etc/haproxy/haproxy.cfg",
         f"{{kind: haproxy, socket: {edge.home}/admin.sock, config: {edge.home}/h.cfg"),
        ("/etc/haproxy/", f"{edge.home}/"),
        ("http://127.0.0.1:18081", flags.url),
        ("127.0.0.1:18081", flags.url.removeprefix("http://")),
        ("/srv/shop/closed", f"{tmp_path}/closed"),
    ):  # fmt: skip
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "sre.yaml").write_text(text, encoding="utf-8")
    flags.server.asked.clear()
    flags.server.status = 200
    here = Scene(edge, flags, tmp_path)
    yield here
    here.sre("restore", "--force")
    assert here.as_before()


def test_the_catalogue_stays_while_checkout_is_off_also_after_a_reload(scene: Scene) -> None:
    edge = scene.edge
    assert (edge.status("/"), edge.status("/checkout")) == (200, 200)
    planned = scene.sre("degrade", "read-only", "--dry-run")
    assert "'on' -> 'off'" in planned
    assert scene.as_before()
    scene.sre("degrade", "read-only", "--reason", "the payment provider is down")
    answer = edge.get("/checkout/pay")
    assert (answer.status_code, edge.status("/")) == (503, 200)
    assert "paused" in answer.text
    assert answer.headers["Retry-After"] == "300"
    assert [each["shows"] for each in scene.active()] == ["Checkout is paused; your basket is kept"]
    edge.reload()
    assert edge.status("/checkout") == 503
    assert "nothing had to be changed" in scene.sre("degrade", "read-only")
    scene.sre("restore", "read-only")
    assert (edge.status("/checkout"), scene.active(), scene.as_before()) == (200, [], True)
    edge.reload()
    assert edge.status("/checkout") == 200


def test_a_level_on_another_one_leaves_it_when_it_goes(scene: Scene) -> None:
    scene.sre("degrade", "queue-checkout")
    scene.sre("degrade", "read-only")
    assert scene.edge.status("/checkout") == 503
    scene.sre("restore", "queue-checkout")
    assert scene.edge.status("/checkout") == 503
    scene.sre("degrade", "queue-checkout")
    assert scene.edge.status("/checkout") == 200
    scene.sre("restore", "queue-checkout")
    assert scene.edge.status("/checkout") == 503
    scene.sre("restore")
    assert scene.as_before()


def test_checkout_goes_one_by_one_and_nobody_sees_an_error(scene: Scene) -> None:
    def crowd() -> tuple[set[int], int]:
        scene.edge.shop.most = 0
        with ThreadPoolExecutor(12) as pool:
            found = set(pool.map(lambda _: scene.edge.status("/checkout/slow"), range(24)))
        return found, scene.edge.shop.most

    assert crowd()[1] > 1
    scene.sre("degrade", "queue-checkout")
    assert crowd() == ({200}, 1)


def test_the_edge_answers_for_recommendations_and_the_shop_is_told(scene: Scene) -> None:
    scene.sre("degrade", "no-recommendations")
    assert scene.edge.get("/recommendations").text == "[]"
    path, body, headers = scene.flags.asked[-1]
    assert (path, json.loads(body)) == ("/flags/recommendations", {"enabled": False})
    assert headers["X-Token"] == "t0ken-of-flags"
    assert "t0ken" not in (scene.home / "state/degrade/record.json").read_text()
    scene.sre("restore", "no-recommendations")
    assert json.loads(scene.flags.asked[-1][1]) == {"enabled": True}
    assert scene.edge.get("/recommendations").text == "shop"


def test_three_of_ten_visitors_are_sent_away_always_the_same(scene: Scene) -> None:
    scene.sre("degrade", "shed")
    sources = [f"127.0.{n // 200 + 1}.{n % 200 + 1}" for n in range(1000)]
    first = [scene.edge.status("/", source) for source in sources]
    assert set(first) == {200, 503}
    away = first.count(503)
    assert abs(away - 300) < 4.5 * (1000 * 0.3 * 0.7) ** 0.5  # one false alarm in 100,000
    assert [scene.edge.status("/", source) for source in sources[:60]] == first[:60]


def test_one_visitor_may_ask_only_so_often(scene: Scene) -> None:
    scene.sre("degrade", "slow-down")
    found = [scene.edge.status("/checkout", "127.0.9.1") for _ in range(14)]
    assert found == [200] * 10 + [429] * 4
    assert scene.edge.status("/", "127.0.9.1") == 200
    assert scene.edge.status("/checkout", "127.0.9.2") == 200


def test_a_request_that_is_refused_puts_the_map_back(scene: Scene) -> None:
    scene.flags.server.status = 403
    said = scene.sre("degrade", "no-recommendations", code=1)
    assert "answered with 403" in said
    assert "everything was put back" in said
    assert len(scene.flags.asked) == 1  # a plain no: there is nothing to take back
    assert scene.edge.get("/recommendations").text == "shop"
    assert (scene.active(), scene.as_before()) == ([], True)


def test_no_answer_and_no_way_back_is_said_and_restored_later(scene: Scene) -> None:
    scene.flags.server.status = 0
    said = scene.sre("degrade", "no-recommendations", code=8)
    assert "not everything could be put back" in said
    assert "cut off" in scene.sre("levels", code=3)
    assert scene.as_before()
    scene.flags.server.status = 200
    scene.sre("restore", "no-recommendations")
    assert json.loads(scene.flags.asked[-1][1]) == {"enabled": True}


@pytest.mark.parametrize("after", ["restore", "degrade"])
def test_killed_in_the_middle(scene: Scene, after: str) -> None:
    server = scene.flags.server
    server.go_on.clear()
    server.reached.clear()
    server.holds.set()
    with subprocess.Popen(scene.argv("degrade", "no-recommendations"), env=scene.env) as process:
        assert server.reached.wait(30)
        process.send_signal(signal.SIGKILL)
    server.holds.clear()
    server.go_on.set()
    assert scene.edge.get("/recommendations").text == "[]"
    assert "cut off" in scene.sre("levels", code=3)
    assert [each["name"] for each in scene.active()] == ["no-recommendations"]
    scene.sre(after, "no-recommendations")
    on = after == "degrade"
    wait_until(lambda: server.flags["/flags/recommendations"] == {"enabled": not on}, 5, "the flag")
    assert (scene.edge.get("/recommendations").text == "[]") is on
    scene.sre("restore")
    assert scene.as_before()


def test_what_somebody_changed_by_hand_stays_until_force(scene: Scene) -> None:
    scene.sre("degrade", "read-only")
    scene.edge.features.write_text(FEATURES.replace("checkout\ton", "checkout\tvip"))
    assert "'vip', not 'off'" in scene.sre("levels", code=3)
    said = scene.sre("restore", "read-only", code=3)
    assert "changed by hand to 'vip'" in said
    assert scene.edge.status("/checkout") == 200  # at run time it was ours
    assert "vip" in scene.edge.features.read_text()
    assert scene.active() == []
    scene.sre("restore", "read-only", "--force")
    assert scene.as_before()


def test_two_at_once_one_waits(scene: Scene) -> None:
    server = scene.flags.server
    server.go_on.clear()
    server.reached.clear()
    server.holds.set()
    with subprocess.Popen(scene.argv("degrade", "no-recommendations"), env=scene.env) as first:
        assert server.reached.wait(30)
        scene.sre("degrade", "read-only", code=6)
        server.holds.clear()
        server.go_on.set()
        assert first.wait(20) == 0
    assert [each["name"] for each in scene.active()] == ["no-recommendations"]


def test_a_file_that_only_its_name_brings_back(scene: Scene) -> None:
    closed = scene.home / "closed"
    closed.write_text("open\n")
    closed.chmod(0o640)
    scene.sre("degrade", "closed")
    assert closed.read_text() == "closed by sre\n"
    assert "nothing to bring back" in scene.sre("restore")
    metrics = scene.home / "m.prom"
    scene.sre("levels", "--metrics-file", str(metrics))
    assert 'sre_degrade_active{level="closed"} 1' in metrics.read_text()
    assert 'sre_degrade_active{level="shed"} 0' in metrics.read_text()
    scene.sre("restore", "closed")
    assert (closed.read_text(), closed.stat().st_mode & 0o777) == ("open\n", 0o640)


def test_what_is_over_is_due(scene: Scene) -> None:
    scene.sre("degrade", "read-only", "--for", "1h")
    scene.sre("degrade", "shed", "--for", "1ms")
    data = json.loads(scene.sre("restore", "--due", "--format", "json"))
    assert data["schema"] == "sre.degrade/1"
    assert [each["level"] for each in data["restored"]] == ["shed"]
    assert data["still_on"] == ["read-only"]


ODD = [
    "a b",
    "semi;colon",
    "quote's",
    'double"quote',
    "back\\slash",
    "#hash",
    "é",
    "x" * 300,
    "a  b",
]


@pytest.mark.parametrize("value", ODD, ids=range(len(ODD)))
@pytest.mark.parametrize("key", ["plain", "/path?x=1", "semi;colon", "qu'ote", "back\\slash"])
def test_odd_keys_and_values_reach_the_map(scene: Scene, key: str, value: str) -> None:
    place = MapLive(f"{scene.edge.home}/admin.sock", str(scene.edge.features), key)
    tools = Tools(Guard(["127.0.0.1:*"]))
    for text in ("before", value, "after", None):
        place.write(Held(text), tools)
        assert place.read(tools).text == text


def test_a_haproxy_that_is_gone_keeps_the_level_on_until_force(tmp_path: Path) -> None:
    with running_edge(tmp_path / "edge") as edge:
        doing = MapDoing(str(edge.features), {"checkout": "off"})
        level = Level("gone", doing.spots((f"{edge.home}/admin.sock",)))
        tools = Tools(Guard(["127.0.0.1:*"]), seconds=1.0)
        bench = Bench({"gone": level}, tools, tmp_path / "state")
        apply_level(bench, "gone", Order())
        os.kill(edge.process.pid, signal.SIGKILL)
        edge.process.wait(10)
        (edge.home / "admin.sock").unlink()
    kept = restore(bench, Wish())[0]
    assert (kept.gone, kept.code, bench.read().levels[0].phase) == (False, 4, "restoring")
    assert edge.features.read_text() == FEATURES
    given_up = restore(bench, Wish(force=True))[0]
    assert (given_up.gone, given_up.code, bench.read().levels) == (True, 3, ())


@pytest.mark.parametrize("name", ["unknown.map", "rates.map"])
def test_a_map_that_haproxy_does_not_have_is_said(scene: Scene, name: str) -> None:
    place = MapLive(f"{scene.edge.home}/admin.sock", f"{scene.home}/{name}", "key")
    with pytest.raises(CheckFailed, match="must use it"):
        place.read(Tools(Guard(["127.0.0.1:*"])))


def test_a_frozen_haproxy_changes_nothing(scene: Scene, tmp_path: Path) -> None:
    doing = MapDoing(str(scene.edge.features), {"checkout": "off"})
    level = Level("x", doing.spots((f"{scene.edge.home}/admin.sock",)))
    tools = Tools(Guard(["127.0.0.1:*"]), seconds=0.5)
    bench = Bench({"x": level}, tools, tmp_path / "other")
    worker = int(scene.edge.worker().partition(":")[2])
    os.kill(worker, signal.SIGSTOP)
    try:
        with pytest.raises(Transient, match="in time"):
            apply_level(bench, "x", Order())
    finally:
        os.kill(worker, signal.SIGCONT)
    assert scene.as_before()
    assert bench.read().levels == ()
