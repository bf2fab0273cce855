"""Does the page on adding a probe show what is really in the repository?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sre.probes.kinds import KINDS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/how-to-add-a-probe.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\w+ file=(\S+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(("file", "block"), BLOCKS)
def test_every_block_is_in_its_file(file, block):
    assert block in (ROOT / file).read_text(encoding="utf-8")


def test_the_four_touches_are_shown_for_a_real_kind():
    assert {file for file, _ in BLOCKS} >= {
        "sre/probes/kinds/tcp.py",
        "sre/probes/kinds/__init__.py",
        "examples/kinds/tcp.yaml",
        "tests/contracts/kinds/tcp.py",
    }


def test_named_files_exist():
    for file in re.findall(r"`((?:sre|tests|examples|docs)/[\w/.-]+)`", PAGE):
        assert (ROOT / file).exists(), file


@pytest.mark.parametrize("kind", KINDS.names())
def test_every_kind_has_an_example(kind):
    assert (ROOT / "examples" / "kinds" / f"{kind}.yaml").exists()
