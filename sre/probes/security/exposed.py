"""Which files should nobody be able to fetch, and what proves that it is really one? (pure)

The proof is in the content: a shop that answers everything with a friendly page and status 200
exposes nothing by that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["FILES", "FOLDERS", "Exposure", "differs", "is_listing", "proved"]


@dataclass(frozen=True)
class Exposure:
    """A path, the check that it belongs to, and the bytes that prove it."""

    check: str
    path: str
    proof: re.Pattern[bytes]


_DUMP = (
    rb"(?im)^-- (MySQL|MariaDB|PostgreSQL|SQLite)[^\n]* dump|^(CREATE TABLE|INSERT INTO|COPY) "
    rb"|^PGDMP|^PRAGMA foreign_keys"
)
_SETTING = rb"(?m)\A(?:\s*(?:#[^\n]*)?\n)*\s*(?:export\s+)?[A-Za-z_][A-Za-z0-9_.]*\s*=(?![^\n]*<)"
_CODE = rb"<\?php|DB_PASSWORD|SECRET_KEY|<configuration|<connectionStrings"
_ARCHIVE = rb"\A(?:PK\x03\x04|\x1f\x8b\x08|BZh|\xfd7zXZ|7z\xbc\xaf)"

_TABLE: tuple[tuple[str, bytes, tuple[str, ...]], ...] = (
    ("exposed_repository", rb"\A(?:ref: refs/|[0-9a-f]{40}\s*\Z)", ("/.git/HEAD",)),
    ("exposed_repository", rb"\A\s*\[core\]", ("/.git/config",)),
    ("exposed_repository", rb"\A(?:\d+\s*\n|<\?xml[^>]*>\s*<wc-entries)", ("/.svn/entries",)),
    ("exposed_repository", rb"\ASQLite format 3", ("/.svn/wc.db",)),
    ("exposed_environment", _SETTING, ("/.env", "/.env.production", "/.env.bak")),
    ("exposed_database", _DUMP, ("/backup.sql", "/dump.sql", "/database.sql")),
    ("exposed_backup", _ARCHIVE, ("/backup.zip", "/backup.tar.gz")),
    ("exposed_backup", _CODE, ("/wp-config.php.bak", "/config.php.bak", "/settings.py.bak",
                               "/web.config.bak")),
    ("exposed_private_key", rb"-----BEGIN [A-Z ]*PRIVATE KEY-----", ("/id_rsa", "/server.key")),
    ("exposed_actuator", rb'"propertySources"', ("/actuator/env",)),
    ("exposed_phpinfo", rb"<title>(?:PHP [\d.]+[^<]*- )?phpinfo\(\)</title>",
     ("/phpinfo.php", "/info.php")),
    ("exposed_server_status", rb"Apache Server Status|Server Version: Apache|\AActive connections:",
     ("/server-status", "/nginx_status")),
    ("exposed_folder_file", rb"\A\x00\x00\x00\x01Bud1", ("/.DS_Store",)),
)  # fmt: skip

FILES = tuple(
    Exposure(check, path, re.compile(proof)) for check, proof, paths in _TABLE for path in paths
)
"""What every run asks for."""

FOLDERS = ("/static/", "/media/", "/uploads/", "/images/", "/backup/")

_LISTING = re.compile(
    rb"(?i)<title>\s*(?:Index of /|Directory listing for /|Listing directory /)"
    rb"|<h1>\s*(?:Index of /|Directory listing for /)"
)


def proved(exposure: Exposure, status: int, body: bytes) -> bool:
    """Whether the answer is the file itself."""
    return status in (200, 206) and exposure.proof.search(body) is not None


def is_listing(status: int, body: bytes) -> bool:
    """Whether the answer lists a folder."""
    return status == 200 and _LISTING.search(body) is not None


def differs(path: str, body: bytes, others: Iterable[tuple[str, bytes]]) -> bool:
    """Whether a page is not what this shop shows for what does not exist: (path, body) of those."""
    shape = _shape(path, body)
    return all(_shape(other, text) != shape for other, text in others)


def _shape(path: str, body: bytes) -> bytes:
    """Without what changes from one answer to the next: its own path, numbers, tokens."""
    bare = body.replace(path.strip("/").encode(), b"")
    return re.sub(rb"[A-Za-z0-9+/=_-]{8,}|\d+", b"", bare)
