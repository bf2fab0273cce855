"""What does the shop sell on its first day?"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

__all__ = ["CATEGORIES", "create_database", "install"]

CATEGORIES = ("mugs", "shirts", "posters", "notebooks", "bags", "lamps", "limited")
_PLENTY = 100_000  # no load test runs it dry
_LOCK = 0x5E0_5B0D
_STYLES = (
    "Plain", "Striped", "Dotted", "Checked", "Marbled", "Speckled", "Woven", "Printed", "Glazed",
    "Painted", "Northern", "Harbour", "Forest", "Desert", "Midnight", "Sunrise", "Winter",
    "Summer", "Classic", "Modern",
)  # fmt: skip
_NOUNS = {"mugs": "Mug", "shirts": "Shirt", "posters": "Poster", "notebooks": "Notebook",
          "bags": "Bag", "lamps": "Lamp"}  # fmt: skip
_SCARCE = (("Signed Print", 4900, 3), ("Anniversary Vase", 7900, 3), ("Founders Clock", 12900, 0))
_INSERT = """
    insert into products
        (sku, slug, name, category, description, price, initial_stock, stock)
    values (%s, %s, %s, %s, %s, %s, %s, %s)
    on conflict (sku) do nothing
"""
_COUPONS = """
    insert into coupons (code, kind, percent, expires_at) values
        ('WELCOME10', 'percent', 10, null),
        ('EXPIRED', 'percent', 50, '2020-01-01'),
        ('FREESHIP', 'shipping', 0, null)
    on conflict (code) do nothing
"""


def create_database(dsn: str, name: str) -> str:
    """A new empty database on the server of `dsn`; answers its DSN."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    return make_conninfo(dsn, dbname=name)


def install(dsn: str) -> None:
    """Tables, products and coupons; what is there already stays as it is."""
    schema = files("sre.demo").joinpath("schema.sql").read_bytes()
    with psycopg.connect(dsn) as connection:
        # `create if not exists` is not safe against a second one at the same moment.
        connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
        connection.execute(schema)
        with connection.cursor() as cursor:
            cursor.executemany(_INSERT, list(_products()))
            cursor.execute(_COUPONS)


def _products() -> Iterator[tuple[object, ...]]:
    for category, noun in _NOUNS.items():
        for index, style in enumerate(_STYLES, start=1):
            name = f"{style} {noun}"
            price = 900 + (index * 137 + len(category) * 411) % 4100
            sku = f"{noun[:3].upper()}-{index:03d}"
            yield _row(sku, name, category, price, _PLENTY)
    for index, (name, price, stock) in enumerate(_SCARCE, start=1):
        yield _row(f"LTD-{index:03d}", name, "limited", price, stock)


def _row(sku: str, name: str, category: str, price: int, stock: int) -> tuple[object, ...]:
    about = f"{name}: made to be ordered, counted and refunded. One of our {category}."
    return (sku, name.lower().replace(" ", "-"), name, category, about, price, stock, stock)
