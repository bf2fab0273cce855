"""Which mistakes in the four sections are found, where, and with which words?"""

from __future__ import annotations

from pathlib import Path

import pytest

from sre.backup.declare import declare
from sre.backup.model import Backups
from sre.core.config import Problems, read_tree, resolve

RECIPIENT = "age1mkkw60cdaqary5lc4rtfddf8ev4a70uehw7zdytr34v98522mv7sfz0xnl"
TRUSTED = "ed25519:" + "A" * 43 + "="
GOOD = f"""\
stores:
  main: {{kind: s3, bucket: shop-backups, endpoint: "http://127.0.0.1:18333", prefix: prod,
    region: us-east-1, addressing: path, access_key: "${{env:AK}}", secret_key: "${{env:SK}}"}}
  offsite: {{kind: local, path: /mnt/offsite}}
tiers:
  gold: {{rpo: 60s, rto: 15m, full: weekly, differential: daily, incremental: hourly, archive: true,
    copies: [offsite], verify: {{level: 3, every: 1d}},
    keep: {{within: 35d, daily: 7, weekly: 4, monthly: 12, min_verified_fulls: 2}},
    lock: {{mode: COMPLIANCE, days: 35}}}}
keys:
  recipients: [{RECIPIENT}]
  signing: "${{file:/etc/sre/keys/signing}}"
  trusted: ["{TRUSTED}"]
  identity: "${{file:/etc/sre/keys/identity}}"
databases:
  orders:
    kind: postgres
    dsn: "${{env:ORDERS_DSN}}"
    tier: gold
    store: main
    invariants: [{{name: none_lost, sql: "select count(*) from orders", min: 1}}]
"""


def read(tmp_path: Path, text: str) -> tuple[Backups, list[str]]:
    path = tmp_path / "sre.yaml"
    path.write_text(text)
    problems = Problems()
    found = declare(resolve(read_tree(path)), problems)
    return found, [f"{each.path}: {each.message}" for each in problems.found]


def test_the_example_of_the_interfaces(tmp_path: Path) -> None:
    found, problems = read(tmp_path, GOOD)
    assert problems == []
    orders = found.databases["orders"]
    assert (orders.name, orders.kind, orders.store_name, orders.tier_name) == (
        "orders", "postgres", "main", "gold",
    )  # fmt: skip
    assert orders.store is found.stores["main"]
    assert orders.tier.rto == 900
    assert orders.volume == 64 * 2**20
    assert orders.invariants[0].min == 1
    assert found.keys.recipients == (RECIPIENT,)


def test_without_the_sections_there_is_nothing(tmp_path: Path) -> None:
    found, problems = read(tmp_path, "version: 1\n")
    assert problems == []
    assert found.databases == {}


@pytest.mark.parametrize(
    ("old", "new", "path", "words"),
    [
        ("store: main", "store: mian", "databases.orders.store", "did you mean 'main'?"),
        ("tier: gold", "tier: golden", "databases.orders.tier", "did you mean 'gold'?"),
        ("[offsite]", "[off]", "tiers.gold.copies[0]", "no store 'off'"),
        ("kind: postgres", "kind: postgre", "databases.orders.kind", "did you mean 'postgres'?"),
        ("kind: local", "kind: ftp", "stores.offsite.kind", "unknown store kind 'ftp'"),
        ("bucket: shop-backups,", "", "stores.main", "bucket"),
        ("bucket: shop-backups", "bucket: ab", "stores.main.bucket", "at least 3 characters"),
        ("region: us", "regoin: us", "stores.main.regoin", "region"),
        ('"${env:SK}"', "literal", "stores.main.secret_key", "reference"),
        ("level: 3", "level: 5", "tiers.gold.verify.level", "0"),
        ("daily: 7", "daily: -7", "tiers.gold.keep.daily", "daily must be 0 or more"),
        (
            "min_verified_fulls: 2",
            "min_verified_fulls: 0",
            "tiers.gold.keep.min_verified_fulls",
            "at least 1",
        ),
        ("within: 35d, daily: 7, weekly: 4, monthly: 12, ", "", "tiers.gold.keep", "keeps nothing"),
        ("days: 35", "days: 0", "tiers.gold.lock.days", "days must be"),
        ("mode: COMPLIANCE", "mode: STRICT", "tiers.gold.lock.mode", "COMPLIANCE"),
        ("rpo: 60s", "rpo: 60", "tiers.gold.rpo", "duration"),
        (f"[{RECIPIENT}]", "[age1short]", "keys", "not an age public key"),
        (TRUSTED, "ed25519:short", "keys", "not a public signing key"),
        (", min: 1", "", "databases.orders.invariants[0]", "exactly one of"),
        ("  orders:\n", "  Orders_1:\n", "databases.Orders_1", "lower-case"),
        (
            "    tier: gold",
            "    volume: 1kB\n    tier: gold",
            "databases.orders.volume",
            "at least 1MiB",
        ),
        ("databases:\n", "databases: []\nmore:\n", "databases", "expected a mapping"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, old: str, new: str, path: str, words: str) -> None:
    assert old in GOOD
    _found, problems = read(tmp_path, GOOD.replace(old, new, 1))
    assert any(each.startswith(f"{path}: ") and words in each for each in problems), problems
