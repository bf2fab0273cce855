"""How is everybody kept from writing on a node, those with all rights too? (effects)

`read_only` does not stop accounts with the right READ ONLY ADMIN, root among them. A global read
lock does, as long as the session that took it lives: it is kept here and looked after.
"""

from __future__ import annotations

from typing import Any

import pymysql

from sre.core.clock import Deadline
from sre.failover.clusters.maria.asking import Connection, Line, value

__all__ = ["Hold"]

_LOCK_WAIT_TIMEOUT = 1205


class Hold:
    """The global read lock of one node."""

    def __init__(self, line: Line) -> None:
        self._line = line.twin()
        self._session = 0

    def mine(self) -> frozenset[int]:
        """The ids of our sessions."""
        return self._line.mine()

    @property
    def held(self) -> bool:
        """Whether this process has taken it, and has not let go."""
        return bool(self._session)

    def lock(self, deadline: Deadline, *, wait: int = 1) -> str | None:
        """Nobody writes from now on; its gtid_binlog_pos. None: writes did not end in `wait` s.

        Takes the lock again where it was lost. Raises as `Line.ask`.
        """

        def work(connection: Connection) -> str | None:
            session = int(value(connection, "select connection_id()"))
            with connection.cursor() as cursor:
                if session != self._session:
                    try:
                        cursor.execute(
                            f"set statement lock_wait_timeout = {int(wait)} for "
                            "flush tables with read lock"
                        )
                    except pymysql.err.OperationalError as error:
                        if error.args[0] == _LOCK_WAIT_TIMEOUT:
                            return None
                        raise
                    self._session = session
                cursor.execute("set global read_only = 1")
            return str(value(connection, "select @@global.gtid_binlog_pos"))

        return self._line.ask(work, deadline)

    def release(self, deadline: Deadline) -> None:
        """Let go, where it is held. Raises as `Line.ask`."""
        if not self._session:
            return

        def work(connection: Connection) -> Any:
            with connection.cursor() as cursor:
                cursor.execute("unlock tables")

        self._line.ask(work, deadline)
        self._session = 0

    def close(self) -> None:
        """Let go, whatever happens: the server lets go when the session ends."""
        self._session = 0
        self._line.close()
