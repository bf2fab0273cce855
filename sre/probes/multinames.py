"""How are names resolved for a loop that must not wait? In threads, each one once at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from sre.journey.guard import Admission, Blocked, Guard, Unresolved
from sre.probes.crew import Crew
from sre.probes.httphop import Way

__all__ = ["Found", "Names", "Place"]

Place = tuple[str, int, tuple[int, ...]]
"""Host, port and wanted address families."""

Found = Admission | Blocked | Unresolved

_FRESH = 1.0
"""Seconds for which an answer is used again; it then has no resolve phase, for nobody asked."""

_MANY = 20_000


class Names:
    """Asks the allow-list's resolver; a name that hangs holds up those who ask for it alone.

    Args:
        deliver: hands a call over to the loop's thread.
    """

    def __init__(self, crew: Crew, deliver: Callable[[Callable[[], None]], None]) -> None:
        self._crew, self._deliver = crew, deliver
        self._asking: dict[tuple[Guard, Place], list[Callable[[Found, float], None]]] = {}
        self._known: dict[Place, Way] = {}
        self._guard: Guard | None = None
        self._fresh: dict[tuple[Guard, Place], tuple[float, Admission]] = {}

    def at_once(self, guard: Guard, place: Place, now: float) -> Way | None:
        """The way to an address that needs no DNS; None where it has to be asked.

        Raises:
            Blocked, Unresolved: as the allow-list says.
        """
        if guard is not self._guard or len(self._known) > _MANY:
            self._guard, self._known = guard, {}
        way = self._known.get(place)
        if way is None and not guard.asks(place[0], place[1]):
            admission = guard.admit(place[0], place[1], None, place[2])
            if admission.seconds is not None:
                return Way(admission)
            way = self._known[place] = Way(admission)
        if way is None:
            fresh = self.fresh(guard, place, now)
            way = Way(fresh) if fresh is not None else None
        return way

    def fresh(self, guard: Guard, place: Place, now: float) -> Admission | None:
        """The answer of a moment ago, if there is one."""
        known = self._fresh.get((guard, place))
        return known[1] if known is not None and now < known[0] else None

    def ask(self, guard: Guard, place: Place, then: Callable[[Found, float], None]) -> None:
        """Tell `then`, in the loop's thread, what was found and when."""
        waiting = self._asking.get((guard, place))
        if waiting is not None:
            waiting.append(then)
            return
        self._asking[guard, place] = [then]
        self._crew.do(lambda: self._look(guard, place))

    def _look(self, guard: Guard, place: Place) -> None:
        host, port, families = place
        found: Found
        try:
            found = guard.admit(host, port, None, families)
        except (Blocked, Unresolved) as error:
            found = error
        except Exception as error:  # noqa: BLE001  a resolver's bug must not keep all who wait
            found = Unresolved(f"{host}: resolving failed: {type(error).__name__}")
        at = time.monotonic()
        self._deliver(lambda: self._tell(guard, place, found, at))

    def _tell(self, guard: Guard, place: Place, found: Found, at: float) -> None:
        if isinstance(found, Admission):
            if len(self._fresh) > _MANY:
                self._fresh.clear()
            self._fresh[guard, place] = (at + _FRESH, replace(found, seconds=None))
        for then in self._asking.pop((guard, place), ()):
            then(found, at)
