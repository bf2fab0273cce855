"""Everything of the first site is gone: does its cluster come back from the second region?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.servers.pgset import running_set
from tests.servers.s3 import S3Server, running_s3
from tests.servers.site import Site, lost_site

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
