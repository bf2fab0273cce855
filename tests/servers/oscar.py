"""How does a test get a real shop that nobody here wrote: django-oscar, seeded, on a free port?"""

import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

SITE = Path(__file__).parent / "oscar_site"
BUILD_SECONDS = 60
START_SECONDS = 30
STOP_SECONDS = 5
MEMBER = ("member@example.test", "not-a-secret-1")


@dataclass(frozen=True)
class Product:
    """A product of the shop; `role` says what a test can do with it, most have none."""

    id: int
    slug: str
    title: str
    path: str
    role: str | None


@dataclass
class OscarShop:
    """A running shop and its database."""

    folder: Path
    port: int
    all_products: list[Product] = field(default_factory=list)
    member: tuple[str, str] = MEMBER  # e-mail and password of the one registered customer

    @property
    def base_url(self) -> str:
        """Where it answers, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> Path:
        """The SQLite file, in WAL mode."""
        return self.folder / "shop.sqlite3"

    @property
    def log_path(self) -> Path:
        """Errors of the shop and gunicorn's own lines."""
        return self.folder / "shop.log"

    @property
    def access_log_path(self) -> Path:
        """One line for each request: the combined log format, then the X-Synthetic header."""
        return self.folder / "access.log"

    def requests_of(self, mark: str) -> list[tuple[str, str, int]]:
        """Method, path and status of every request that bore this X-Synthetic header."""
        found = re.findall(
            rf'"(\S+) (\S+) HTTP/1.1" (\d+) .*"{re.escape(mark)}"$',
            self.access_log_path.read_text(),
            re.MULTILINE,
        )
        return [(method, path, int(status)) for method, path, status in found]

    @property
    def products(self) -> dict[str, Product]:
        """By role: plenty (1000 in stock), single (1), out_of_stock (0)."""
        return {product.role: product for product in self.all_products if product.role}

    def product_url(self, slug: str) -> str:
        """The absolute address of a product's page."""
        return self.base_url + next(p.path for p in self.all_products if p.slug == slug)

    def query(self, sql: str, params: tuple[Any, ...] | dict[str, Any] = ()) -> list[sqlite3.Row]:
        """Read the database past the shop, over a connection that cannot write."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as db:
            db.row_factory = sqlite3.Row
            return db.execute(sql, params).fetchall()

    def orders(self) -> list[sqlite3.Row]:
        """All orders, the oldest first."""
        return self.query(
            "select id, number, guest_email, status, currency, total_incl_tax, date_placed"
            " from order_order order by id"
        )

    def lines(self, order_number: str) -> list[sqlite3.Row]:
        """What one order bought."""
        return self.query(
            "select l.product_id, l.title, l.quantity, l.line_price_incl_tax"
            " from order_line l join order_order o on o.id = l.order_id where o.number = ?",
            (order_number,),
        )

    def stock(self, product: Product) -> tuple[int, int]:
        """In stock, and how much of that is allocated to orders."""
        (row,) = self.query(
            "select num_in_stock, coalesce(num_allocated, 0) as allocated"
            " from partner_stockrecord where product_id = ?",
            (product.id,),
        )
        return row["num_in_stock"], row["allocated"]

    def set_stock(self, product: Product, in_stock: int, allocated: int = 0) -> None:
        """Write the stock of a product past the shop."""
        with closing(sqlite3.connect(self.database, timeout=20)) as db, db:
            db.execute(
                "update partner_stockrecord set num_in_stock = ?, num_allocated = ?"
                " where product_id = ?",
                (in_stock, allocated, product.id),
            )


def _environment(folder: Path) -> dict[str, str]:
    env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    # Not this folder: its oscar.py would stand before the package of that name.
    return env | {
        "PYTHONPATH": str(SITE),
        "PYTHONDONTWRITEBYTECODE": "1",
        "DJANGO_SETTINGS_MODULE": "shop_settings",
        "OSCAR_SHOP_FOLDER": str(folder),
    }


def _build(folder: Path) -> list[Product]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "shop_build", *MEMBER],
        cwd=folder,
        env=_environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the shop could not be built:\n{done.stderr}")
    return [Product(slug=slug, **facts) for slug, facts in json.loads(done.stdout).items()]


def _serve(shop: OscarShop, listener: socket.socket) -> subprocess.Popen[bytes]:
    """Gunicorn inherits the bound socket: no port is looked up first and lost to another."""
    with shop.log_path.open("wb") as log:
        return subprocess.Popen(
            [
                *(sys.executable, "-W", "ignore", "-m", "gunicorn", "shop_wsgi"),
                *("--config", str(SITE / "gunicorn_conf.py")),
                *("--bind", f"fd://{listener.fileno()}"),
                *("--access-logfile", str(shop.access_log_path)),
            ],
            cwd=shop.folder,
            env=_environment(shop.folder),
            pass_fds=[listener.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _wait(shop: OscarShop) -> None:
    """One request, which the kernel keeps until a worker takes it; a dead server resets it."""
    connection = http.client.HTTPConnection("127.0.0.1", shop.port, timeout=START_SECONDS)
    with closing(connection):
        try:
            connection.request("GET", "/catalogue/")
            answer = str(connection.getresponse().status)
        except (OSError, http.client.HTTPException) as error:
            answer = repr(error)
    if answer != "200":
        raise RuntimeError(f"the shop does not answer: {answer}\n{shop.log_path.read_text()}")


def _stop(server: subprocess.Popen[bytes]) -> None:
    """End the whole group: the master asks its workers, then nothing is left to chance."""
    server.terminate()
    with suppress(subprocess.TimeoutExpired):
        server.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


@pytest.fixture(scope="session")
def oscar_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OscarShop]:
    """A shop for the whole run; tests share it, so they compare before and after."""
    folder = tmp_path_factory.mktemp("oscar")
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        shop = OscarShop(folder, listener.getsockname()[1], _build(folder))
        server = _serve(shop, listener)
    try:
        _wait(shop)
        yield shop
    finally:
        _stop(server)
