"""Is a Redis server, a replica or a sentinel up, and how near is it to its limits?"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from sre.core.secrets import Secret
from sre.core.units import Duration, Share, Size
from sre.journey.result import Reason
from sre.probes.dial import Attempt, Trouble, admitted
from sre.probes.drivers import needs
from sre.probes.facts import Facts
from sre.probes.judged import Seen, judged
from sre.probes.model import ProbeContext, Reading
from sre.probes.peer import Trust, trusting
from sre.probes.redisparts import (
    FACTS,
    parse_info,
    read_cluster,
    read_info,
    read_sentinel,
)
from sre.probes.wire import check_port, check_where, revealed

if TYPE_CHECKING:
    from sre.probes.redislink import Link

__all__ = ["RedisLimits", "RedisProbe"]

_MOST_QUORUMS = 30


@dataclass(frozen=True)
class RedisLimits:
    """What a Redis server may come to; a limit that the server has no number for degrades.

    Attributes:
        clients: share of `maxclients` that is taken.
        memory: share of `maxmemory` that is taken; a server without maxmemory has no such share.
        blocked_clients: clients that wait in a blocking command.
        lag: seconds; of a replica since it heard its master, of a master since its slowest replica
            acknowledged anything. An idle master speaks to its replicas every 10 seconds only.
        lag_bytes: of a master: replication stream that its slowest replica does not have.
        unsaved_age: seconds since the last snapshot, while there are changes that it lacks.
        min_replicas: least number of replicas of a master that are online.
        min_hit_ratio: least share of look-ups, since the server's start, that found their key.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    clients: Share | None = None
    memory: Share | None = None
    blocked_clients: int | None = None
    lag: Duration | None = None
    lag_bytes: Size | None = None
    unsaved_age: Duration | None = None
    min_replicas: int | None = None
    min_hit_ratio: Share | None = None


