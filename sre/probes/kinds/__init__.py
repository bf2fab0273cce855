"""Which kinds of probes are there?"""

from __future__ import annotations

from sre.core.kinds import Kinds
from sre.probes.model import Probe

__all__ = ["KINDS"]

KINDS: Kinds[Probe] = Kinds(
    "probe",
    {
        "accesslog": "sre.probes.kinds.accesslog:AccesslogProbe",
        "browser": "sre.probes.kinds.browser:BrowserProbe",
        "cdn": "sre.probes.kinds.cdn:CdnProbe",
        "dns": "sre.probes.kinds.dns:DnsProbe",
        "haproxy": "sre.probes.kinds.haproxy:HaproxyProbe",
        "host": "sre.probes.kinds.host:HostProbe",
        "http": "sre.probes.kinds.http:HttpProbe",
        "icmp": "sre.probes.kinds.icmp:IcmpProbe",
        "journey": "sre.probes.kinds.journey:JourneyProbe",
        "kafka": "sre.probes.kinds.kafka:KafkaProbe",
        "memcached": "sre.probes.kinds.memcached:MemcachedProbe",
        "mongodb": "sre.probes.kinds.mongodb:MongodbProbe",
        "mysql": "sre.probes.kinds.mysql:MysqlProbe",
        "nginx": "sre.probes.kinds.nginx:NginxProbe",
        "postgres": "sre.probes.kinds.postgres:PostgresProbe",
        "process": "sre.probes.kinds.process:ProcessProbe",
        "rabbitmq": "sre.probes.kinds.rabbitmq:RabbitmqProbe",
        "redis": "sre.probes.kinds.redis:RedisProbe",
        "security": "sre.probes.kinds.security:SecurityProbe",
        "sql": "sre.probes.kinds.sql:SqlProbe",
        "tcp": "sre.probes.kinds.tcp:TcpProbe",
        "tls": "sre.probes.kinds.tls:TlsProbe",
    },
)
"""A kind's name in `sre.yaml` -> where its class is."""
