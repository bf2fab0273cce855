"""Everything of the first site is gone: does its cluster come back from the second region?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.servers.faultproxy import FaultProxy
from tests.servers.net import free_port, wait_until
from tests.servers.pgset import REPO, running_set
from tests.servers.s3 import S3Server, running_s3
from tests.servers.site import Site, lost_site
from tests.servers.sshd import Sshd

pytestmark = pytest.mark.postgres

STEPS = ["rebuild", "orders", "--from", "region-b"]


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_s3(tmp_path_factory.mktemp("region-b")) as server:
        yield server


@pytest.fixture(scope="module")
def site(region: S3Server) -> Iterator[Site]:
    with running_set() as pgset, lost_site(pgset, region) as made:
        yield made


def rebuilt(site: Site, *more: str) -> dict[str, Any]:
    code, found = site.document("failover", *STEPS, *more)
    assert code == 0, found
    assert found["outcome"] == "ok"
    return dict(found)


def nothing_older_is_missing(site: Site, newest: float) -> int:
    """Every row acknowledged before the newest commit that was restored; how many are lost."""
    told, there = site.acknowledged, site.there("a")
    assert not {n for n, at in told if at < newest} - there
    lost = [at for n, at in told if n not in there]
    assert lost, "the control: what was written after the last copy must be missing"
    assert min(lost) >= newest
    return len(lost)


def at_work(site: Site) -> None:
    """One primary, two that count, and the front door takes writes."""
    pgset = site.pgset
    pgset.whole("a")
    assert pgset.primaries() == ["a"]
    assert pgset["a"].sql("select distinct sync_state from pg_stat_replication") == [("quorum",)]
    assert pgset["a"].sql("select timeline_id > 1 from pg_control_checkpoint()") == [(True,)]
    assert pgset.states() == {"a": "open/open", "b": "closed/closed", "c": "closed/closed"}
    with psycopg.connect(pgset.dsn, autocommit=True, connect_timeout=3) as connection:
        connection.execute("insert into till values (-1, 'new') on conflict do nothing")


def test_a_lost_site_comes_back_from_the_second_region(site: Site) -> None:
    site.empty()
    code, plan = site.document("failover", *STEPS, "--dry-run")
    assert code == 0, plan
    assert [each["id"] for each in plan["steps"]][:2] == ["close", "restore"]
    assert not any(any(node.data.iterdir()) for node in site.pgset.nodes.values())
    found = rebuilt(site)
    told = found["noted"]["verify"]
    nothing_older_is_missing(site, told["newest_commit"])
    assert told["rpo_seconds"] == pytest.approx(site.died - told["newest_commit"], abs=2.0)
    assert told["invariants"] == {"notes": 0}
    assert {"restore", "start", "verify", "standbys", "write", "total"} <= found["phases"].keys()
    assert found["loss"]["bytes"] > 0
    at_work(site)
    fact = site.pgset.home / "state" / "facts" / "failover" / "orders" / "rebuilt.json"
    assert json.loads(fact.read_text())["value"]["rpo_seconds"] == told["rpo_seconds"]
    code, again = site.document("failover", *STEPS)
    assert code == 5
    assert {"alive", "not-empty"} <= {each["check"] for each in again["reasons"]}
    left = {path.name for node in site.pgset.nodes.values() for path in node.folder.iterdir()}
    assert left <= {"data", "data.log", "word"}


_KILLED = """
import os, signal, sys
import sre.backup.restoring.restore, sre.site.landing, sre.failover.clusters.pg.rebuild as rebuild
from sre.failover.operation.record import Record
where = sys.argv.pop(1)
def die(*args, **more):
    os.kill(os.getpid(), signal.SIGKILL)
whole = Record.add
def add(self, event, **more):
    whole(self, event, **more)
    if f"{event} {more.get('step')}" == where:
        die()
Record.add = add
if where == "restored":
    sre.site.landing.replace_file = die
if where == "unpacked":
    sre.backup.restoring.restore.land = die
if where == "copied":
    rebuild.Rebuild.clean = die
