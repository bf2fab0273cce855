"""How does a server keep its log until the copy of it has ended?

A copy needs the log from its first moment to its last, and fetches it at the end. A busy server
that keeps none of it for others (`wal_keep_size` 0) has removed the first segments by then. So a
session holds a temporary replication slot meanwhile: it ends with the session, whatever becomes of
us. Where that may not be, the copy is tried without.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import Iterator

from sre.core.errors import MissingExtra

__all__ = ["keeping"]

_log = logging.getLogger(__name__)
_CONNECT_SECONDS = 10
_LONG_AWAKE = """select set_config(name, '0', false) from pg_settings
    where name in ('idle_session_timeout', 'statement_timeout')"""
_SLOT = "select pg_create_physical_replication_slot(%s, true, true)"


@contextlib.contextmanager
def keeping(dsn: str) -> Iterator[bool]:
    """Whether the log is kept inside the context; where not, a warning says why.

    Raises MissingExtra without the driver. What the server refuses raises nothing.
    """
    try:
        import psycopg  # noqa: PLC0415  only who makes a backup needs the driver
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "backups need the package 'psycopg': pip install 'sre[backup]'"
        ) from error
    name = f"sre_backup_{secrets.token_hex(6)}"
    with contextlib.ExitStack() as stack:
        try:
            session = psycopg.connect(dsn, autocommit=True, connect_timeout=_CONNECT_SECONDS)
            stack.callback(session.close)
            session.execute(_LONG_AWAKE)
            session.execute(_SLOT, (name,))
            held = True
        except psycopg.Error as error:
            held, why = False, str(error).strip().partition("\n")[0]
            _log.warning("the server's log is not held while it is copied: %s", why)
        yield held
