"""Is the report of a load test readable in a real browser, whatever it has to say?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sre.loadtest.output.render_html import render_html
from tests.servers.chromium import PageFacts
from tests.unit.loadtest.gallery import GALLERY, gallery_report

pytestmark = pytest.mark.chromium


def page_of(kind: str, folder: Path) -> Path:
    at = 7.2 if kind == "running" else None
    page = folder / "report.html"
    page.write_text(render_html(gallery_report(kind, folder), at), encoding="utf-8")
    return page


@pytest.mark.parametrize("kind", GALLERY)
def test_the_page_fits_and_asks_for_nothing(
    kind: str, tmp_path: Path, page_facts: Callable[..., PageFacts]
) -> None:
    page = page_of(kind, tmp_path)
    for width in (400, 1280):
        facts = page_facts(page, width)
        assert facts.scroll_width <= facts.inner_width, (width, facts.too_wide)
        assert facts.errors == []
        assert [url for url in facts.requested if not url.startswith("file:")] == []
    assert "Every customer accounted for" in facts.inner_text
    assert "undefined" not in facts.inner_text
    assert "nan" not in facts.inner_text.lower().split()