@dataclass(frozen=True)
class RedisProbe:
    """Logs in, times one PING, and asks the server about itself. Changes nothing.

    A user for it: `ACL SETUSER sre on >PASSWORD +ping +info +slowlog|len +cluster|info
    +config|get +select`; `+sentinel` besides at a sentinel. A user without INFO is told so and
    degraded. Loading, a cluster that is down, refused writes (MISCONF), a master that is down or
    a lost quorum (sentinel) have failed; a replica without its master is degraded.

    Attributes:
        host: name or address; needs an entry in `targets`.
        port: of `host`.
        unix_socket: path of the server's socket on this machine, in place of `host`.
        username: of an ACL user (Redis 6); without it the password is the default user's.
        password: a reference such as "${env:REDIS_PASSWORD}".
        db: the database to log in to; its number must exist.
        tls: speak TLS, verified.
        server_name: the name in the certificate, if it is not `host`.
        ca_file: PEM file of the authorities to trust instead of the system's.
        cert_file, key_file: PEM files of our own certificate, where the server wants one.
        role: which role the server must have; any when left out.
        warn: beyond one of these it is degraded.
        max: beyond one of these it has failed.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    facts: ClassVar[Facts] = FACTS
    host: str | None = None
    port: int = 6379
    unix_socket: str | None = None
    username: str | None = None
    password: Secret | None = None
    db: int = 0
    tls: bool = False
    server_name: str | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    role: Literal["master", "replica", "sentinel"] | None = None
    warn: RedisLimits = RedisLimits()
    max: RedisLimits = RedisLimits()

    def __post_init__(self) -> None:
        check_port(self.port)
        check_where(self.host, self.unix_socket, tls=self.tls)
        if self.db < 0:
            raise ValueError("db must be 0 or more")
        if self.username is not None and self.password is None:
            raise ValueError('username needs a password: password: "${env:REDIS_PASSWORD}"')
        if not self.tls and (self.ca_file or self.cert_file or self.server_name):
            raise ValueError("ca_file, cert_file and server_name need tls: true")

    def check(self, context: ProbeContext) -> Reading:
        """Log in, PING, ask, hang up."""
        return judged(
            "redis", context, self._look, highest=self.max, warn=self.warn, role=self.role
        )

    def _look(self, attempt: Attempt, seen: Seen) -> None:
        with needs("redis", "databases"):
            from sre.probes.redislink import Login, linked  # noqa: PLC0415  the driver
        trust = Trust(self.ca_file, self.cert_file, self.key_file)
        tls, name = trusting(trust) if self.tls else None, self.server_name or ""
        login = Login(self.username, revealed(self.password), self.db)
        where = self.unix_socket or admitted(attempt, self.host or "", self.port)
        with linked(attempt, where, login, tls, name) as link:
            began = time.monotonic()
            [pong] = link.ask(("PING",))
            seen.gauges.append(FACTS("ping_seconds", time.monotonic() - began))
            _pinged(pong, seen)
            _asked(link, attempt, seen)


def _pinged(pong: Any, seen: Seen) -> None:
    """Whether the server would do ordinary work: it answers PING by what hinders it."""
    code, text = getattr(pong, "code", ""), str(getattr(pong, "text", ""))[:200]
    if code == "NOAUTH":
        raise Trouble(Reason.STATUS, "the server wants a password; set password")
    if pong == "PONG" or code == "LOADING":  # INFO says how far the loading is
        return
    hindrances = {
        "MISCONF": "it refuses writes, because it cannot save them (MISCONF)",
        "MASTERDOWN": "a replica that lost its master and may not answer without it (MASTERDOWN)",
        "BUSY": "a script has kept it busy for long and holds up everybody (BUSY)",
        "READONLY": "a read-only replica (READONLY)",
    }
    if code == "NOPERM":
        seen.poor.append("this user may not run PING; ACL SETUSER ... +ping")
    elif not code:
        raise Trouble(Reason.PROTOCOL, "it does not answer PING as a Redis server does")
    else:
        seen.bad.append(hindrances.get(code, f"PING was refused: {text}"))


def _asked(link: Link, attempt: Attempt, seen: Seen) -> None:
    text, slow = link.ask(("INFO",), ("SLOWLOG", "LEN"))
    if not isinstance(text, str):
        code = getattr(text, "code", "")
        cure = "; ACL SETUSER ... +info" if code == "NOPERM" else ""
        seen.poor.append(f"it answers, but refuses INFO ({code or 'no text'}){cure}")
        return
    info = parse_info(text)
    if "maxclients" not in info and info.get("redis_mode") != "sentinel":
        info |= _configured(link, "maxclients")  # INFO tells it since Redis 6.2
    read_info(info, attempt.context.clock.wall(), seen)
    if isinstance(slow, int):
        seen.gauges.append(FACTS("slowlog_entries", slow))
    if info.get("cluster_enabled") == "1":
        [cluster] = link.ask(("CLUSTER", "INFO"))
        if isinstance(cluster, str):
            read_cluster(parse_info(cluster), seen)
    if seen.role == "sentinel":
        _sentinel(link, seen)


def _configured(link: Link, name: str) -> dict[str, str]:
    """One setting; nothing where CONFIG is renamed or forbidden, as managed servers do."""
    [answer] = link.ask(("CONFIG", "GET", name))
    return {name: str(answer[1])} if isinstance(answer, list) and len(answer) == 2 else {}


def _sentinel(link: Link, seen: Seen) -> None:
    [answer] = link.ask(("SENTINEL", "MASTERS"))
    if not isinstance(answer, list):
        seen.poor.append("this user may not ask SENTINEL MASTERS; ACL SETUSER ... +sentinel")
        return
    masters = [dict(zip(row[::2], row[1::2], strict=False)) for row in answer]
    names = [master.get("name", "") for master in masters][:_MOST_QUORUMS]
    told = link.ask(*(("SENTINEL", "CKQUORUM", name) for name in names)) if names else []
    quorum: dict[str, str | None] = {
        name: None if isinstance(one, str) else str(getattr(one, "text", ""))[:200]
        for name, one in zip(names, told, strict=True)
        if getattr(one, "code", "") != "NOPERM"
    }
    read_sentinel(masters, quorum, seen)
