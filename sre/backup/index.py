"""How does a list not read every manifest from the store again?

One SQLite file of this machine with what was read and believed before: each object with its
signature, checked again whenever it is taken out, so that nobody gains by writing to it. It is a
cache: two processes may use it at once, and whatever is wrong with it, it is left out or made anew.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

__all__ = ["Entry", "Index"]

_FILE = "signed.sqlite"
_WAIT_SECONDS = 5.0
_TABLE = (
    "create table if not exists signed (key text primary key, "
    "data blob not null, signature blob not null, stamp text not null) without rowid"
)

T = TypeVar("T")


class Entry(NamedTuple):
    """An object and its signature.

    Attributes:
        stamp: sizes and times of both in the store's list; empty where no list was taken.
    """

    data: bytes
    signature: bytes
    stamp: str = ""


@dataclass(frozen=True)
class Index:
    """The cache in one folder. No method raises for what is wrong with it."""

    folder: Path

    @property
    def file(self) -> Path:
        """The database; it may be removed at any time."""
        return self.folder / _FILE

    def recall(self, prefix: str) -> dict[str, Entry]:
        """Everything whose key begins with `prefix`, not yet believed."""
        if not self.file.exists():
            return {}
        rows = self._do(
            lambda database: database.execute(
                "select key, data, signature, stamp from signed where key >= ? and key < ?",
                (prefix, prefix + "\U0010ffff"),
            ).fetchall()
        )
        return {
            key: Entry(data, signature, str(stamp))
            for key, data, signature, stamp in rows or []
            if isinstance(key, str) and isinstance(data, bytes) and isinstance(signature, bytes)
        }

    def remember(self, entries: Iterable[tuple[str, Entry]]) -> None:
        """Keep what was believed, in one step; without a stamp only what is new here."""
        rows = [(key, *entry) for key, entry in entries]
        if rows:
            self._do(
                lambda database: database.executemany(
                    "insert into signed values (?, ?, ?, ?) on conflict (key) do update set "
                    "data = excluded.data, signature = excluded.signature, "
                    "stamp = excluded.stamp where excluded.stamp <> ''",
                    rows,
                )
            )

    def forget(self, keys: Iterable[str]) -> None:
        """Take objects out that are gone."""
        gone = [(key,) for key in keys]
        if gone and self.file.exists():
            self._do(
                lambda database: database.executemany("delete from signed where key = ?", gone)
            )

    def _do(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """One transaction; None when it did not come about. What is no index makes room."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(self.file, timeout=_WAIT_SECONDS)) as database:
                database.execute("pragma synchronous = off")
                database.execute(_TABLE)
                with database:
                    return work(database)
        except (sqlite3.OperationalError, OSError):
            return None  # busy, full, not ours to read: the store is asked instead
        except sqlite3.DatabaseError:
            with contextlib.suppress(OSError):
                self.file.unlink()
            return None
