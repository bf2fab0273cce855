"""Which curves of load have a name? Stages that thresholds ask about have one too (`in: spike`).

The search for the capacity is no curve: each level depends on what the one before showed. Its entry
is how far it may climb, so that `plan` can say what it comes to at most.
"""

from __future__ import annotations

__all__ = ["CAPACITY", "PROFILES"]

CAPACITY = "capacity"
"""The profile that is a search: `sre loadtest capacity NAME`."""

PROFILES: dict[str, tuple[dict[str, str], ...]] = {
    # Does it run at all? A tenth of the mix, half a minute: for each pull request.
    "smoke": ({"step": "10%", "hold": "30s"},),
    # An ordinary day.
    "baseline": ({"ramp": "30s"}, {"hold": "5m", "name": "day"}),
    # An evening of advertising: twice the day, and back.
    "peak": (
        {"ramp": "1m"},
        {"hold": "3m", "name": "day"},
        {"ramp": "30s", "to": "200%", "name": "rise"},
        {"hold": "5m", "name": "peak"},
        {"ramp": "30s", "name": "fall"},
        {"hold": "2m", "name": "after"},
    ),
    # Singles' Day: twenty times the day within seconds, a plateau, a slow decay.
    "singles_day": (
        {"ramp": "1m"},
        {"hold": "2m", "name": "day"},
        {"ramp": "10s", "to": "2000%", "name": "spike"},
        {"hold": "3m", "name": "plateau"},
        {"ramp": "2m", "to": "300%", "name": "decay"},
        {"hold": "5m", "name": "evening"},
        {"ramp": "1m", "name": "fall"},
        {"hold": "2m", "name": "after"},
    ),
    # Leaks, full disks, expiring sessions: a working day.
    "soak": ({"ramp": "2m"}, {"hold": "8h", "name": "day"}),
    # How much can it bear? From the mix up by half each time, as far as twenty times the mix.
    CAPACITY: tuple(
        {"step": f"{percent}%", "hold": "75s"}
        for percent in (100, 150, 225, 338, 506, 759, 1139, 1709, 2000)
    ),
}
