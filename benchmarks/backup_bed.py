"""Where do backups run side by side? A shop of 2.4 GB, an S3 server with TLS, pgBackRest and we."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import psutil
from botocore.config import Config

from sre.demo.ports import free_port
from tests.servers.child import child
from tests.servers.net import wait_until
from tests.servers.postgresql import PgServer, running_postgres

__all__ = ["Bed", "Cost", "bed"]

ROOT = Path(__file__).parent.parent
KEY, SECRET = "benchkey", "benchsecret123"
_ROWS = """
create table orders(id bigserial primary key, customer int, status text, doc jsonb);
select setseed(0.42);
insert into orders(customer, status, doc) select (random()*200000)::int,
 (array['new','paid','packed','shipped'])[1+(random()*3)::int],
 jsonb_build_object('order_no', 'ORD-'||lpad(g::text, 10, '0'),
  'email', 'user'||(random()*200000)::int||'@example.com',
  'address', jsonb_build_object('street', (random()*900)::int||' Market Street'),
  'lines', (select jsonb_agg(jsonb_build_object('sku', 'SKU-'||md5((g*7+i)::text),
    'qty', 1+(random()*4)::int, 'price', round((random()*300)::numeric, 2),
    'name', (array['Shirt blue cotton','Mug ceramic','Lamp desk'])[1+(random()*2)::int]))
    from generate_series(1, 3+g%4) i),
  'token', md5(g::text||random()::text)) from generate_series(1, {rows}) g;
create index on orders(customer);
vacuum analyze orders;
checkpoint;
"""


@dataclass(frozen=True)
class Cost:
    """Of one run; seconds, MiB."""

    wall: float
    client: float
    server: float
    rss: float

    @property
    def cpu(self) -> float:
        return self.client + self.server


@dataclass
class Bed:
    """Everything that runs."""

    home: Path
    postgres: PgServer
    client: Any
    port: int
    names: dict[str, str] = field(default_factory=dict)

    @property
    def owner(self) -> tuple[int, int]:
        """Whose the database's files are: pgBackRest must be the same."""
        found = self.postgres.data.stat()
        return found.st_uid, found.st_gid

    def sre(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "sre", "backup", *words]

    def pgbackrest(self, *words: str) -> list[str]:
        config = f"--config={self.home}/pgbackrest.conf"
        uid, gid = self.owner
        as_postgres = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
        prefix = as_postgres if os.geteuid() == 0 else []
        return [*prefix, "pgbackrest", config, "--stanza=shop", *words]

    def cost(self, argv: list[str]) -> Cost:
        """Run it; CPU of it with its children, and of PostgreSQL meanwhile."""
        before, used = _cpu(self.postgres.pid), os.times()
        began, peak, done = time.monotonic(), [0.0], threading.Event()
        log = self.home / "last.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                argv, cwd=self.home, env=self._environment(), stdout=out, stderr=out
            )
            watch = threading.Thread(target=_watch, args=(process.pid, peak, done))
            watch.start()
            code = process.wait()
            wall = time.monotonic() - began
            done.set()
            watch.join()
        if code:
            raise SystemExit(f"{argv} ended with {code}: {log.read_text()[-1500:]}")
        now = os.times()
        mine = now.children_user + now.children_system - used.children_user - used.children_system
        return Cost(wall, mine, _cpu(self.postgres.pid) - before, peak[0])

    def stored(self, prefix: str) -> int:
        """Bytes below a prefix."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket="bench", Prefix=prefix)
        return sum(each["Size"] for page in pages for each in page.get("Contents", []))

    def clear(self, prefix: str) -> None:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket="bench", Prefix=prefix)
        for page in pages:
            for each in page.get("Contents", []):
                self.client.delete_object(Bucket="bench", Key=each["Key"])

    def folder(self, name: str) -> Path:
        """An empty place to restore to, gone at the next call."""
        path = self.home / "restored" / name
        shutil.rmtree(path, ignore_errors=True)
        path.parent.mkdir(exist_ok=True, mode=0o755)
        return path

    def _environment(self) -> dict[str, str]:
        mine = {"AK": KEY, "SK": SECRET, "DSN": self.postgres.dsn(database="shop")}
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        return {**os.environ, **mine, "PYTHONPATH": path, "PGPASSWORD": self.postgres.password}


def _cpu(pid: int) -> float:
    total = 0.0
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(pid)
        times = root.cpu_times()  # children that ended are in it
        total = times.user + times.system + times.children_user + times.children_system
        for each in root.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                spent = each.cpu_times()
                total += spent.user + spent.system
    return total


def _watch(pid: int, peak: list[float], done: threading.Event) -> None:
    while not done.wait(0.1):
        with contextlib.suppress(psutil.Error):
            root = psutil.Process(pid)
            found = 0
            for each in [root, *root.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    found += each.memory_info().rss
            peak[0] = max(peak[0], found / 2**20)


@contextlib.contextmanager
def bed(home: Path, *, rows: int, scale: int) -> Iterator[Bed]:
    """All of it with a database of so many orders, and pgbench's at that scale."""
    home.chmod(0o755)
    settings = {"shared_buffers": "512MB", "max_wal_size": "4GB", "archive_mode": "on"}
    with (
        running_postgres("15", **settings, archive_command="'true'", autovacuum="off") as postgres,
        _s3(home) as (client, plain, tls),
    ):
        made = Bed(home, postgres, client, plain)
        _fill(postgres, rows, scale, made._environment())
        _declare(made)
        _pgbackrest(made, tls)
        yield made


