"""How are small records made that come by the ten thousand a second?

`record` is `dataclass(frozen=True, slots=True)` to whoever checks types, and so nobody may write to
one. At run time nothing guards it: the guard costs more than all the rest of making one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["record"]

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:
    from dataclasses import dataclass

    def record(*, frozen: bool, slots: bool):  # noqa: ANN201
        """A class decorator; `frozen` is for the type checker."""
        return dataclass(slots=slots, unsafe_hash=frozen)
