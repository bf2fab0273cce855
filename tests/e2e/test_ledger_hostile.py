"""Does every engine say nothing but "failed" and "ambiguous", whatever answers it?"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

from sre.cli.ledger import _front
from sre.core.clock import Deadline
from sre.core.errors import UsageError
from sre.core.secrets import Secret
from sre.failover.model import ClusterFields
from sre.sql.ledger.engines import open_engine
from sre.sql.ledger.model import NotWritten, Row, Unclear
from tests.servers.faultproxy import FaultProxy
from tests.servers.mariadb import MariaPair
from tests.servers.postgresql import PgPair
from tests.servers.redis import PASSWORD, RedisFamily

DSNS = {
    "postgresql": "postgresql://u:word@127.0.0.1:{}/d",
    "mysql": "mysql://u:word@127.0.0.1:{}/d",
    "redis": "redis://:word@127.0.0.1:{}/0",
    "sentinel": "redis+sentinel://:word@127.0.0.1:{}/shop",
}
ANSWERS = {
    "silent": None,
    "hangs-up": b"",
    "http": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "zeros": b"\0" * 512,
    "ones": b"\xff" * 512,
    "error": b"-ERR max number of clients reached\r\n",
    "short": b"J",
}


@contextlib.contextmanager
def answering(answer: bytes | None) -> Iterator[int]:
    """A server that says the same to everybody; None: it listens and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    held.append(listener.accept()[0])
                    if answer is not None:
                        held[-1].sendall(answer)
                        held[-1].shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(2)
            for each in held:
                each.close()


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("engine", DSNS)
def test_who_is_no_database_lets_nobody_in(engine: str, answer: str) -> None:
    with answering(ANSWERS[answer]) as port:
        made = open_engine(DSNS[engine].format(port), table="t")
        begun = time.monotonic()
        with pytest.raises(NotWritten) as caught:
            made.connect(Deadline.after(0.3))
        assert time.monotonic() - begun < 1.0
        assert "word" not in str(caught.value).replace("password", "")


@pytest.fixture(scope="module")
def behind(
    pg_pair: PgPair, mariadb_pair: MariaPair, redis_family: RedisFamily
) -> Iterator[dict[str, tuple[str, FaultProxy]]]:
    """For each engine, a dsn through a proxy that can do harm."""
    postgres, mariadb, redis = pg_pair.primary, mariadb_pair.primary, redis_family.master
    mariadb.sql("create database hostile")
    with (
        FaultProxy(postgres.port) as first,
        FaultProxy(mariadb.port) as second,
        FaultProxy(redis.port) as third,
    ):
        maria = mariadb.dsn().replace(f":{mariadb.port}/", f":{second.port}/")
        yield {
            "postgresql": (postgres.dsn().replace(f":{postgres.port}/", f":{first.port}/"), first),
            "mysql": (f"{maria}hostile?ssl-mode=disabled", second),
            "redis": (f"redis://:{quote(PASSWORD)}@127.0.0.1:{third.port}/0", third),
        }
    mariadb.sql("drop database hostile")
    postgres.sql("drop table sre_ledger")


@pytest.mark.parametrize("engine", ["postgresql", "mysql", "redis"])
def test_an_answer_that_breaks_anywhere_is_failed_or_ambiguous(
    engine: str, behind: dict[str, tuple[str, FaultProxy]]
) -> None:
    dsn, proxy = behind[engine]
    made = open_engine(dsn, table="sre_ledger")
    made.prepare(Deadline.after(10))
    seen: set[str] = set()
    number = 0
    acknowledged = []
    for harm in (proxy.close_after, proxy.corrupt):
        for at in [*range(0, 180, 3), *range(180, 700, 29)]:
            proxy.heal()
            harm(at)
            number += 1
            link = None
            try:
                link = made.connect(Deadline.after(0.3))
                link.write(Row("hostile", 1, number, 1.5), Deadline.after(0.3))
                acknowledged.append((1, number))
            except (NotWritten, Unclear) as error:
                seen.add(type(error).__name__)
            finally:
                if link is not None:
                    link.close()
    proxy.heal()
    assert seen == {"NotWritten", "Unclear"}
    assert acknowledged
    assert set(acknowledged) <= set(made.read("hostile", Deadline.after(20)))
    made.remove("hostile", Deadline.after(10))
    assert list(made.read("hostile", Deadline.after(10))) == []


def test_the_front_door_of_a_cluster_stands_in_its_declaration(tmp_path: Path) -> None:
    def run(front: Secret | None) -> Any:
        declared = SimpleNamespace(fields=ClusterFields(front=front))
        switching = SimpleNamespace(clusters={"orders": declared})
        return SimpleNamespace(
            settings=lambda: SimpleNamespace(switching=switching), config_path=tmp_path / "sre.yaml"
        )

    front = Secret("${env:FRONT_DSN}", lambda: "redis://127.0.0.1/0")
    assert _front(run(front), None, "orders") == ("${env:FRONT_DSN}", "redis://127.0.0.1/0")
    with pytest.raises(UsageError, match="add front"):
        _front(run(None), None, "orders")
    with pytest.raises(UsageError, match="no cluster 'carts'"):
        _front(run(front), None, "carts")
