"""May the server itself say which pages have changed (PostgreSQL 17 and newer)?

It reads them from its log and not from the pages, which is fast, and was wrong before. So only
where nothing that was wrong can matter; else pages are compared.
"""

from __future__ import annotations

from sre.core.clock import Deadline
from sre.sql.session import Session

__all__ = ["SOUND", "why_not"]

SOUND = {17: 13, 18: 7}
"""The first minor release of each major one that surely has both corrections of autumn 2026.

"Fix WAL summary boundary checks for incremental backups" (commits ec756e59 for 17, 5787f878 for
18): after a promotion files could be put together with stale rows. "Fix stale visibility maps in
incremental backups after heap truncation" (patch of 22 October 2026 on pgsql-hackers, asked to be
taken back to 17). Neither had been in a minor release when this was written; later ones come with
the yearly schedule (February, May, August, November). From 19 on both are there from the start.
"""


def why_not(dsn: str, version: str, deadline: Deadline) -> str:
    """What speaks against it on this server; empty when nothing does. Raises Transient."""
    major, _, rest = version.partition(".")
    minor = rest.partition(".")[0]
    if int(major) < 17:
        return f"PostgreSQL {major} has no incremental backups of its own"
    if int(major) in SOUND and not (minor.isdigit() and int(minor) >= SOUND[int(major)]):
        return (
            f"PostgreSQL {version} may miss corrections of incremental backups; "
            f"{major}.{SOUND[int(major)]} or newer is sound"
        )
    with Session(dsn, statement_seconds=max(1.0, deadline.left())) as session:
        for name in ("summarize_wal", "data_checksums"):
            if session.value(f"show {name}") != "on":
                return f"{name} is off on the server"
    return ""
