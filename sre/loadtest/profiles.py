"""Which curves of load have a name?

The search for the capacity is not a curve (each level depends on what the one before showed), so
it is not in this table.
"""

from __future__ import annotations

__all__ = ["PROFILES"]

PROFILES: dict[str, tuple[dict[str, str], ...]] = {
    # Does it run at all? A tenth of the mix, half a minute: for each pull request.
    "smoke": ({"step": "10%", "hold": "30s"},),
    # An ordinary day.
    "baseline": ({"ramp": "30s"}, {"hold": "5m"}),
    # An evening of advertising: twice the day, and back.
    "peak": (
        {"ramp": "1m"},
        {"hold": "3m"},
        {"ramp": "30s", "to": "200%"},
        {"hold": "5m"},
        {"ramp": "30s"},
        {"hold": "2m"},
    ),
    # Singles' Day: twenty times the day within seconds, a plateau, a slow decay.
    "singles_day": (
        {"ramp": "1m"},
        {"hold": "2m"},
        {"ramp": "10s", "to": "2000%"},
        {"hold": "3m"},
        {"ramp": "2m", "to": "300%"},
        {"hold": "5m"},
        {"ramp": "1m"},
        {"hold": "2m"},
    ),
    # Leaks, full disks, expiring sessions: a working day.
    "soak": ({"ramp": "2m"}, {"hold": "8h"}),
}
