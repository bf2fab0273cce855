"""What do tests of failovers ask of the documents that `sre failover` prints?"""

from __future__ import annotations

from typing import Any

__all__ = ["checks"]


def checks(document: Any) -> set[str]:
    """The checks that stand in the way."""
    return {str(each["check"]) for each in document["reasons"]}
