"""What is done to a node of a set by SQL and by its control? (effects; every act is idempotent)"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import pymysql

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, SreError
from sre.core.secrets import Secret
from sre.failover.clusters.common.together import all_of
from sre.failover.clusters.common.waiting import wait_until
from sre.failover.clusters.maria.asking import Connection, Line, rows, value
from sre.failover.clusters.maria.gtid import merged, position_of, text_of
from sre.failover.clusters.maria.hold import Hold
from sre.failover.clusters.maria.login import Login, from_info, from_secret
from sre.failover.clusters.maria.look import Looker
from sre.failover.engine import Ground

__all__ = ["Hands", "run_all"]

T = TypeVar("T")
_KICK_SECONDS = 1.0
_OWN = ("Binlog Dump", "Daemon", "Slave_IO", "Slave_SQL", "Slave_worker")
_TLS = {
    "Master_SSL_CA_File": "master_ssl_ca", "Master_SSL_CA_Path": "master_ssl_capath",
    "Master_SSL_Cert": "master_ssl_cert", "Master_SSL_Cipher": "master_ssl_cipher",
    "Master_SSL_Key": "master_ssl_key", "Master_SSL_Crl": "master_ssl_crl",
    "Master_SSL_Crlpath": "master_ssl_crlpath",
}  # fmt: skip


def run_all(connection: Connection, *statements: str) -> None:
    """One after the other. Raises pymysql.Error."""
    with connection.cursor() as cursor:
        for each in statements:
            cursor.execute(each)


class Hands:
    """Acts on the nodes of one cluster."""

    def __init__(
        self, ground: Ground, lines: Mapping[str, Line], looker: Looker, replication: Secret | None
    ) -> None:
        self.ground, self.looker = ground, looker
        self._lines, self._replication = lines, replication
        self._login: Login | None = None
        self._tls: dict[str, Any] = {}
        self._holds = {node.name: Hold(lines[node.name]) for node in ground.nodes}

    def hold(self, node: str) -> Hold:
        """The lock that keeps everybody from writing on a node."""
        return self._holds[node]

    def close(self) -> None:
        """Let go of every lock."""
        for each in self._holds.values():
            each.close()

    def line(self, node: str) -> Line:
        """The connections to a node."""
        return self._lines[node]

    def ask(self, node: str, work: Callable[[Connection], T], deadline: Deadline) -> T:
        """The answer of a node. Raises as `Line.ask`."""
        return self._lines[node].ask(work, deadline)

    def value(self, node: str, text: str, deadline: Deadline, *values: object) -> Any:
        """The one value that a statement answers."""
        return self.ask(node, lambda connection: value(connection, text, *values), deadline)

    def do(self, node: str, deadline: Deadline, *statements: str) -> None:
        """Statements, one after the other."""
        self.ask(node, lambda connection: run_all(connection, *statements), deadline)

    def each(self, nodes: Iterable[str], act: Callable[[str], T]) -> dict[str, T]:
        """An act on several nodes at once. Raises the first error, once all have ended."""
        return all_of({name: partial(act, name) for name in nodes})

    def until(
        self, what: str, done: Callable[[], T | None], deadline: Deadline, on: Sequence[str] = ()
    ) -> T:
        """As `wait_until`."""
        return wait_until(self.ground, what, done, deadline, on)

    def configure(self, node: str, variables: Mapping[str, str], deadline: Deadline) -> None:
        """Global variables of semi-sync, where they differ."""

        def work(connection: Connection) -> None:
            set_variables(connection, variables)

        self.ask(node, work, deadline)

    def learn(self, nodes: Iterable[str], deadline: Deadline) -> None:
        """How replicas log in, from the declaration or from a replica's own file; kept here alone.

        Raises:
            CheckFailed: nobody says it.
        """
        names = list(nodes)
        for name in names:
            with contextlib.suppress(SreError):
                slave = self.looker.one(name, deadline.within(2)).more["slave"]
                if slave and slave["Master_SSL_Allowed"] == "Yes":
                    self._tls = dict(slave)
        if self._replication is not None:
            self._login = from_secret(self._replication.reveal())
            return
        for name in names:
            service = self.ground.node(name).service
            path = f"{service.data_dir.rstrip('/')}/master.info"
            with contextlib.suppress(SreError):
                content = self.ground.node(name).control.read(service, path, deadline.within(5))
                self._login = from_info(content or b"") or self._login
            if self._login is not None:
                return
        if self._login is None:
            raise CheckFailed(
                "nothing says how replicas log in (no master.info could be read); give "
                f"`replication:` to the cluster {self.ground.cluster}"
            )

    def follow(
        self,
        node: str,
        to: str,
        deadline: Deadline,
        *,
        own: bool = False,
        fresh: bool = False,
        acks: str = "",
    ) -> None:
        """A server follows another one.

        `own`: it wrote transactions itself. `fresh`: it followed nobody before, so it has to be
        told how replicas log in. `acks`: whether it answers commits of its primary; as it is
        without.
        """
        if fresh and self._login is None:
            self.learn([n.name for n in self.ground.nodes if n.name != node], deadline.within(10))

        def work(connection: Connection) -> None:
            slave = (rows(connection, "show all slaves status") or [{}])[0]
            if self._is_at(slave, to) and _runs(slave):
                return
            run_all(connection, "stop slave", "set global read_only = 1")
            variables = {"rpl_semi_sync_master_enabled": "OFF"}
            if acks:
                variables["rpl_semi_sync_slave_enabled"] = acks
            set_variables(connection, variables)
            if own:
                _believe_log(connection)
            words, values = self._way(to, fresh=fresh)
            with connection.cursor() as cursor:
                cursor.execute(f"change master to {words}", values)
            run_all(connection, "start slave")

        self.ask(node, work, deadline)

    def _is_at(self, slave: Mapping[str, Any], to: str) -> bool:
        host, port = self.looker.addresses()[to]
        return (str(slave.get("Master_Host")), str(slave.get("Master_Port"))) == (host, port)

    def _way(self, to: str, *, fresh: bool) -> tuple[str, list[Any]]:
        host, port = self.looker.addresses()[to]
        given: dict[str, Any] = {"master_host": host, "master_port": int(port)}
        login = self._login
        if login is not None and (fresh or self._replication is not None):
            given |= {"master_user": login.user, "master_password": login.password}
        if fresh and self._tls:
            verify = self._tls["Master_SSL_Verify_Server_Cert"] == "Yes"
            given |= {"master_ssl": 1, "master_ssl_verify_server_cert": int(verify)}
            given |= {word: self._tls[key] for key, word in _TLS.items() if self._tls.get(key)}
        words = ", ".join(f"{name} = %s" for name in given)
        return f"{words}, master_use_gtid = slave_pos", list(given.values())

    def follows(self, node: str, to: str, deadline: Deadline) -> bool:
        """Whether a server receives from another one and executes. Raises CheckFailed: it never
        will by itself; its words."""
        slave = self.looker.one(node, deadline).more["slave"] or {}
        if not self._is_at(slave, to):
            return False
        for kind in ("IO", "SQL"):
            if slave[f"Slave_{kind}_Running"] == "No" and slave[f"Last_{kind}_Errno"]:
                raise CheckFailed(f"{node}: {slave[f'Last_{kind}_Error']}")
        return _runs(slave)

    def see_follow(self, node: str, to: str, deadline: Deadline) -> None:
        """Wait until it follows; one that waits long before it tries again is told to try now."""
        clock, kicked = self.ground.clock, self.ground.clock.now()

        def done() -> bool:
            nonlocal kicked
            if self.follows(node, to, deadline):
                return True
            if clock.now() - kicked > _KICK_SECONDS:
                kicked = clock.now()
                self.do(node, deadline, "stop slave io_thread", "start slave")
            return False

        self.until(f"{node} follows {to}", done, deadline, on=(node, to))

    def send_away(self, node: str, deadline: Deadline) -> int:
        """End every session of others but those of replicas; how many there were."""

        def work(connection: Connection) -> int:
            mine = self._lines[node].mine() | self._holds[node].mine()
            gone = 0
            for row in rows(connection, "select id, user, command from "
                            "information_schema.processlist"):  # fmt: skip
                if int(row["id"]) in mine or row["command"] in _OWN:
                    continue
                if row["user"] in ("system user", "event_scheduler"):
                    continue
                with contextlib.suppress(pymysql.err.OperationalError):  # it is gone already
                    run_all(connection, f"kill connection {int(row['id'])}")
                    gone += 1
            return gone

        return self.ask(node, work, deadline)

    def write(self, node: str, deadline: Deadline) -> None:
        """A real transaction in the log, through replicas that it waits for; changes no data.

        Raises:
            CheckFailed: the node takes no writes.
        """
        if self.value(node, "select @@global.read_only", deadline):
            raise CheckFailed(f"{node} is read only")
        self.do(node, deadline, "drop table if exists mysql.sre_write_check")


def _runs(slave: Mapping[str, Any]) -> bool:
    return (slave.get("Slave_IO_Running"), slave.get("Slave_SQL_Running")) == ("Yes", "Yes")


def set_variables(connection: Connection, variables: Mapping[str, str]) -> None:
    """Global variables, where they differ. Raises pymysql.Error."""
    for name, wanted in variables.items():
        shown = rows(connection, "show global variables like %s", name)
        if shown and str(shown[0]["Value"]) != wanted:
            number = int(wanted) if wanted.isdigit() else wanted
            with connection.cursor() as cursor:
                cursor.execute(f"set global `{name}` = %s", [number])


def _believe_log(connection: Connection) -> None:
    """What it wrote itself counts as executed, so that it is not asked for again."""
    both = rows(connection, "select @@gtid_slave_pos as s, @@gtid_binlog_pos as b")[0]
    wanted = text_of(merged(position_of(both["s"]), position_of(both["b"])))
    if wanted != text_of(position_of(both["s"])):
        with connection.cursor() as cursor:
            cursor.execute("set global gtid_slave_pos = %s", [wanted])
