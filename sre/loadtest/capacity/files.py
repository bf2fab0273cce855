"""How does the result of a search reach the disk, and those who plan with it?"""

from __future__ import annotations

import json
from pathlib import Path

from sre.core.errors import SreError
from sre.core.facts import Facts
from sre.core.files import replace_file
from sre.core.metrics import CATALOGUE
from sre.core.secrets import redactor
from sre.loadtest.capacity.page import render_page
from sre.loadtest.capacity.render import to_plain, to_value
from sre.loadtest.capacity.result import Found

__all__ = ["NAMES", "metrics_text", "publish", "write_found"]

NAMES = ("capacity.json", "capacity.html", "metrics.prom")


def write_found(found: Found, out: Path) -> str:
    """Write capacity.html, metrics.prom and, last, capacity.json, each in one step.

    Returns what went wrong, in words; empty when all of them stand.
    """
    texts = {
        "capacity.html": render_page(found),
        "metrics.prom": metrics_text(found),
        "capacity.json": json.dumps(to_plain(found), indent=2) + "\n",
    }
    try:
        for name, text in texts.items():
            if text:
                replace_file(out / name, redactor.mask(text).encode(), mode=0o644)
    except OSError as error:
        return f"the result could not be written to {out}: {error.strerror}; make room, run again"
    return ""


def publish(found: Found, facts: Facts) -> str:
    """Let the forecasts know a confirmed capacity. Returns what went wrong, in words."""
    if not found.confirmed:
        return ""
    try:
        facts.publish(f"loadtest/capacity/{found.name}", to_value(found))
    except SreError as error:
        return f"the capacity could not be published: {error}"
    return ""


def metrics_text(found: Found) -> str:
    """The proven capacity for a textfile collector; empty when none was proven."""
    rates = found.per_second(found.held) if found.confirmed else None
    if not rates:
        return ""
    name = "sre_loadtest_capacity_arrivals_per_second"
    lines = [
        f"# HELP {name} {CATALOGUE[name].help}",
        f"# TYPE {name} gauge",
        *(
            f'{name}{{test="{_label(found.name)}",journey="{_label(journey)}"}} {rate!r}'
            for journey, rate in rates.items()
        ),
    ]
    return "\n".join(lines) + "\n"


def _label(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
