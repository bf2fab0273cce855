"""Is a connection that prefers TLS encrypted where the server has it, and made where it has not?"""

from __future__ import annotations

from sre.sql.mysqldoor import connect
from tests.servers.mariadb import MariaDb, MariaPair


def cipher(server: MariaDb) -> str:
    with (
        connect(host="127.0.0.1", port=server.port, user="root", password=server.password) as made,
        made.cursor() as cursor,
    ):
        cursor.execute("show session status like 'Ssl_cipher'")
        return str(cursor.fetchone()[1])


def test_a_server_with_tls_is_talked_to_by_tls(mariadb_pair: MariaPair) -> None:
    assert cipher(mariadb_pair.primary) != ""


def test_a_server_without_tls_is_talked_to_all_the_same(mariadb_pair: MariaPair) -> None:
    assert cipher(mariadb_pair.replica) == ""