def _fill(postgres: PgServer, rows: int, scale: int, env: Mapping[str, str]) -> None:
    postgres.sql("create database shop")
    words = ["-h", "127.0.0.1", "-p", str(postgres.port), "-U", "postgres", "shop"]
    program = str(postgres.programs / "pgbench")
    subprocess.run(
        [program, "-q", "-i", "-s", str(scale), *words], env=env, check=True, capture_output=True
    )
    psql = [str(postgres.programs / "psql"), "-q", "-v", "ON_ERROR_STOP=1", *words]
    text = _ROWS.format(rows=rows)
    subprocess.run(psql, input=text, env=env, check=True, capture_output=True, text=True)


@contextlib.contextmanager
def _s3(home: Path) -> Iterator[tuple[Any, int, int]]:
    """A client, the port that speaks HTTP and the one that speaks TLS, which pgBackRest needs."""
    key, cert, config = home / "key.pem", home / "cert.pem", home / "s3.json"
    words = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3", "-subj", "/CN=localhost"]
    subprocess.run(
        ["openssl", "req", *words, "-keyout", key, "-out", cert], check=True, capture_output=True
    )
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    pair = [{"accessKey": KEY, "secretKey": SECRET}]
    config.write_text(
        json.dumps({"identities": [{"name": "a", "credentials": pair, "actions": actions}]})
    )
    (home / "weed").mkdir()
    master, volume, filer, plain, tls = sorted({free_port(twin=10_000) for _ in range(5)})
    argv = [
        str(Path(sysconfig.get_path("scripts")) / "weed"), "server", "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1", f"-dir={home}/weed", f"-master.port={master}", "-volume.max=0",
        "-master.telemetry=false", "-master.volumeSizeLimitMB=1024", f"-volume.port={volume}",
        "-volume.preStopSeconds=0", f"-filer.port={filer}", "-s3", f"-s3.port={plain}",
        f"-s3.port.https={tls}", f"-s3.cert.file={cert}", f"-s3.key.file={key}",
        "-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={config}",
    ]  # fmt: skip
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{plain}",
        region_name="us-east-1",
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 2}),
    )

    def stores() -> bool:
        with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
            client.create_bucket(Bucket="bench")
        client.put_object(Bucket="bench", Key="ready", Body=b"yes")
        return True

    with child(argv, home=home, grace=5):
        wait_until(stores, 90, "the S3 server's first object")
        yield client, plain, tls


def _declare(made: Bed) -> None:
    subprocess.run(
        made.sre("keys", "new", "--out", "keys"), cwd=made.home, check=True, capture_output=True
    )
    keys = made.home / "keys"
    store = {
        "kind": "s3", "bucket": "bench", "endpoint": f"http://127.0.0.1:{made.port}",
        "prefix": "ours", "access_key": "${env:AK}", "secret_key": "${env:SK}",
    }  # fmt: skip
    declared = {
        "version": 1,
        "shop": {"name": "Bench", "base_url": "http://127.0.0.1:9"},
        "stores": {"main": store},
        "keys": {
            "recipients": [(keys / "identity.pub").read_text().strip()],
            "trusted": [(keys / "signing.pub").read_text().strip()],
            "signing": f"${{file:{keys}/signing}}",
            "identity": f"${{file:{keys}/identity}}",
        },
        "databases": {
            "shop": {
                "kind": "postgres", "dsn": "${env:DSN}", "store": "main",
                "bin_dir": str(made.postgres.programs),
            }
        },
    }  # fmt: skip
    (made.home / "sre.yaml").write_text(json.dumps(declared))


def _pgbackrest(made: Bed, tls: int) -> None:
    for name in ("lock", "spool", "restored"):
        (made.home / name).mkdir()
        if os.geteuid() == 0:
            os.chown(made.home / name, *made.owner)
    lines = {
        "repo1-type": "s3", "repo1-path": "/theirs", "repo1-s3-bucket": "bench",
        "repo1-s3-endpoint": "127.0.0.1", "repo1-storage-port": tls,
        "repo1-storage-verify-tls": "n", "repo1-s3-region": "us-east-1", "repo1-s3-key": KEY,
        "repo1-s3-key-secret": SECRET, "repo1-s3-uri-style": "path",
        "repo1-retention-full": 9, "compress-type": "zst", "compress-level": 3,
        "process-max": 2, "start-fast": "y", "archive-check": "n", "log-level-console": "warn",
        "log-level-file": "off", "lock-path": made.home / "lock", "spool-path": made.home / "spool",
    }  # fmt: skip
    shop = {
        "pg1-path": made.postgres.data, "pg1-port": made.postgres.port,
        "pg1-socket-path": made.postgres.folder, "pg1-user": "postgres",
    }  # fmt: skip
    text = [f"{name}={value}" for name, value in lines.items()]
    text += ["[shop]", *(f"{name}={value}" for name, value in shop.items())]
    config = made.home / "pgbackrest.conf"
    config.write_text("\n".join(["[global]", *text]) + "\n")
    if os.geteuid() == 0:
        os.chown(config, *made.owner)
    config.chmod(0o600)
    made.cost(made.pgbackrest("stanza-create"))
