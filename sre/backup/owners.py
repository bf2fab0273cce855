"""Which leases may this machine still hold in a store, though nobody here works under them?

A note beside the lock of each operation, a line for each owner that may stand in the store. It is
written before a lease is asked for, so that a kill at any moment leaves no lease that the next run
here would have to wait for. Read only under that lock: who holds it knows that they are dead.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sre.backup.model import Declared
from sre.core.files import replace_file
from sre.core.lock import boot_id

__all__ = ["owners_file", "owners_in", "write_owners"]

_MOST = 32


def owners_file(state: Path, declared: Declared, op: str) -> Path:
    """Where the note of an operation on a database stands."""
    return state / "locks" / f"lease-{declared.store_name}-{op}-{declared.name}"


def owners_in(note: Path) -> tuple[str, ...]:
    """Of this boot of this machine: a copied state folder says nothing of the original."""
    try:
        lines = [line.split() for line in note.read_text(encoding="ascii").splitlines()]
    except (OSError, ValueError):
        return ()
    here = boot_id()
    return tuple(each[0] for each in lines if len(each) == 2 and each[1] == here)


def write_owners(note: Path, owners: Sequence[str]) -> None:
    """Replace the note. The first held the lease for sure; of those that only may, the newest."""
    kept = owners if len(owners) <= _MOST else (owners[0], *owners[1 - _MOST :])
    here = boot_id()
    replace_file(note, "".join(f"{each} {here}\n" for each in kept).encode())
