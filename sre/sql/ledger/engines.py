"""Which engine carries the writes to the database that a dsn names?

An engine is one file with one class and one row here.
"""

from __future__ import annotations

import re
from importlib import import_module
from urllib.parse import unquote, urlsplit

from sre.core.errors import MissingExtra, UsageError
from sre.core.secrets import redactor
from sre.sql.ledger.engine import Engine

__all__ = ["holds_password", "open_engine"]

_POSTGRESQL = "sre.sql.ledger.postgresql:PostgresqlLedger"
_MYSQL = "sre.sql.ledger.mysql:MysqlLedger"
_REDIS = "sre.sql.ledger.redis:RedisLedger"
_ENGINES = {
    "postgresql": _POSTGRESQL,
    "postgres": _POSTGRESQL,
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
    "redis": _REDIS,
    "rediss": _REDIS,
    "redis+sentinel": "sre.sql.ledger.sentinel:SentinelLedger",
}
_KEYWORDS = re.compile(r"\s*\w+\s*=")
_PASSWORD = re.compile(r"(?:^|[\s?&])(?:ssl|sentinel_)?password\s*=\s*('(?:[^'\\]|\\.)*'|[^\s&]+)")
_SHORTEST_SECRET = 3


def open_engine(dsn: str, *, table: str, wait: int = 0) -> Engine:
    """The engine for a dsn; contacts nothing.

    Raises:
        UsageError: no engine knows such a dsn, or it is written wrongly.
        MissingExtra: the driver is not installed.
    """
    for word in _passwords(dsn):
        redactor.add(word)
    scheme, found, _ = dsn.strip().partition("://")
    if not found and _KEYWORDS.match(dsn):
        scheme = "postgresql"  # libpq's other spelling: host=… dbname=…
    if scheme not in _ENGINES:
        raise UsageError(
            "the dsn of a ledger begins with postgresql://, mysql://, redis:// or "
            f"redis+sentinel://{'' if not found else ', not with ' + repr(scheme[:20])}"
        )
    module, _, name = _ENGINES[scheme].partition(":")
    try:
        kind = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "sre":
            raise
        raise MissingExtra(
            f"a ledger in {scheme} needs the package {error.name!r}: pip install 'sre[databases]'"
        ) from error
    made: Engine = kind(dsn.strip(), table=table, wait=wait)
    return made


def holds_password(dsn: str) -> bool:
    """Whether a dsn that was written out has a secret in it."""
    return bool(_passwords(dsn))


def _passwords(dsn: str) -> list[str]:
    found = [match[1].strip("'") for match in _PASSWORD.finditer(dsn)]
    rest = dsn.partition("://")[2]
    user, at, _ = rest.split("/", 1)[0].rpartition("@")
    if at and ":" in user:
        found.append(user.partition(":")[2])
    try:
        found.append(urlsplit(dsn).password or "")
    except ValueError:
        pass
    found += [unquote(word) for word in found]
    return [word for word in dict.fromkeys(found) if len(word) >= _SHORTEST_SECRET or word]
