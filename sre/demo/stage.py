"""What does the demo need running, where is it described, and how does it end?"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from sre.core.errors import Transient, UsageError
from sre.core.lock import exclusive
from sre.core.secrets import redactor
from sre.demo.ports import HOST, free_port
from sre.demo.postgres import EmbeddedPostgres
from sre.demo.server import ShopServer, switch_fault

__all__ = ["SHOP_PORT", "Stage", "fault", "staged"]

SHOP_PORT = 18080
DATABASE_PORT = 18432
_STATE = "demo.json"


@dataclass(frozen=True)
class Stage:
    """The running set: a database, a shop on it, and the declaration of both in a file."""

    folder: Path
    postgres: EmbeddedPostgres
    shop: ShopServer

    @property
    def config(self) -> Path:
        """DIR/sre.yaml, for this and other commands."""
        return self.folder / "sre.yaml"


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
        say("starting PostgreSQL")
        postgres = stack.enter_context(EmbeddedPostgres(DATABASE_PORT))
        say("starting the shop")
        token = secrets.token_urlsafe(24)
        shop = ShopServer(
            postgres.dsn, free_port(SHOP_PORT), folder / "shop", token, access_log=True
        )
        stack.enter_context(shop)
        stage = Stage(folder, postgres, shop)
        stage.config.write_text(_declaration(stage), encoding="utf-8")
        stack.callback((folder / _STATE).unlink, missing_ok=True)
        _write_state(folder, {"url": shop.url, "fault_token": token, "pid": os.getpid()})
        yield stage


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


def _declaration(stage: Stage) -> str:
    package = resources.files("sre.demo")
    text = (package / "declaration.yaml").read_text("utf-8")
    for name, value in (
        ("SHOP_PORT", str(stage.shop.port)),
        ("DB_PORT", str(stage.postgres.port)),
        ("SHOP", stage.shop.url),
    ):
        text = text.replace(f"@{name}@", value)
    return text + (package / "journeys.yaml").read_text("utf-8")


def _write_state(folder: Path, state: dict[str, Any]) -> None:
    path = folder / _STATE
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({**state, "host": HOST}, file)


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
