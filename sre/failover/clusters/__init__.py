"""Which kinds of clusters are there?"""

from __future__ import annotations

from sre.core.kinds import Kinds
from sre.failover.engine import Cluster

__all__ = ["CLUSTERS"]

CLUSTERS: Kinds[Cluster] = Kinds(
    "cluster",
    {
        "mariadb": "sre.failover.clusters.mariadb:MariaDbCluster",
        "patroni": "sre.failover.clusters.patroni:PatroniCluster",
        "postgres": "sre.failover.clusters.postgres:PostgresCluster",
        "redis": "sre.failover.clusters.redis:RedisCluster",
        "sentinel": "sre.failover.clusters.sentinel:SentinelCluster",
    },
    {
        "mariadb": "databases",
        "patroni": "databases",
        "postgres": "databases",
        "redis": "databases",
        "sentinel": "databases",
    },
)
"""A kind's name in `sre.yaml` -> where its class is."""
