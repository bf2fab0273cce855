"""What does a running HAProxy say of its servers, and how is it told what to do?

One connection for each exchange: changes and questions travel together, so that a change and the
proof of it cost one round trip (well below a millisecond on the machine itself).
"""

from __future__ import annotations

import csv
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, Transient
from sre.failover.switches import Server, State

__all__ = ["Held", "Live", "ask", "check_address", "end_old", "old_sessions", "parse", "tell"]

_LIMIT = 64 * 2**20
_PORT = re.compile(r"(\[[^\]]+\]|[^:/\[\]]+):(\d{1,5})")
_MAINTAINED, _DRAINED = 0x23, 0x18  # srv_admin_state; 0x04 only says that the file had `disabled`
_FORCED = 0x09  # maintenance or drain by command, the part of the flags that a file can say
_RELOADING = 1.0
_WORKER = re.compile(r"^(\d+)\s+worker\b", re.MULTILINE)
_SESSION = re.compile(r"^(0x[0-9a-f]+): .*?\bbe=(\S+) srv=(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Live:
    """One server of one backend at run time.

    Attributes:
        initial: the weight that it was started with.
        off: whether it was put into maintenance or drain here, and not by DNS or by what it tracks.
        steered: whether an agent on the server decides its weight.
    """

    backend: str
    server: Server
    initial: int = 1
    off: bool = False
    steered: bool = False


@dataclass(frozen=True)
class Held:
    """One session of a worker that a reload left behind, and the BACKEND/SERVER that it is at."""

    worker: int
    session: str
    place: str


def check_address(text: str) -> None:
    """Raises ValueError unless `text` is a path or HOST:PORT."""
    if "/" not in text and not _PORT.fullmatch(text):
        raise ValueError(f"{text!r} is neither the path of a socket nor HOST:PORT")


def ask(address: str, command: str, deadline: Deadline) -> str:
    """What HAProxy answers to a line of commands, separated by `;`.

    Raises:
        Transient: nobody listens, or no whole answer came by the deadline.
    """
    try:
        with closing(_connected(address, deadline)) as raw:
            raw.sendall(f"{command}\n".encode())
            raw.shutdown(socket.SHUT_WR)  # the master's socket would wait for more
            return _answer(raw, deadline).decode("utf-8", "replace")
    except OSError as error:
        why = "it does not answer" if isinstance(error, TimeoutError) else error.strerror or error
        raise Transient(
            f"HAProxy at {address}: {why}; does it run, and is this its `stats socket`?"
        ) from error


def tell(
    address: str, changes: Sequence[str], backends: Sequence[str], deadline: Deadline
) -> tuple[Live, ...]:
    """Make changes, then look at all servers of `backends`, in one exchange.

    Raises:
        Transient: as `ask` does. After a change was sent it may have been made.
        CheckFailed: HAProxy refused a change, or has no such backend; its words.
    """
    questions = [f"show servers state {each};show stat {each} 4 -1" for each in backends]
    return parse(ask(address, ";".join([*changes, *questions]), deadline), backends)


def old_sessions(master: str, backends: Sequence[str], deadline: Deadline) -> tuple[Held, ...]:
    """What workers that a reload left behind still hold, as the master's socket says.

    Raises:
        Transient: as `ask` does.
    """
    _, _, rest = _asked_again(master, "show proc", deadline).partition("# old workers")
    pids = _WORKER.findall(rest.partition("# programs")[0])
    return tuple(
        Held(int(pid), found[1], f"{found[2]}/{found[3]}")
        for pid in pids
        for found in _SESSION.finditer(_of_old(master, f"@!{pid} show sess", deadline))
        if found[2] in backends
    )


def _of_old(master: str, command: str, deadline: Deadline) -> str:
    """What an old worker says; one that has ended meanwhile says nothing, and has nothing."""
    try:
        return ask(master, command, deadline)
    except Transient:
        ask(master, "show proc", deadline)  # the master itself answers, else it is away
        return ""


def _asked_again(master: str, command: str, deadline: Deadline) -> str:
    """While it reloads, the master's socket is away for a moment."""
    patience = deadline.within(_RELOADING)
    while True:
        try:
            return ask(master, command, deadline)
        except Transient:
            if patience.passed():
                raise
            deadline.clock.sleep(0.01)


def end_old(master: str, held: Iterable[Held], deadline: Deadline) -> None:
    """End sessions of old workers one by one: those refuse every other change."""
    for each in held:
        _of_old(master, f"@!{each.worker} shutdown session {each.session}", deadline)


def parse(text: str, backends: Sequence[str]) -> tuple[Live, ...]:
    """Servers out of `show servers state` and `show stat`, by the names of their columns (pure).

    Raises:
        CheckFailed: the text has other words than that.
    """
    states: dict[tuple[str, str], Mapping[str, str]] = {}
    statistics: dict[tuple[str, str], Mapping[str, str]] = {}
    heads: list[str] = []
    refused = []
    for line in text.splitlines():
        if line.startswith("# ") and ("srv_name" in line or "svname" in line):
            heads = re.split(r"[ ,]", line[2:])
        elif "srv_name" in heads and len(line.split(" ")) >= len(heads):
            row = dict(zip(heads, line.split(" "), strict=False))
            states[row.get("be_name", ""), row.get("srv_name", "")] = row
        elif "svname" in heads and "," in line:
            row = dict(zip(heads, next(csv.reader([line])), strict=False))
            statistics[row["pxname"], row.get("svname", "")] = row
        elif line.strip() and not line.strip().isdigit():  # the format's number
            refused.append(line.strip())
    if refused:
        raise CheckFailed(_cure(refused, backends))
    return tuple(_live(row, statistics.get(key, {})) for key, row in states.items())


def _live(row: Mapping[str, str], statistics: Mapping[str, str]) -> Live:
    flags, weight = int(row["srv_admin_state"]), int(row["srv_uweight"])
    sessions = int(statistics["scur"]) if statistics.get("scur", "").isdigit() else None
    maintained = bool(flags & _MAINTAINED)
    host, port = row.get("srv_addr", "-"), row.get("srv_port", "0")
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    server = Server(
        name=row["srv_name"],
        address=statistics.get("addr") or address,
        state=_state(flags, weight, sessions),
        healthy=None if maintained else _healthy(row),
        sessions=sessions,
        weight=weight,
    )
    steered = bool(int(row.get("srv_agent_state", "0")) & 2)
    return Live(row["be_name"], server, int(row["srv_iweight"]), bool(flags & _FORCED), steered)


def _state(flags: int, weight: int, sessions: int | None) -> State:
    if flags & _MAINTAINED:
        return "closed" if not sessions else "draining"
    return "draining" if flags & _DRAINED or weight == 0 else "open"


def _healthy(row: Mapping[str, str]) -> bool | None:
    if row["srv_op_state"] == "0":
        return False
    return True if int(row.get("srv_check_state", "0")) & 2 else None


def _cure(refused: Sequence[str], backends: Sequence[str]) -> str:
    words = "; ".join(dict.fromkeys(refused))[:300]
    if "ermission denied" in words:
        return (
            f"HAProxy refuses ({words}): its socket needs `level admin` "
            "(stats socket … level admin)"
        )
    if "backend" in words or "proxy" in words:
        return f"HAProxy says {words!r}; `backend` says {', '.join(backends)}"
    return f"HAProxy says {words!r}"


def _connected(address: str, deadline: Deadline) -> socket.socket:
    if deadline.passed():
        raise TimeoutError
    if "/" in address:
        raw = socket.socket(socket.AF_UNIX)
        raw.settimeout(deadline.left())
        try:
            raw.connect(address)
        except OSError:
            raw.close()
            raise
        return raw
    found = _PORT.fullmatch(address)
    host, port = (found[1].strip("[]"), int(found[2])) if found else (address, 0)
    return socket.create_connection((host, port), timeout=deadline.left())


def _answer(raw: socket.socket, deadline: Deadline) -> bytes:
    """Everything until HAProxy hangs up, which it does after each line of commands."""
    chunks, size = [], 0
    while size < _LIMIT:
        if deadline.passed():
            raise TimeoutError
        raw.settimeout(deadline.left())
        chunk = raw.recv(65536)
        if not chunk:
            break
        chunks.append(chunk)
        size += len(chunk)
    if not size:
        raise OSError("it hung up without an answer")
    return b"".join(chunks)
