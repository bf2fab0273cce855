"""Do results reach a real InfluxDB and a real Zabbix, as their users find them there?"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import requests

from sre.core.clock import Deadline
from sre.core.errors import Transient, UsageError
from sre.core.secrets import Secret
from sre.journey.result import Outcome, Reason
from sre.probes.feeds.influxdb import InfluxFeed
from sre.probes.feeds.model import Rejected
from sre.probes.feeds.zabbix import ZabbixFeed
from sre.probes.model import Check, Gauge, Reading
from sre.probes.runner import Result
from tests.servers.examples import check_metrics, serving
from tests.servers.hostile import Hostile
from tests.servers.influxdb import Influx
from tests.servers.net import wait_until
from tests.servers.zabbix import Zabbix

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "deploy/zabbix/sre-template.yaml"


def result(
    probe: str, outcome: Outcome = Outcome.OK, reason: Reason = Reason.NONE, **more: Any
) -> Result:
    return Result(probe, "http", Reading(outcome, 0.125, reason, **more), time.time() - 1)


def feed(influx: Influx, **more: Any) -> InfluxFeed:
    given = {"database": "sre", "username": influx.user, "password": influx.password, **more}
    password = Secret.literal(given.pop("password"))
    return InfluxFeed(influx.url, password=password, **given)


def test_influxdb_gives_back_what_was_written(influx: Influx) -> None:
    odd = Gauge("sre_probe_odd", 3.5, "Odd.", (("name", 'a, b=c "d" \\'),))
    bad = result("shop, front", Outcome.FAILED, Reason.STATUS, gauges=(odd,))
    feed(influx).send([bad, bad], Deadline.after(10))
    (series,) = influx.ask("select seconds, up from probe_run group by probe, outcome, reason")
    assert series["tags"] == {"probe": "shop, front", "outcome": "failed", "reason": "status"}
    ((at, seconds, up),) = series["values"]
    assert (seconds, up) == (0.125, 0), "and a point that is sent twice is one point"
    assert at.startswith(time.strftime("%Y-", time.gmtime()))
    (facts,) = influx.ask("select value from sre_probe_odd group by *")
    assert facts["values"][0][1] == 3.5
    assert facts["tags"]["name"].startswith('a, b=c "d"')


def test_influxdb_says_no_in_one_line(influx: Influx) -> None:
    with pytest.raises(UsageError, match=r"\(401\)") as wrong:
        feed(influx, password="guessed").send([result("a")], Deadline.after(10))
    assert "guessed" not in str(wrong.value)
    with pytest.raises(UsageError, match=r"\(404\).*database not found"):
        feed(influx, database="nowhere").send([result("a")], Deadline.after(10))


def test_a_field_of_another_type_is_refused_for_good(influx: Influx) -> None:
    # Nothing of ours writes another type; whoever wrote this measurement before us did.
    auth = (influx.user, influx.password)
    requests.post(
        f"{influx.url}/write", params={"db": "sre"}, data='taken value="text"', auth=auth, timeout=5
    )
    taken = result("t", gauges=(Gauge("taken", 1.0, "T."),))
    with pytest.raises(Rejected, match="field type conflict"):
        feed(influx).send([taken], Deadline.after(10))


@pytest.fixture(scope="module")
def host(zabbix: Zabbix) -> str:
    """A host with our template, made as an administrator makes it."""
    everything = {"createMissing": True, "updateExisting": True}
    parts = ("discoveryRules", "graphs", "items", "templates", "triggers", "valueMaps")
    rules: dict[str, Any] = dict.fromkeys(parts, everything) | {"groups": {"createMissing": True}}
    zabbix.call(
        "configuration.import", format="yaml", rules=rules, source=TEMPLATE.read_text("utf-8")
    )
    (template,) = zabbix.call(
        "template.get", filter={"host": ["sre probes"]}, output=["templateid"]
    )
    zabbix.call("host.create", host="shop", groups=[{"groupid": "4"}],
                templates=[{"templateid": template["templateid"]}])  # fmt: skip
    return "shop"


def test_zabbix_discovers_the_probes_and_takes_their_values(zabbix: Zabbix, host: str) -> None:
    sender = ZabbixFeed("127.0.0.1", host, port=zabbix.port)
    checks = [Check("home", "http", None), Check("checkout", "journey", None)]  # type: ignore[arg-type]

    def announced() -> bool:
        sender.announce(checks, Deadline.after(10))
        return True

    wait_until(announced, 20, "the host in the server's cache")

    def taken() -> bool:
        sender.send([result("home")], Deadline.after(10))
        sender.send([result("checkout", Outcome.FAILED, Reason.TIMEOUT)], Deadline.after(10))
        return len(zabbix.last(host)) >= 8

    wait_until(taken, 40, "the values in Zabbix")
    last = zabbix.last(host)
    assert last["sre.probe.up[home]"] == "1"
    assert float(last["sre.probe.seconds[home]"]) == 0.125
    assert last["sre.probe.outcome[checkout]"] == "failed"
    assert last["sre.probe.reason[checkout]"] == "timeout"

    def alarmed() -> list[Any]:
        sender.send([result("checkout", Outcome.FAILED, Reason.TIMEOUT)], Deadline.after(10))
        return list(zabbix.call("trigger.get", host=host, only_true=True, output=["description"]))

    raised = wait_until(alarmed, 30, "the trigger")
    assert [one["description"] for one in raised] == ["Probe checkout fails"]


def test_zabbix_without_the_host_says_what_to_do(zabbix: Zabbix, host: str) -> None:
    with pytest.raises(Transient, match="link the template"):
        ZabbixFeed("127.0.0.1", "stranger", port=zabbix.port).send([result("a")], Deadline.after(9))


def test_probe_serve_feeds_both_and_tells_how_they_do(
    influx: Influx, zabbix: Zabbix, host: str, hostile: Hostile, tmp_path: Path
) -> None:
    text = (ROOT / "examples/feeds.yaml").read_text("utf-8")
    for old, new in (
        ("http://127.0.0.1:18080", hostile.url), ("http://127.0.0.1:8086", influx.url),
        ("every: 15s", "every: 1s"), ("every: 30s", f"port: {zabbix.port}, every: 1s"),
        ("username: feed", "username: feed\n    every: 1s"), ("name: home", "name: front"),
    ):  # fmt: skip
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "sre.yaml").write_text(text, encoding="utf-8")
    with serving(tmp_path, INFLUX_PASSWORD=influx.password) as url:
        query = "select count(seconds) from probe_run where probe = 'front'"
        wait_until(lambda: influx.ask(query)[0]["values"][0][1] >= 2, 20, "points in InfluxDB")
        wait_until(lambda: "sre.probe.up[front]" in zabbix.last(host), 40, "values in Zabbix")
        metrics = requests.get(f"{url}/metrics", timeout=5).text
        check_metrics(metrics)
        assert 'sre_feed_last_success_timestamp_seconds{feed="influx"}' in metrics
    before = influx.ask(query)[0]["values"][0][1]
    assert before >= 2