from sre.cli.main import main
main()
"""


def killed(site: Site, where: str, *args: str) -> None:
    """Run it, killed there."""
    argv = [sys.executable, "-c", _KILLED, where, "failover", *args]
    done = subprocess.run(
        [*argv, "--config", str(site.pgset.config)], env={**os.environ, **site.env}, cwd=REPO,
        capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == -9, done.stdout + done.stderr


def killed_again_and_again(site: Site) -> None:
    killed(site, "restored", *STEPS)
    code, other = site.document("failover", *STEPS)
    assert code == 5
    assert "unfinished" in {each["check"] for each in other["reasons"]}
    killed(site, "end restore", "resume", "orders")
    killed(site, "begin place", "resume", "orders")
    killed(site, "begin start", "resume", "orders")
    assert site.pgset.states() == dict.fromkeys("abc", "closed/closed")
    killed(site, "copied", "resume", "orders")
    assert site.pgset.states() == dict.fromkeys("abc", "closed/closed")
    code, found = site.document("failover", "resume", "orders")
    assert (code, found["outcome"]) == (0, "ok"), found
    nothing_older_is_missing(site, found["noted"]["verify"]["newest_commit"])
    at_work(site)


def test_killed_at_any_point_it_goes_on(site: Site) -> None:
    site.empty()
    site.declare()
    killed(site, "unpacked", *STEPS)
    code, found = site.document("failover", "resume", "orders", "--rollback")
    assert (code, found["outcome"]) == (1, "rolled_back"), found
    assert [path.name for path in site.pgset["a"].folder.iterdir()] == ["data"]
    killed_again_and_again(site)
    left = {path.name for node in site.pgset.nodes.values() for path in node.folder.iterdir()}
    assert left <= {"data", "data.log"}


@pytest.mark.long
def test_a_node_that_is_another_machine(site: Site, sshd: Sshd) -> None:
    site.empty()
    way = (
        f"{{kind: ssh, host: 127.0.0.1, port: {sshd.port}, user: {sshd.user}, key: {sshd.key}, "
        f"known_hosts: {sshd.known_hosts}}}"
    )
    site.declare(a__control=way, c__control=way)
    killed_again_and_again(site)
    assert not list((site.pgset.home / "state" / "rebuild").iterdir())


def test_no_traffic_while_a_promise_does_not_hold(site: Site) -> None:
    site.empty()
    site.declare()
    config = site.pgset.config
    good = config.read_text()
    config.write_text(good.replace("is null", "is not null"))
    code, found = site.document("failover", *STEPS)
    assert (code, found["outcome"]) == (8, "incomplete"), found
    assert "expected equals 0" in found["reasons"][0]["text"]
    assert site.pgset.states() == dict.fromkeys("abc", "closed/closed")
    config.write_text(good)
    code, found = site.document("failover", "resume", "orders")
    assert (code, found["outcome"]) == (0, "ok"), found
    at_work(site)


def test_what_stands_against_it_is_told_before_anything_is_touched(site: Site) -> None:
    site.empty()
    site.declare()
    (site.pgset["b"].data / "somebody's").write_text("data")
    config = site.pgset.config
    text = config.read_text()
    identity = next(line for line in text.splitlines() if line.startswith("  identity:"))
    config.write_text(text.replace(identity + "\n", ""))
    code, found = site.document("failover", *STEPS)
    assert code == 5
    assert {"not-empty", "identity"} <= {each["check"] for each in found["reasons"]}
    config.write_text(text)
    code, found = site.document("failover", "rebuild", "orders", "--from", "main")
    assert (code, {"backup", "not-empty"} <= {each["check"] for each in found["reasons"]}) == (
        5, True,
    )  # fmt: skip
    code, said = site.document("failover", *STEPS, "--at", "yesterday")
    assert code == 2, said
    assert Path(site.pgset["b"].data, "somebody's").read_text() == "data"
    assert not any(site.pgset["a"].data.iterdir())


def journals(site: Site) -> dict[str, str]:
    """Every operation, as it is written down."""
    folder = site.pgset.home / "state" / "failover" / "orders"
    return {path.name: path.read_text() for path in folder.glob("*.jsonl")}


@pytest.mark.long
def test_a_store_that_goes_away_leaves_all_as_it_was(site: Site, region: S3Server) -> None:
    """Nodes whose folders are not even there; the region is gone while it is restored."""
    site.empty(folders=False)
    before, earlier = site.pgset.states(), journals(site)
    with FaultProxy(region.port) as proxy:
        site.declare()
        config = site.pgset.config
        config.write_text(config.read_text().replace(region.endpoint, proxy.url))
        argv = [sys.executable, "-m", "sre", "failover", *STEPS, "--format", "json"]
        with subprocess.Popen(
            [*argv, "--config", str(config)], env={**os.environ, **site.env}, cwd=REPO,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            proxy.bandwidth(150_000)
            wait_until(lambda: any('"step": "restore"' in text for name, text in
                                   journals(site).items() if name not in earlier),
                       60, "it restores")  # fmt: skip
            proxy.reset()
            said, errors = process.communicate(timeout=110)
    found = json.loads(said or errors)
    assert (process.returncode, found["outcome"]) == (1, "rolled_back"), found
    assert site.pgset.states() == before
    assert not any(list(node.folder.iterdir()) for node in site.pgset.nodes.values())
    site.declare()
    nothing_older_is_missing(site, rebuilt(site)["noted"]["verify"]["newest_commit"])
    at_work(site)


@pytest.mark.long
def test_to_a_moment_before_the_damage(site: Site) -> None:
    site.empty()
    site.declare()
    moment = site.backed_up + 0.3
    at = datetime.fromtimestamp(moment, UTC).isoformat()
    found = rebuilt(site, "--at", at, "--node", "b")
    assert found["noted"]["verify"]["newest_commit"] <= moment
    assert site.pgset.primaries() == ["b"]
    there = site.there("b")
    assert {n for n, when in site.acknowledged if when < moment - 0.01} <= there
    assert len(there) < len(site.acknowledged)


@pytest.mark.long
def test_a_node_that_is_away_comes_later(site: Site) -> None:
    """Enough are there for commits; the third is copied once it is back, empty."""
    site.empty()
    site.declare(c__control=f"{{kind: ssh, host: 127.0.0.1, port: {free_port()}}}")
    found = rebuilt(site)
    assert "left-out" in {each["check"] for each in found["warnings"]}
    assert site.pgset.standbys("a") == ["b"]
    site.declare(c__options=f"['-p', '{site.pgset['c'].port}']")
    code, joined = site.document("failover", "rejoin", "orders", "c")
    assert (code, joined["outcome"]) == (0, "ok"), joined
    at_work(site)
