"""How does a process that probes all day keep the interpreter's own work out of its times?"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["tuned"]

_ALLOCATIONS = 20_000
_SWITCH = 0.0002


@contextmanager
def tuned() -> Iterator[None]:
    """Settings of the interpreter, put back at the end.

    - What is there already will stay, so the collector need not look at it again and again; a run
      leaves no cycles behind, so it need not look often either.
    - A thread that computes (a scrape, say) gives way within a fifth of a millisecond: the answer
      of a probe waits no longer than that to be noticed.
    """
    thresholds, switch = gc.get_threshold(), sys.getswitchinterval()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, *thresholds[1:])
    sys.setswitchinterval(min(switch, _SWITCH))
    try:
        yield
    finally:
        sys.setswitchinterval(switch)
        gc.set_threshold(*thresholds)
        gc.unfreeze()
