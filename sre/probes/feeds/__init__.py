"""Which other monitors can results be sent to?"""

from __future__ import annotations

from sre.core.kinds import Kinds
from sre.probes.feeds.model import Feed

__all__ = ["FEEDS"]

FEEDS: Kinds[Feed] = Kinds(
    "feed",
    {
        "influxdb": "sre.probes.feeds.influxdb:InfluxFeed",
        "zabbix": "sre.probes.feeds.zabbix:ZabbixFeed",
    },
    extras={"zabbix": "feeds"},
)
"""A kind's name in `feeds:` -> where its class is."""
