"""Which doings can a level have, and by which key is each known?"""

from __future__ import annotations

from collections.abc import Mapping

from sre.failover.degrade.doings.file import FileDoing
from sre.failover.degrade.doings.http import HttpDoing
from sre.failover.degrade.doings.map import MapDoing
from sre.failover.degrade.doings.rate import RateDoing
from sre.failover.degrade.doings.shed import ShedDoing
from sre.failover.degrade.model import Doing

__all__ = ["DOINGS"]

DOINGS: Mapping[str, type[Doing]] = {
    "http": HttpDoing,
    "file": FileDoing,
    "shed": ShedDoing,
    "rate": RateDoing,
    "map": MapDoing,
}
"""The first of these keys that an entry of `does:` has says what it is."""
