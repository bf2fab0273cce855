"""Does a dead mount cost one thread, and nobody else any time?"""

from __future__ import annotations

import threading
import time

from sre.probes.isolate import isolated


def test_what_comes_back_comes_back_and_what_hangs_is_left():
    release, calls = threading.Event(), []

    def dead() -> int:
        calls.append(1)
        release.wait(10)
        return 1

    def broken() -> int:
        raise OSError("no such mount")

    parts = {"dead": dead, "fine": lambda: 2, "broken": broken}
    began = time.monotonic()
    first = isolated(parts, 0.2)
    assert time.monotonic() - began < 4
    assert first == {"dead": "no answer in 0.2 s", "fine": 2, "broken": "OSError: no such mount"}
    second = isolated(parts, 0.2)
    assert second["dead"] == "still hanging"
    assert len(calls) == 1, "a call that hangs is not made again"
    release.set()
    time.sleep(0.1)
    assert isolated(parts, 1.0)["dead"] == 1
