"""Do many probes stay on time for minutes? (benchmarks/soak_probes.py, smaller)"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.alone

SOAK = Path(__file__).parents[2] / "benchmarks" / "soak_probes.py"


@pytest.mark.long
@pytest.mark.timeout(240)
def test_two_thousand_targets_for_two_minutes() -> None:
    words = ["--targets", "2000", "--every", "20", "--minutes", "2"]
    done = subprocess.run(
        [sys.executable, str(SOAK), *words], capture_output=True, text=True, check=True
    )
    seen = json.loads(done.stdout.splitlines()[-1])["sizes"]
    assert seen["never_asked"] == seen["skipped"] == seen["failed"] == 0
    assert seen["starts"] >= 2000 * 5
    assert 70 <= seen["starts_per_s_median"] <= 130
    assert seen["starts_per_s_max"] <= 200
    assert seen["drift_ms_p50"] < 20
    assert seen["drift_ms_max"] < 1000, "late, perhaps, on a busy machine; not later each round"
    assert seen["lag_ms_p50"] < 50
    assert seen["rss_mib_max"] < 250
