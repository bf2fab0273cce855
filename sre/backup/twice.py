"""Is it damaged in the store, or was it only damaged on the way here? What is bad is read again.

TCP's checksum misses a turned byte now and then, a proxy may cut an answer short. Damage has
consequences (a quarantine, an older backup is taken instead), so it counts once two readings show
it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sre.core.errors import IntegrityError, Transient

__all__ = ["read_alike", "read_until_good", "read_until_sound"]

T = TypeVar("T")
_TRIES = 4


def read_alike(read: Callable[[], T]) -> T:
    """What two readings in a row say, where no hash is known. Raises Transient when none agree."""
    found = read()
    for _ in range(_TRIES):
        again = read()
        if again == found:
            return found
        found = again
    raise Transient("the store gives other bytes each time it is asked; run it again")


def read_until_good(read: Callable[[], T], good: Callable[[T], bool]) -> T:
    """What `read` gives; of a second reading where the first is not good. Raises as `read`."""
    found = read()
    return found if good(found) else read()


def read_until_sound(read: Callable[[], T]) -> T:
    """What `read` gives; IntegrityError is raised when a second reading ends so too."""
    try:
        return read()
    except IntegrityError:
        return read()
