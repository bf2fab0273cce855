"""Which switches of traffic are there?"""

from __future__ import annotations

from sre.core.kinds import Kinds
from sre.failover.switches import Traffic

__all__ = ["SWITCHES"]

SWITCHES: Kinds[Traffic] = Kinds(
    "traffic",
    {
        "dns": "sre.failover.traffic.dns:DnsTraffic",
        "haproxy": "sre.failover.traffic.haproxy:HaproxyTraffic",
        "nginx": "sre.failover.traffic.nginx:NginxTraffic",
        "pgbouncer": "sre.failover.traffic.pgbouncer:PgbouncerTraffic",
    },
    {"dns": "network", "pgbouncer": "databases"},
)
"""A kind's name in `sre.yaml` -> where its class is."""
