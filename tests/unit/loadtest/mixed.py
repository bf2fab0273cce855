"""What do the tests of mixes from logs share?"""

from __future__ import annotations

from pathlib import Path

from sre.core.accesslog import Entry
from sre.core.logvisitor import visitor_reader
from sre.journey.model import Journey
from sre.loadtest.mix.steps import Map
from sre.loadtest.mix.tally import Rules, Tally
from sre.settings import load_settings

__all__ = ["BASE", "JOURNEYS", "SHOP", "add", "journeys_of", "tally_of"]

SHOP = "https://shop.example.com"
JOURNEYS = """
journeys:
  browse:
    steps:
      - {name: home, get: /}
      - {name: product, get: "/p/${choice:mug,shirt}", repeat: 2..4}
  checkout:
    steps:
      - {name: product, get: /p/mug}
      - {name: add, post: /cart, form: {sku: mug}, follow: false, expect: {status: 302}}
      - {name: cart, get: /cart}
      - {name: pay, post: /checkout, form: {card: test}}
"""
BASE = 1_763_800_000


def journeys_of(folder: Path, text: str) -> dict[str, Journey]:
    (folder / "sre.yaml").write_text(f"version: 1\nshop: {{name: s, base_url: {SHOP}}}\n{text}")
    return dict(load_settings(folder / "sre.yaml").journeys)


def tally_of(found: Map, **rules: bool) -> Tally:
    wanted = frozenset(pair for pairs in found.pauses().values() for pair in pairs)
    return Tally(found, Rules(**rules), b"k" * 32, visitor_reader("combined"), wanted)


def add(tally: Tally, at: float, page: str, who: str = "1.2.3.4", status: int = 200) -> None:
    method, path = page.split()
    tally.add(Entry(BASE + at, method, path, status, None, 1, "Mozilla/5.0"), BASE + at, f"{who} -")
