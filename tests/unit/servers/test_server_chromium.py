"""Are pictures of the asked size, and are overflow and errors of a page found?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers.chromium import PageFacts, Screenshot
from tests.servers.hostile import Hostile

GOOD = (
    "<!doctype html><title>fine</title><style>body{margin:0}"
    "@media (prefers-color-scheme: dark){body{background:#000}}</style>"
    "<p>good words</p><div style='height:1500px'></div>"
)
BAD = """<!doctype html><title>bad</title><div id="w" class="a b" style="width:900px">wide</div>
<script>console.error("shouted", 7); setTimeout(() => { document.title = "later" }, 100);
throw new Error("broke")</script>"""


def size(png: Path) -> tuple[int, int]:
    data = png.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def test_a_picture_of_the_window_and_of_the_whole_page(
    screenshot: Screenshot, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    page.write_text(GOOD, encoding="utf-8")
    assert size(screenshot(page, 1280, 600, out=tmp_path / "a.png")) == (1280, 600)
    wide, high = size(screenshot(page.as_uri(), 400, out=tmp_path / "b.png"))
    assert wide == 400
    assert 1500 <= high < 1700


def test_dark_is_another_picture(screenshot: Screenshot, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(GOOD, encoding="utf-8")
    light = screenshot(page, 400, 300, out=tmp_path / "light.png").read_bytes()
    assert screenshot(page, 400, 300, out=tmp_path / "dark.png", dark=True).read_bytes() != light


def test_a_good_page_has_nothing_to_complain_of(
    page_facts: Callable[..., PageFacts], tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    page.write_text(GOOD, encoding="utf-8")
    facts = page_facts(page, 400)
    assert (facts.title, facts.inner_width, facts.scroll_width) == ("fine", 400, 400)
    assert "good words" in facts.inner_text
    assert not facts.overflows
    assert facts.errors == []
    assert facts.too_wide == []
    assert facts.requested == [page.as_uri()]


def test_overflow_and_errors_are_found(
    page_facts: Callable[..., PageFacts], tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    page.write_text(BAD, encoding="utf-8")
    facts = page_facts(page, 400, ready="document.title == 'later'")
    assert facts.overflows
    assert facts.scroll_width >= 900
    assert facts.too_wide == ["div#w.a.b"]
    assert any("broke" in one for one in facts.errors)
    assert "console: shouted 7" in facts.errors
    assert facts.title == "later"


def test_pages_of_a_server_and_their_missing_parts(
    page_facts: Callable[..., PageFacts], hostile: Hostile
) -> None:
    facts = page_facts(hostile.url + "/", 800)
    assert facts.inner_text == "hello"
    assert facts.errors == []
    assert any("404" in one for one in page_facts(hostile.url + "/nothing", 800).errors)
    with pytest.raises(AssertionError, match="could not open"):
        page_facts("http://127.0.0.1:1/", 800)
