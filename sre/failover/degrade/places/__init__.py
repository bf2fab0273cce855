"""Which places are there, and how does a note become one again?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sre.core.errors import IntegrityError
from sre.failover.degrade.model import Place
from sre.failover.degrade.places.live import MapLive
from sre.failover.degrade.places.mapfile import MapFile
from sre.failover.degrade.places.request import Sent
from sre.failover.degrade.places.wholefile import WholeFile

__all__ = ["place_from"]

_PLACES: Mapping[str, Callable[[Mapping[str, Any]], Place]] = {
    "map-file": MapFile.from_note,
    "map-live": MapLive.from_note,
    "file": WholeFile.from_note,
    "request": Sent.from_note,
}


def place_from(note: Mapping[str, Any]) -> Place:
    """The place that wrote `note`.

    Raises:
        IntegrityError: it is none.
    """
    try:
        return _PLACES[str(note["place"])](note)
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(f"the record of degrade levels names no place: {error!r}") from error
