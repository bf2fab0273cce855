"""Do the runbooks that we ship mend what they promise, on real servers?"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
import pytest

from sre.backup.keys import new_keys
from sre.demo.postgres import EmbeddedPostgres
from sre.demo.server import ShopServer
from sre.demo.shop_seed import create_database
from sre.runbook.parse import parse
from tests.servers.demo import TRACKING_SECONDS, DemoShop

ROOT = Path(__file__).parents[2]
RUNBOOKS = ROOT / "runbooks"

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(300)]


def programs(folder: Path, **scripts: str) -> Path:
    """A folder of programs for PATH: `sre` is this checkout's, the others are scripts."""
    place = folder / "bin"
    place.mkdir()
    launcher = (
        "from sre.cli import main\n"
        "main.COMMANDS.setdefault('runbook', ('sre.cli.runbook:runbook', 'Runbooks.'))\n"
        "main.COMMANDS.setdefault('backup', ('sre.cli.backup:backup', 'Backups.'))\n"
        "main.main()\n"
    )
    (place / "sre.py").write_text(launcher)
    python = f"exec env PYTHONPATH='{ROOT}' '{sys.executable}'"
    every = {"sre": f'{python} -P "{place}/sre.py" "$@"', **scripts}
    for name, text in every.items():
        (place / name).write_text(f"#!/bin/bash\n{text}\n")
        (place / name).chmod(0o755)
    return place


class Site:
    """A shop, its declaration, and the command line on them."""

    def __init__(self, folder: Path, shop: DemoShop, bin_dir: Path, extra: str = "") -> None:
        self.folder, self.shop, self.bin = folder, shop, bin_dir
        self.config = folder / "site.yaml"
        package = ROOT / "sre" / "demo"
        address = urlsplit(shop.url).netloc
        text = (
            f"version: 1\nshop: {{name: demo, base_url: '{shop.url}', environment: staging, "
            "synthetic: {header: X-Synthetic, value: 'sre/${run_id}'}}\n"
            f"targets: {{allow: ['{address}']}}\n{extra}"
        )
        self.config.write_text(text + (package / "journeys.yaml").read_text())
        dsn = psycopg.conninfo.conninfo_to_dict(shop.dsn)
        self.variables = {
            "TARGET": "rehearsal",
            "SHOP_URL": shop.url,
            "PGHOST": str(dsn["host"]),
            "PGUSER": str(dsn["user"]),
            "PGDATABASE": str(dsn["dbname"]),
        }
        self.port = str(dsn["port"])
        self.env = {
            **os.environ,
            "PATH": f"{bin_dir}:{os.environ['PATH']}",
            "PGPASSWORD": unquote(str(dsn["password"])),
            "SRE_STATE": str(folder / "state"),
            "MODE": "must not reach a block",
        }

    def sre(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.bin / "sre"), *words, "--config", str(self.config)],
            env=self.env, cwd=self.folder, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip

    def follow(self, runbook: str, *words: str, **more: str) -> dict[str, Any]:
        front = parse(RUNBOOKS / f"{runbook}.md").front
        assert front is not None
        common = {name: each for name, each in self.variables.items() if name in front.vars}
        values = {**common, **more}
        given = [word for name, value in values.items() for word in ("--var", f"{name}={value}")]
        path = str(RUNBOOKS / f"{runbook}.md")
        done = self.sre("runbook", "run", path, "--format", "json", *given, *words)
        assert done.stdout, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        found["said"] = done.stderr
        assert found["exit_code"] == done.returncode
        self.shows_no_secret(done)
        return found

    def shows_no_secret(self, done: subprocess.CompletedProcess[str]) -> None:
        secret = self.env["PGPASSWORD"]
        assert secret not in done.stdout + done.stderr
        for path in (self.folder / "state").rglob("*"):
            assert not path.is_file() or secret.encode() not in path.read_bytes(), path

    def probe(self) -> int:
        return self.sre("probe", "run", "checkout").returncode


def ran(found: dict[str, Any]) -> list[str]:
    return [row["block"] for row in found["blocks"] if row["outcome"] == "ok"]


