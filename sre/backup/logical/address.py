"""Is what `--to` says a folder or a server, and which one?"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sre.backup.databases.pgdsn import options, reveal
from sre.backup.model import Declared
from sre.core.errors import UsageError
from sre.core.secrets import Secret

__all__ = ["described", "secret_of"]

_ENV = re.compile(r"(?:env:(\w+)|\$\{env:(\w+)\})")
_FILE = re.compile(r"(?:file:(.+)|\$\{file:(.+)\})")
_URL = re.compile(r"postgres(?:ql)?://")
_WORDS = re.compile(r"\w+\s*=.*\b(?:host|dbname|service|user|port)\s*=|(?:host|dbname|service)\s*=")


def secret_of(to: str, databases: Mapping[str, Declared]) -> Secret | None:
    """The dsn that `--to` names; None when it names a folder.

    `env:NAME`, `${env:NAME}`, `file:PATH`, `${file:PATH}`, `db:NAME` (a database of sre.yaml), or a
    dsn itself (`postgresql://…`, `host=… dbname=…`), which is masked from now on.

    Raises:
        UsageError: there is no such database, or it has no dsn.
    """
    if match := _ENV.fullmatch(to):
        return Secret.from_env(match[1] or match[2])
    if match := _FILE.fullmatch(to):
        return Secret.from_file(match[1] or match[2])
    if to.startswith("db:"):
        return _declared(to.removeprefix("db:"), databases)
    if _URL.match(to) or _WORDS.match(to):
        secret = Secret.literal(to)
        reveal(secret)  # masked before anything can print it
        return secret
    return None


def _declared(name: str, databases: Mapping[str, Declared]) -> Secret:
    dsn = getattr(databases[name].database, "dsn", None) if name in databases else None
    if not isinstance(dsn, Secret):
        known = ", ".join(sorted(databases)) or "none"
        raise UsageError(f"--to db:{name}: sre.yaml declares no such server; known: {known}")
    return dsn


def described(dsn: str) -> str:
    """Where a dsn leads, for people: no password, nothing that is not an address."""
    words = options(dsn)
    host, port = words.get("host") or words.get("service") or "localhost", words.get("port")
    user = f"{words['user']}@" if words.get("user") else ""
    return f"postgresql://{user}{host}{f':{port}' if port else ''}/{words.get('dbname', '')}"
