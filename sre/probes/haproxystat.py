"""What do HAProxy's own statistics say: processes, frontends, backends, servers? (pure)

The CSV of `show stat` and of the statistics page is one and the same; `show info` comes over the
runtime API alone.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ["Frontend", "NotStatistics", "Pool", "Row", "Server", "Snapshot", "number", "parse"]

Row = Mapping[str, str]

_OUT = ("maint", "drain", "nolb")


class NotStatistics(ValueError):
    """The text is something else."""


@dataclass(frozen=True, slots=True)
class Server:
    """One server of a backend.

    Attributes:
        state: `up`, `down`, `maint`, `drain`, `nolb`, or `unchecked` (no check: taken for up).
        why: HAProxy's short word for its last check, e.g. `L4CON`; empty without checks.
        row: HAProxy's own fields.
    """

    name: str
    state: str
    backup: bool
    why: str
    row: Row = field(repr=False)

    @property
    def serves(self) -> bool:
        """Whether it gets new requests."""
        return self.state in ("up", "unchecked")

    @property
    def is_out(self) -> bool:
        """Whether somebody took it out on purpose."""
        return self.state in _OUT


@dataclass(frozen=True, slots=True)
class Pool:
    """A backend with its servers."""

    name: str
    row: Row = field(repr=False)
    servers: tuple[Server, ...]

    @property
    def serving(self) -> int:
        """How many servers get new requests."""
        return sum(server.serves for server in self.servers)

    @property
    def queue(self) -> int:
        """Requests that wait for a place, at the backend and at single servers."""
        return sum(int(number(one, "qcur") or 0) for one in (self.row, *_rows(self.servers)))


@dataclass(frozen=True, slots=True)
class Frontend:
    """A frontend."""

    name: str
    row: Row = field(repr=False)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at one moment.

    Attributes:
        info: of the process; empty when the statistics page was asked.
    """

    pools: tuple[Pool, ...]
    frontends: tuple[Frontend, ...]
    info: Row

    def fullest(self) -> tuple[float, str]:
        """The highest share of sessions to their limit, and of what."""
        used = [_share(self.info, "CurrConns", "Maxconn", "the process")]
        used += [_share(one.row, "scur", "slim", f"frontend {one.name}") for one in self.frontends]
        for pool in self.pools:
            used += [
                _share(one.row, "scur", "slim", f"server {pool.name}/{one.name}")
                for one in pool.servers
            ]
        return max(used)


def number(row: Row, name: str, scale: float = 1.0) -> float | None:
    """A field as a number, None where HAProxy leaves it empty."""
    try:
        return float(row[name]) * scale
    except (KeyError, ValueError):
        return None


def parse(text: str) -> Snapshot:
    """`show info` (or nothing) followed by the CSV.

    Raises:
        NotStatistics: there is no such table.
    """
    info, mark, table = text.partition("# pxname,")
    if not mark:
        raise NotStatistics
    rows = [row for row in csv.DictReader(io.StringIO(f"pxname,{table}")) if row.get("svname")]
    if not rows:
        raise NotStatistics
    pools: dict[str, list[Server]] = {}
    heads: dict[str, Row] = {}
    frontends: dict[str, Frontend] = {}
    for row in rows:
        name, kind = str(row["pxname"]), row.get("type")
        if kind == "0":
            frontends[name] = Frontend(name, row)
        elif kind == "1":
            heads[name] = row
        elif kind == "2":
            pools.setdefault(name, []).append(_server(row))
    found = tuple(Pool(name, row, tuple(pools.get(name, ()))) for name, row in heads.items())
    return Snapshot(found, tuple(frontends.values()), _info(info))


def _server(row: Row) -> Server:
    last = (row.get("check_status") or "").removeprefix("* ")
    return Server(row["svname"], _state(row.get("status") or ""), row.get("bck") == "1", last, row)


def _state(status: str) -> str:
    """`UP 1/3` is up still, `DOWN 1/2` not yet; `MAINT (via b/s)`, `DRAIN (agent)` and so on."""
    if status == "no check":
        return "unchecked"
    word = status.partition(" ")[0].lower()
    return word if word in ("up", "down", *_OUT) else "down"


def _info(text: str) -> dict[str, str]:
    pairs = (line.partition(": ") for line in text.splitlines())
    return {name: value for name, colon, value in pairs if colon}


def _rows(servers: Iterable[Server]) -> list[Row]:
    return [server.row for server in servers]


def _share(row: Row, used: str, limit: str, what: str) -> tuple[float, str]:
    most = number(row, limit)
    return ((number(row, used) or 0.0) / most if most else 0.0, what)