@pytest.fixture
def site(demo_shop: DemoShop, tmp_path: Path) -> Site:
    url, token = demo_shop.url, demo_shop.server.fault_token
    (tmp_path / "token").write_text(token)
    switch = (
        f'curl -fsS -X POST -H "X-Fault-Token: $(cat {tmp_path}/token)" '
        f'-H \'Content-Type: application/json\' -d "{{\\"state\\": \\"$2\\"}}" {url}/__faults/$1'
    )
    return Site(tmp_path, demo_shop, programs(tmp_path, fault=switch))


def test_checkout_failing_mends_the_payment_provider(site: Site) -> None:
    with site.shop.fault("payment"):
        assert site.probe() == 1
        found = site.follow(
            "checkout-failing", "--rehearse", PGPORT=site.port,
            PAYMENT_FALLBACK="fault payment off", PAYMENT_PRIMARY="fault payment on",
        )  # fmt: skip
        assert (found["result"], found["rehearsal"]) == ("passed", True), found["said"]
        assert "run:payment-fallback" in ran(found)
        assert "run:deploy-back" not in ran(found)
        assert site.probe() == 0
    listed = json.loads(site.sre("runbook", "list", str(RUNBOOKS), "--format", "json").stdout)
    (mine,) = [each for each in listed["runbooks"] if each["id"] == "checkout-failing"]
    assert mine["last_rehearsal"]["result"] == "passed"


def test_checkout_failing_takes_the_last_release_back(site: Site) -> None:
    with site.shop.fault("errors"):
        found = site.follow(
            "checkout-failing", "--rehearse", PGPORT=site.port,
            DEPLOY_BACK="fault errors off", DEPLOY_FORWARD="fault errors on",
        )  # fmt: skip
        assert found["result"] == "passed", found["said"]


def test_checkout_failing_undoes_what_did_not_help(site: Site) -> None:
    with site.shop.fault("payment"):
        wrong = f"touch {site.folder}/fallback"
        back = f"rm {site.folder}/fallback"
        fast = site.folder / "fast.md"
        text = (RUNBOOKS / "checkout-failing.md").read_text()
        fast.write_text(text.replace("timeout=2m every=2s", "timeout=20s retries=0").split(
            "## Escalate")[0] + "## Escalate\nNobody.\n")  # fmt: skip
        done = site.sre(
            "runbook", "run", str(fast), "--yes", "--on-failure", "rollback", "--format", "json",
            *[word for name, value in {
                **site.variables, "PGPORT": site.port, "PAYMENT_FALLBACK": wrong,
                "PAYMENT_PRIMARY": back,
            }.items() for word in ("--var", f"{name}={value}")],
        )  # fmt: skip
        found = json.loads(done.stdout)
        assert (done.returncode, found["result"]) == (1, "rolled_back"), done.stderr
        assert "rollback:payment-fallback" in ran(found)
        assert not (site.folder / "fallback").exists()


def test_a_rehearsal_is_refused_on_a_target_that_is_not_named(site: Site) -> None:
    words = ["runbook", "run", str(RUNBOOKS / "checkout-failing.md"), "--rehearse"]
    done = site.sre(*words, "--var", "TARGET=production")
    assert done.returncode == 5
    assert "TARGET=production is no rehearsal target of checkout-failing" in done.stderr


def test_checkout_slow_gives_room(site: Site) -> None:
    with site.shop.fault("slow-db"):
        found = site.follow(
            "checkout-slow", "--rehearse", PGPORT=site.port,
            RELIEF="fault slow-db off", RELIEF_BACK="fault slow-db on",
        )  # fmt: skip
        assert found["result"] == "passed", found["said"]


@pytest.fixture
def own_shop(tmp_path: Path) -> Iterator[tuple[EmbeddedPostgres, DemoShop]]:
    """A shop on a server of its own, which may be damaged."""
    settings = {"wal_level": "replica", "max_wal_senders": "4"}
    with EmbeddedPostgres(settings=settings) as postgres:
        dsn = create_database(postgres.dsn, f"shop_{uuid.uuid4().hex[:8]}")
        with ShopServer(dsn, None, tmp_path / "shop", tracking_seconds=TRACKING_SECONDS) as server:
            yield postgres, DemoShop(server, dsn)
            stop_what_the_runbook_started(postgres)


