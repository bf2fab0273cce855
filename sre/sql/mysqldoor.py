"""How is a connection to MySQL or MariaDB made without reading the machine's certificates first?

PyMySQL reads all of them for every connection that takes TLS where the server has it, and looks at
none: 20 ms of CPU each, which clients that come back at once after a switchover wait for.
"""

from __future__ import annotations

import ssl
from functools import cache
from typing import Any

import pymysql.connections

__all__ = ["connect"]


@cache
def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class _Connection(pymysql.connections.Connection):
    def _create_ssl_ctx(self, sslp: Any) -> Any:
        """Asked with nothing at all where TLS is preferred: nobody's certificate is verified."""
        return super()._create_ssl_ctx(sslp) if sslp else _unverified()  # type: ignore[misc]


connect: Any = _Connection
"""As `pymysql.connect`."""
