"""What is in a store, if two lists of it agree?

A page that is missing makes a backup look like garbage, or a full one like nobody's parent.
"""

from __future__ import annotations

from sre.backup.objects import ObjectInfo, Storage
from sre.core.errors import Transient

__all__ = ["listed_twice"]

_ROUNDED = 2.0
_LOCKS = "v1/locks/"


def listed_twice(storage: Storage, now: float) -> list[ObjectInfo]:
    """Everything in a store at `now` (its clock). Raises Transient when two lists differ."""
    first = {each.key: each for each in storage.list("v1/")}
    second = {each.key: each for each in storage.list("v1/")}
    gone = [key for key in first if key not in second and not key.startswith(_LOCKS)]
    late = [
        key for key, each in second.items()
        if key not in first and each.modified is not None and each.modified < now - _ROUNDED
        and not key.startswith(_LOCKS)
    ]  # fmt: skip
    for key in (*gone, *late):
        raise Transient(
            f"two lists of the store differ ({key}): it leaves out objects, or somebody deletes; "
            "nothing was deleted, run it again"
        )
    return list(second.values())
