"""Which kinds are there, and where is the code of each?

A kind stands in one visible table of strings ("tcp": "sre.probes.kinds.tcp:TcpProbe"). Nothing
registers itself, nothing is scanned; a kind's code is imported when the kind is used.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import import_module
from typing import Generic, TypeVar

from sre.core.errors import MissingExtra, UsageError

__all__ = ["Kinds"]

T = TypeVar("T")


class Kinds(Generic[T]):
    """A closed table from a kind's name to its class.

    Args:
        what: the noun for messages, e.g. "probe".
        table: name -> "module:Class".
        extras: name -> the extra of this package that installs what the kind imports.
    """

    def __init__(
        self, what: str, table: Mapping[str, str], extras: Mapping[str, str] | None = None
    ) -> None:
        self.what = what
        self._table = dict(table)
        self._extras = dict(extras or {})

    def names(self) -> tuple[str, ...]:
        """All names, sorted; loads nothing."""
        return tuple(sorted(self._table))

    def load(self, name: str) -> type[T]:
        """The class of one kind.

        Raises:
            UsageError: no such kind.
            MissingExtra: a third-party package that the kind imports is not installed.
        """
        if name not in self._table:
            close = difflib.get_close_matches(name, self._table, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            known = ", ".join(self.names())
            raise UsageError(f"unknown {self.what} kind {name!r}; known: {known}{hint}")
        module, _, attribute = self._table[name].partition(":")
        try:
            found: type[T] = getattr(import_module(module), attribute)
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] == "sre":
                raise
            extra = self._extras.get(name, "all")
            raise MissingExtra(
                f"{self.what} kind {name!r} needs the package {error.name!r}: "
                f"pip install 'sre[{extra}]'"
            ) from error
        return found