def stop_what_the_runbook_started(postgres: EmbeddedPostgres) -> None:
    user = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    subprocess.run(
        [str(postgres.bin_dir / "pg_ctl"), "-D", str(postgres.data_dir), "-m", "fast", "stop"],
        capture_output=True, check=False, cwd="/", timeout=60, **user,  # type: ignore[arg-type]
    )  # fmt: skip


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def local(postgres: EmbeddedPostgres, site: Site) -> dict[str, str]:
    """What makes the runbook fit a server without systemd."""
    root = os.geteuid() == 0
    return {
        "MODE": "local",
        "DATA_DIR": str(postgres.data_dir),
        "RESTORE_DIR": str(postgres.folder / "restored"),
        "BIN_DIR": str(postgres.bin_dir),
        "AS": "setpriv --reuid=65534 --regid=65534 --clear-groups" if root else "env",
        "OWNER": "65534" if root else str(os.geteuid()),
        "PORT": site.port,
        "SIDE_PORT": str(free_port()),
    }


def damage(shop: DemoShop) -> None:
    """What an operator's mistake does: the orders are gone, their lines are not."""
    shop.sql("alter table order_lines drop constraint order_lines_order_id_fkey")
    shop.sql("delete from order_lines where order_id in (select max(id) from orders)")
    shop.sql("set session_replication_role = replica")
    with psycopg.connect(shop.dsn, autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute("delete from orders")
        connection.execute("alter table orders rename to orders_gone")


def state_of(shop: DemoShop) -> list[tuple[Any, ...]]:
    return shop.sql("select number, state from orders order by id")


@pytest.fixture
def backed_up(own_shop: tuple[EmbeddedPostgres, DemoShop], tmp_path: Path) -> Site:
    """A site with three orders and a backup of them, made by `sre backup run`."""
    postgres, shop = own_shop
    made = new_keys(tmp_path / "keys")
    extra = f"""
stores: {{main: {{kind: local, path: {tmp_path}/store}}}}
tiers: {{gold: {{rpo: 1h, rto: 15m}}}}
keys:
  recipients: ["{made.recipient}"]
  trusted: ["{made.trusted}"]
  signing: "${{file:{tmp_path}/keys/signing}}"
  identity: "${{file:{tmp_path}/keys/identity}}"
databases:
  orders: {{kind: postgres, dsn: "${{env:ORDERS_DSN}}", bin_dir: "{postgres.bin_dir}",
           tier: gold, store: main}}
"""
    site = Site(tmp_path, shop, programs(tmp_path), extra)
    site.env["ORDERS_DSN"] = shop.dsn
    for _ in range(3):
        shop.browser().paid_order()
    done = site.sre("backup", "run", "orders")
    assert done.returncode == 0, done.stderr
    return site


def test_the_order_database_is_restored(
    own_shop: tuple[EmbeddedPostgres, DemoShop], backed_up: Site
) -> None:
    postgres, shop = own_shop
    before = state_of(shop)
    assert len(before) == 3
    damage(shop)
    assert backed_up.probe() == 1
    values = local(postgres, backed_up)
    found = backed_up.follow("restore-order-database", "--rehearse", **values)
    assert found["result"] == "passed", found["said"]
    assert {"run:swap", "run:open", "check:checkout-green"} <= set(ran(found))
    assert state_of(shop)[:3] == before
    assert (postgres.folder / "data.damaged").is_dir()
    again = backed_up.follow("restore-order-database", "--rehearse", **values)
    assert (again["result"], again["exit_code"]) == ("refused", 5)
    assert "taken: move" in again["reason"]


def test_a_restore_that_does_not_convince_is_taken_back(
    own_shop: tuple[EmbeddedPostgres, DemoShop], backed_up: Site
) -> None:
    postgres, shop = own_shop
    values = {**local(postgres, backed_up), "ORPHANS": "select 1"}  # nothing will ever be right
    words = ("--rehearse", "--on-failure", "rollback")
    found = backed_up.follow("restore-order-database", *words, **values)
    assert (found["result"], found["exit_code"]) == ("rolled_back", 1), found["said"]
    assert backed_up.probe() == 0
    assert shop.sql("show default_transaction_read_only") == [("off",)]
    assert not (postgres.folder / "data.damaged").exists()
    assert not (postgres.folder / "restored").exists()
