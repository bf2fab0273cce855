"""How does a numbered write reach the master that Redis' sentinels name right now?"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, unquote

from sre.core.clock import Deadline
from sre.core.errors import UsageError
from sre.sql.ledger.model import NotWritten, Unclear
from sre.sql.ledger.redis import Place, RedisLedger, RedisLink

__all__ = ["SentinelLedger"]

_PORT = 26379
_HOW = (
    "the dsn cannot be read; write redis+sentinel://USER:PASSWORD@HOST:26379,HOST:26379/MASTER/0, "
    "special characters percent-encoded, option: sentinel_password"
)
_DSN = re.compile(
    r"redis\+sentinel://(?:(?P<user>[^:@/]*)(?::(?P<word>[^@/]*))?@)?(?P<hosts>[^/@?]+)"
    r"/(?P<master>[^/?]+)(?:/(?P<db>\d+))?(?:\?(?P<query>.*))?"
)
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:]+\]|[^:]+)(?::(?P<port>\d{1,5}))?")


class SentinelLedger(RedisLedger):
    """A list in the master of a name; every connection asks the sentinels anew."""

    name = "redis"

    def __init__(self, dsn: str, *, table: str, wait: int = 0) -> None:
        match = _DSN.fullmatch(dsn)
        hosts = [_HOST.fullmatch(each) for each in match["hosts"].split(",")] if match else []
        if not match or not all(hosts):
            raise UsageError(_HOW)
        try:
            query = parse_qs(match["query"] or "", strict_parsing=bool(match["query"]))
        except ValueError:
            raise UsageError(_HOW) from None
        word = query.pop("sentinel_password", [""])[-1]
        if query:
            raise UsageError(_HOW)
        self._sentinels = [
            Place(
                each["name"].strip("[]"),
                int(each["port"] or _PORT),
                {"password": word or None},
                tls=False,
            )
            for each in hosts
            if each
        ]
        self._master = unquote(match["master"])
        options = {
            "username": unquote(match["user"]) if match["user"] else None,
            "password": unquote(match["word"]) if match["word"] else None,
            "db": int(match["db"] or 0),
        }
        self._place = Place("", 0, options, tls=False)
        self._table, self._wait = table, wait

    def _dial(self, deadline: Deadline) -> Any:
        host, port = self._named(deadline)
        return self._place.dial(deadline, host, port)

    def _named(self, deadline: Deadline) -> tuple[str, int]:
        """Where the master is, by the first sentinel that says so. Raises NotWritten."""
        last = NotWritten("sentinel")
        for number, place in enumerate(self._sentinels):
            part = deadline.within(deadline.left() / (len(self._sentinels) - number + 1))
            try:
                link = RedisLink(place.dial(part), "", 0)
            except NotWritten as error:
                last = error
                continue
            try:
                found = link.ask(part, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._master)
                if found:
                    return str(found[0]), int(found[1])
                last = NotWritten("sentinel_knows_no_master", f"no master {self._master!r}")
            except (NotWritten, Unclear) as error:
                last = NotWritten(error.word, f"a sentinel: {error}")
            finally:
                link.close()
        raise last
