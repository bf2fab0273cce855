"""How is the demo shop served, and its faults switched, from another process?"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import sre
from sre.core.errors import Transient, UsageError
from sre.core.secrets import redactor
from sre.demo.guard import Guarded
from sre.demo.ports import HOST, free_port
from sre.demo.served import Served
from sre.demo.shop import CONFIG_VARIABLE, ShopConfig
from sre.demo.shop_faults import FAULTS
from sre.demo.shop_seed import install

__all__ = ["ShopServer", "fault_state", "switch_fault"]

_START_SECONDS = 30.0
_STOP_SECONDS = 5.0


class ShopServer(Served):
    """The shop under gunicorn on 127.0.0.1; it ends with this process.

    Args:
        dsn: its database; tables and products are made when missing.
        port: None takes a free one.
        folder: configuration (with the DSN, mode 0600), fault switches and logs.
        fault_token: who knows it may switch faults; a new one when empty.
        tracking_seconds: a parcel moves on so often.
        access_log: write folder/access.log.
    """

    def __init__(
        self,
        dsn: str,
        port: int | None,
        folder: Path,
        fault_token: str = "",
        *,
        workers: int = 2,
        threads: int = 8,
        tracking_seconds: float = 5.0,
        access_log: bool = False,
    ) -> None:
        self.port = port or free_port()
        self.folder = folder
        self.fault_token = fault_token or secrets.token_urlsafe(24)
        self._dsn = dsn
        self._workers = workers
        self._threads = threads
        self._tracking_seconds = tracking_seconds
        self._access_log = access_log
        self._server: Guarded | None = None
        redactor.add(self.fault_token)

    def __repr__(self) -> str:
        return f"ShopServer({self.url})"

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://{HOST}:{self.port}"

    @property
    def log_path(self) -> Path:
        """What gunicorn and the shop said."""
        return self.folder / "shop.log"

    def start(self) -> None:
        """Serve, and wait until pages can be served.

        Raises:
            Transient: it did not start; the message ends with its last words.
        """
        if free_port(self.port) != self.port:  # gunicorn would try for five seconds
            raise Transient(f"port {self.port} is taken; free it or choose another")
        self.folder.mkdir(parents=True, exist_ok=True)
        install(self._dsn)
        config = self._write_config()
        self._server = Guarded(
            self._command(),
            env=_environment(config),
            log=self.log_path,
            stop_signal=signal.SIGTERM,
            grace=_STOP_SECONDS,
            cwd=self.folder,
        )
        try:
            self._wait_until_ready(self._server)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all its processes. Idempotent."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def fault(self, name: str, on: bool) -> None:
        """Switch a fault in every worker; raises UsageError, Transient."""
        switch_fault(self.url, self.fault_token, name, on)

    def faults(self) -> dict[str, bool]:
        """Which faults are on."""
        return fault_state(self.url, self.fault_token)

    def _write_config(self) -> Path:
        path = self.folder.resolve() / "shop.json"
        config = ShopConfig(
            dsn=self._dsn,
            secret_key=secrets.token_urlsafe(32),
            fault_token=self.fault_token,
            folder=str(self.folder.resolve()),
            tracking_seconds=self._tracking_seconds,
            threads=self._threads,
        )
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(config), file)
        return path

    def _command(self) -> list[str]:
        access = ["--access-logfile", "access.log"] if self._access_log else []
        return [
            sys.executable, "-m", "gunicorn", "sre.demo.shop:from_environment()",
            "--bind", f"{HOST}:{self.port}", "--backlog", "512",
            "--worker-class", "gthread",
            "--workers", str(self._workers), "--threads", str(self._threads),
            "--keep-alive", "75", "--timeout", "60", "--graceful-timeout", "1",
            "--worker-tmp-dir", str(self.folder.resolve()),
            "--no-control-socket", "--log-level", "warning", *access,
        ]  # fmt: skip

    def _wait_until_ready(self, server: Guarded) -> None:
        end = time.monotonic() + _START_SECONDS
        while server.poll() is None and time.monotonic() < end:
            if self._ready():
                return
            time.sleep(0.02)
        lines = self.log_path.read_text("utf-8", "replace").strip().splitlines()
        words = redactor.mask(" | ".join(lines[-8:])) or "it said nothing"
        raise Transient(f"the demo shop did not start on port {self.port}: {words}")

    def _ready(self) -> bool:
        # The token proves that our shop answers, not somebody else's server on this port.
        try:
            fault_state(self.url, self.fault_token)
            return _call(self.url, "GET", "/readyz", {})[0] == 200
        except Transient:
            return False


def switch_fault(url: str, token: str, name: str, on: bool) -> None:
    """Switch a fault of the shop at `url`.

    Raises:
        UsageError: no such fault.
        Transient: the shop does not answer, or not as ours would.
    """
    if name not in FAULTS:
        raise UsageError(f"unknown fault {name!r}; known: {', '.join(FAULTS)}")
    state = "on" if on else "off"
    status, _ = _call(url, "POST", f"/__faults/{name}", {"X-Fault-Token": token}, {"state": state})
    if status != 200:
        raise Transient(f"the demo shop at {url} answered {status} to the fault switch")


def fault_state(url: str, token: str) -> dict[str, bool]:
    """Which faults are on; raises Transient."""
    status, body = _call(url, "GET", "/__faults", {"X-Fault-Token": token})
    if status != 200 or not isinstance(body, dict):
        raise Transient(f"the demo shop at {url} answered {status} to the fault switch")
    return {str(name): bool(on) for name, on in body["faults"].items()}


def _call(
    url: str, method: str, path: str, headers: dict[str, str], body: object = None
) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=15)
    sent = json.dumps(body) if body is not None else None
    typed = {**headers, "Content-Type": "application/json"} if sent else headers
    try:
        connection.request(method, path, sent, typed)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Transient(f"the demo shop at {url} does not answer: {error}") from error
    finally:
        connection.close()


def _environment(config: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "GUNICORN_CMD_ARGS"}
    # The server's working directory is its folder; it must import the package that we are.
    root = str(Path(sre.__file__).resolve().parent.parent)
    paths = [root, *filter(None, [kept.get("PYTHONPATH")])]
    return {**kept, CONFIG_VARIABLE: str(config), "PYTHONPATH": os.pathsep.join(paths)}
