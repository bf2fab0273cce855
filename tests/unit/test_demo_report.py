"""Does the demo's report say what happened, and can it be read on a telephone?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sre.demo.act import Act
from sre.demo.loop import Numbers
from sre.demo.report import render

NUMBERS = Numbers(damaged_at=1000.0, detection=3.1, rto=16.9, rpo=53.0, restore_rto=0.8)
SEEN = [(990.0 + i, min(i, 11), max(0, i - 11)) for i in range(30)]


def acts(*, broken: bool = False) -> list[Act]:
    good = Act(
        "The <gate>", "sre loadtest run release", 0, 0, 17.0, ("a < b",), {"verdict": "passed"}
    )
    return [good, Act("The runbook", "sre runbook run x", 0, 8 if broken else 0, 11.0)]


def test_the_verdict_comes_first_with_the_numbers() -> None:
    page = render(acts(), NUMBERS, SEEN, "http://127.0.0.1:18080")
    assert page.index("The loop held") < page.index("16.90 s") < page.index("Act by act")
    assert "The damage came at 10 s, the page 3.1 s later." in page
    assert "The &lt;gate&gt;" in page
    assert "a &lt; b" in page


def test_an_act_that_went_wrong_is_named() -> None:
    page = render(acts(broken=True), Numbers(), [], "shop")
    assert "The loop did not hold" in page
    assert "not as planned: exit 0 was expected" in page
    assert "The damage was not mended." in page


def test_it_fits_a_telephone_and_asks_nobody_for_anything(
    tmp_path: Path, page_facts: Callable[..., Any]
) -> None:
    path = tmp_path / "report.html"
    path.write_text(render(acts(), NUMBERS, SEEN, "http://127.0.0.1:18080"))
    for width in (400, 1280):
        facts = page_facts(path, width)
        assert not facts.overflows
        assert not facts.errors
        assert all(address.startswith(("file:", "data:")) for address in facts.requested)
