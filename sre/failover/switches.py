"""What can be done to the traffic in front of a cluster: who gets it, who does not, who waits?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from sre.core.clock import Deadline

__all__ = ["Pausing", "Server", "Settling", "Traffic", "Way", "Weighing"]

State = Literal["open", "draining", "closed", "unknown"]
"""open: takes new work. draining: keeps its sessions, takes none. closed: has none."""


@dataclass(frozen=True)
class Server:
    """One server behind a switch.

    Attributes:
        name: as the switch calls it; a node's `server` says the same.
        address: host:port it sends to.
        state: at run time, now.
        configured: in the switch's file, which decides after a reload; `unknown` without one.
        healthy: whether the switch's own check passes; None when it does not check.
        sessions: established ones; None when the switch cannot tell.
        weight: its share of new work; None when the switch knows no weights.
    """

    name: str
    address: str
    state: State
    configured: State = "unknown"
    healthy: bool | None = None
    sessions: int | None = None
    weight: int | None = None


@dataclass(frozen=True)
class Way:
    """What a switch said of itself.

    Attributes:
        servers: in its own order.
        problems: what differs from what it should be, such as file and run time.
        maintenance: whether it shows the maintenance page.
        notes: what to know and not to mend, such as how long clients may keep an old address.
    """

    servers: tuple[Server, ...]
    problems: tuple[str, ...] = ()
    maintenance: bool = False
    notes: tuple[str, ...] = ()

    def open(self) -> tuple[str, ...]:
        """The names of the servers that take new work."""
        return tuple(each.name for each in self.servers if each.state == "open")


class Traffic(Protocol):
    """A kind of `traffic:`; its fields are its configuration.

    Every method may raise Transient (the switch does not answer) and CheckFailed (it refused; its
    words). What changes something changes run time and file, so that a reload keeps it, and
    may be called again: it brings about a state.
    """

    def look(self, deadline: Deadline) -> Way:
        """What it does now; touches nothing."""
        ...

    def close(self, server: str, deadline: Deadline) -> None:
        """No new work for `server`, and end the sessions that it has; returns when both hold."""
        ...

    def drain(self, server: str, deadline: Deadline) -> None:
        """No new work for `server`; its sessions go on."""
        ...

    def open(self, server: str, deadline: Deadline) -> None:
        """`server` takes work (again)."""
        ...

    def repoint(self, server: str, deadline: Deadline) -> None:
        """`server` alone takes work; all others are closed."""
        ...


@runtime_checkable
class Pausing(Protocol):
    """A switch that can let clients wait, so that they see a delay and no error."""

    def pause(self, deadline: Deadline) -> None:
        """Clients wait; returns once no work is under way behind it.

        Raises Transient when work did not end by the deadline; clients then no longer wait.
        """
        ...

    def resume(self, deadline: Deadline) -> None:
        """Clients go on. Idempotent."""
        ...


@runtime_checkable
class Settling(Protocol):
    """A switch whose run time changes in a moment and whose file takes longer (it is checked).

    Where every millisecond is one in which nobody can write, change `quick()` first and `settle`
    once the work goes on; until then a reload would bring the old state back.
    """

    def quick(self) -> Traffic:
        """The same switch; what changes it changes run time alone."""
        ...

    def settle(self, deadline: Deadline) -> None:
        """Write into the file what run time has now. Idempotent."""
        ...


@runtime_checkable
class Weighing(Protocol):
    """A switch that shares work by weight, and can show a maintenance page."""

    def weigh(self, server: str, weight: int, deadline: Deadline) -> None:
        """`server` gets `weight` parts of new work."""
        ...

    def maintain(self, on: bool, deadline: Deadline) -> None:  # noqa: FBT001  a state, not a mode
        """Show the maintenance page to everybody, or no longer."""
        ...
