"""What does the demo need running, where is it described, and how does it end?"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from sre.backup.keys import Made, new_keys
from sre.core.clock import Deadline
from sre.core.errors import Transient, UsageError
from sre.core.lock import exclusive
from sre.core.process import run
from sre.core.secrets import redactor
from sre.demo.ports import HOST, free_port
from sre.demo.postgres import EmbeddedPostgres
from sre.demo.s3 import EmbeddedS3
from sre.demo.server import ShopServer, switch_fault

__all__ = ["SHOP_PORT", "Stage", "as_owner", "fault", "staged", "stop_restored"]

SHOP_PORT = 18080
DATABASE_PORT = 18432
_STATE = "demo.json"


@dataclass(frozen=True)
class Stage:
    """The running set: a database, a shop on it, and the declaration of both in a file."""

    folder: Path
    postgres: EmbeddedPostgres
    shop: ShopServer
    s3: EmbeddedS3
    keys: Made

    @property
    def config(self) -> Path:
        """DIR/sre.yaml, for this and other commands."""
        return self.folder / "sre.yaml"

    @property
    def state(self) -> Path:
        """What the demo's commands remember: history, runs, facts."""
        return self.folder / "state"


@contextlib.contextmanager
def staged(folder: Path, say: Callable[[str], None]) -> Iterator[Stage]:
    """Start everything on free ports (18080 for the shop, if it can be had); end it all on exit.

    Args:
        say: told what is being done.

    Raises:
        Locked: another demo runs in this folder.
        UsageError: the folder cannot be written, or holds somebody else's files.
        Transient: a server does not start.
        MissingExtra: there is no PostgreSQL on this machine and none is installed.
    """
    _make(folder)
    with exclusive(folder / "lock", "sre demo"), contextlib.ExitStack() as stack:
        _tidy(folder)
        stack.callback(_tidy, folder)
        s3 = stack.enter_context(EmbeddedS3(folder / "s3"))
        say("starting PostgreSQL")
        postgres = EmbeddedPostgres(DATABASE_PORT)
        stack.enter_context(postgres)
        stack.callback(stop_restored, postgres)
        say("starting the shop")
        token = secrets.token_urlsafe(24)
        shop = ShopServer(
            postgres.dsn, free_port(SHOP_PORT), folder / "shop", token, access_log=True
        )
        stack.enter_context(shop)
        say("starting the S3 server")
        s3.wait()
        stage = Stage(folder, postgres, shop, s3, new_keys(folder / "keys"))
        _declare(stage)
        _write_private(folder / _STATE, json.dumps(_state(shop, token)))
        yield stage


def stop_restored(postgres: EmbeddedPostgres) -> None:
    """End the server that a runbook started in the place of ours. Idempotent."""
    pg_ctl = str(postgres.bin_dir / "pg_ctl")
    argv = [*as_owner(), pg_ctl, "-D", str(postgres.data_dir), "-m", "fast", "-t", "10", "stop"]
    if (postgres.data_dir / "postmaster.pid").exists():
        run(argv, Deadline.after(15), cwd="/")


def as_owner() -> list[str]:
    """What makes a command run as the database's user, who is not root."""
    if os.geteuid() != 0:
        return ["env"]
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def fault(folder: Path, name: str, on: bool) -> None:
    """Switch a fault of the demo that runs in `folder`.

    Raises:
        UsageError: no demo runs there, or there is no such fault.
        Transient: the shop does not answer.
    """
    state = _read_state(folder)
    redactor.add(state["fault_token"])
    switch_fault(state["url"], state["fault_token"], name, on)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {folder}: {error.strerror}") from error
    foreign = folder / "sre.yaml"
    if foreign.exists() and "Written by `sre demo`" not in foreign.read_text("utf-8", "replace"):
        raise UsageError(f"{foreign} is not the demo's; name another folder with --dir")


def _declare(stage: Stage) -> None:
    """DIR/sre.yaml, and the secrets that it refers to, for this user alone."""
    folder = stage.folder
    (folder / "secrets").mkdir(mode=0o700, exist_ok=True)
    for name, value in (
        ("orders-dsn", stage.postgres.dsn),
        ("access-key", stage.s3.access_key),
        ("secret-key", stage.s3.secret_key),
    ):
        _write_private(folder / "secrets" / name, value)
    package = resources.files("sre.demo")
    text = (package / "declaration.yaml").read_text("utf-8")
    for name, value in (
        ("SHOP_PORT", str(stage.shop.port)),
        ("DB_PORT", str(stage.postgres.port)),
        ("SHOP", stage.shop.url),
        ("S3", stage.s3.endpoint),
        ("RECIPIENT", stage.keys.recipient),
        ("TRUSTED", stage.keys.trusted),
        ("BIN_DIR", str(stage.postgres.bin_dir)),
    ):
        text = text.replace(f"@{name}@", value)
    text += (package / "journeys.yaml").read_text("utf-8")
    stage.config.write_text(text, encoding="utf-8")


def _tidy(folder: Path) -> None:
    """Remove what must not outlive a demo: keys, secrets, its switch, its servers' state."""
    for name in ("keys", "secrets", "state", ".sre"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for file in (folder / _STATE, folder / "shop" / "shop.json"):
        file.unlink(missing_ok=True)


def _state(shop: ShopServer, token: str) -> dict[str, Any]:
    return {"url": shop.url, "fault_token": token, "pid": os.getpid(), "host": HOST}


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _read_state(folder: Path) -> dict[str, Any]:
    path = folder / _STATE
    try:
        state: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UsageError(
            f"no demo runs in {folder}; start one with 'sre demo --hold', or name its folder "
            "with --dir"
        ) from None
    except (OSError, ValueError) as error:
        raise Transient(f"cannot read {path}: {error}") from error
    return state
