"""Which switches of traffic are there?"""

from __future__ import annotations

from sre.core.kinds import Kinds
from sre.failover.switches import Traffic

__all__ = ["SWITCHES"]

SWITCHES: Kinds[Traffic] = Kinds(
    "traffic",
    {
        "haproxy": "sre.failover.traffic.haproxy:HaproxyTraffic",
    },
    {},
)
"""A kind's name in `sre.yaml` -> where its class is."""
