"""What must be the same on all hosts, so that they send the same load?"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version

__all__ = ["versions"]


def versions() -> dict[str, str]:
    """Of sre and Locust exactly, of Python the minor: generators of random numbers differ."""
    found = {"python": f"{sys.version_info.major}.{sys.version_info.minor}"}
    for name in ("sre", "locust"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found
