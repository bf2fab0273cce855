"""Is an objective that makes no sense refused, with a cure?"""

from __future__ import annotations

from dataclasses import replace

import pytest

from sre.core.units import Duration, Share
from sre.slo.model import Objective

GOOD = Objective("fast", Share(0.99), "shop", journey="checkout", below=Duration(2.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "no spaces"}, "letter or _"),
        ({"name": ""}, "letter or _"),
        ({"owner": " "}, "who answers"),
        ({"target": Share(1.0)}, "below 100%"),
        ({"target": Share(0.0)}, "above 0%"),
        ({"journey": None}, "exactly one"),
        ({"probe": "home"}, "exactly one"),
        ({"journey": None, "step": "pay"}, "JOURNEY/STEP"),
        ({"journey": None, "step": "checkout/"}, "JOURNEY/STEP"),
        ({"below": Duration(0.0)}, "longer than 0"),
        ({"window": Duration(60.0)}, "1h to 90d"),
        ({"window": Duration(91 * 86400.0)}, "1h to 90d"),
    ],
)
def test_nonsense_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(GOOD, **change)


def test_what_it_is_about():
    assert GOOD.is_latency
    assert GOOD.subject == "checkout"
    step = replace(GOOD, journey=None, step="checkout/pay", below=None)
    assert step.subject == "checkout/pay"
    assert not step.is_latency
    assert (GOOD.window, GOOD.severity) == (30 * 86400.0, "page")
