"""How do the switches before a cluster change while every millisecond counts? (effects)"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sre.core.clock import Deadline
from sre.core.errors import Transient
from sre.failover.clusters.common.together import all_of
from sre.failover.engine import Ground
from sre.failover.switches import Pausing, Settling, Traffic

__all__ = ["Switches"]


class Switches:
    """All switches of one cluster, each changed at run time first where it can."""

    def __init__(self, ground: Ground) -> None:
        self._all: Mapping[str, Traffic] = ground.switches
        self._servers = {node.name: node.server for node in ground.nodes}

    @property
    def some(self) -> bool:
        """Whether there are any."""
        return bool(self._all)

    @property
    def pausing(self) -> bool:
        """Whether one of them can let clients wait."""
        return any(isinstance(each, Pausing) for each in self._all.values())

    def close(self, node: str, deadline: Deadline, *, waiting: bool) -> None:
        """No work for a node; `waiting`: clients of those that can, wait, and keep their place."""
        self._on_all(
            lambda switch: _quick(switch).close(self._servers[node], deadline),
            but_pausing=waiting,
        )

    def cut(self, node: str, deadline: Deadline) -> None:
        """No work for a node that is being killed, or cannot be reached any more. Sessions that do
        not end are of no use to anybody; HAProxy cannot end one whose client has gone already
        while it waits for a server that says nothing."""

        def cut(switch: Traffic) -> None:
            server, quick = self._servers[node], _quick(switch)
            try:
                quick.close(server, deadline.within(3))
            except Transient:
                if _state_of(switch, server, deadline) not in ("closed", "draining"):
                    raise

        self._on_all(cut)

    def open(self, node: str, deadline: Deadline) -> None:
        """Work for a node again, in run time and file."""
        self._on_all(lambda switch: switch.open(self._servers[node], deadline))

    def repoint(self, node: str, deadline: Deadline) -> None:
        """All work to one node, at run time. All others are known to be down, or standbys: their
        sessions that do not end hold nothing up."""

        def repoint(switch: Traffic) -> None:
            server, quick = self._servers[node], _quick(switch)
            try:
                quick.repoint(server, deadline.within(2))
            except Transient:
                states = {each.name: each.state for each in switch.look(deadline).servers}
                others = [state for name, state in states.items() if name != server]
                if not set(others) <= {"closed", "draining"}:
                    raise
                quick.open(server, deadline)

        self._on_all(repoint)

    def point(self, node: str, deadline: Deadline) -> None:
        """All work to one node, where it is not so."""

        def point(switch: Traffic) -> None:
            server = self._servers[node]
            if switch.look(deadline).open() != (server,):
                _quick(switch).repoint(server, deadline)

        self._on_all(point)

    def settle(self, deadline: Deadline) -> None:
        """What run time has, files say as well."""

        def settle(switch: Traffic) -> None:
            if isinstance(switch, Settling):
                switch.settle(deadline)

        self._on_all(settle)

    def pause(self, deadline: Deadline) -> None:
        """Clients wait."""

        def pause(switch: Traffic) -> None:
            if isinstance(switch, Pausing):
                switch.pause(deadline)

        self._on_all(pause)

    def resume(self, deadline: Deadline) -> None:
        """Clients go on."""

        def resume(switch: Traffic) -> None:
            if isinstance(switch, Pausing):
                switch.resume(deadline)

        self._on_all(resume)

    def _on_all(self, act: Callable[[Traffic], None], *, but_pausing: bool = False) -> None:
        def one(switch: Traffic) -> Callable[[], None]:
            return lambda: act(switch)

        meant = {
            name: one(switch)
            for name, switch in self._all.items()
            if not (but_pausing and isinstance(switch, Pausing))
        }
        all_of(meant)


def _state_of(switch: Traffic, server: str, deadline: Deadline) -> str:
    states = {each.name: each.state for each in switch.look(deadline).servers}
    return states.get(server, "unknown")


def _quick(switch: Traffic) -> Traffic:
    return switch.quick() if isinstance(switch, Settling) else switch
