"""Does a copy that we ask of a server ourselves equal pg_basebackup's, and notice every break?"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import socket
import struct
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.backup.databases import pgcopy, pgstream
from sre.backup.databases.pgdsn import environment
from sre.backup.databases.pgstream import opened
from sre.backup.databases.pgwire import Socket
from sre.backup.databases.pgwish import Wish
from sre.backup.databases.postgres import PostgresDatabase
from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, IntegrityError, SreError
from sre.core.secrets import Secret
from sre.demo.postgres import EmbeddedPostgres
from tests.unit.backup.setting import postgres

WISH = Wish('it\'s a "label" ü')


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres() as found:
        with psycopg.connect(found.dsn, autocommit=True) as one:
            one.execute(
                "create table big as select md5(i::text) t from generate_series(1, 90000) i"
            )
            one.execute('create table "ö ""\'" (i int)')
        yield found


def copy_of(server: EmbeddedPostgres) -> bytes:
    """By the socket."""
    with opened(server.dsn, WISH) as inside:
        assert inside.module == pgcopy.__name__
        assert server.dsn not in inside.argument
        return b"".join(pgcopy.pieces(inside.argument, (os.dup(inside.descriptors[0]),)))


def through_the_driver(server: EmbeddedPostgres, patch: pytest.MonkeyPatch) -> bytes:
    for name, value in environment(server.dsn).items():
        patch.setenv(name, value)
    patch.delenv("PGDATABASE", raising=False)
    with opened("", replace(WISH, encrypted=True)) as inside:
        assert inside.module == pgstream.__name__
        return b"".join(pgstream.pieces(inside.argument))


def files_of(tar: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as found:
        return {
            each.name: hashlib.sha256(content.read()).hexdigest()
            for each in found
            if (content := found.extractfile(each)) is not None
        }


@pytest.mark.postgres
def test_both_ways_give_the_same_tar(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the socket and through the driver: the same files, and backup_manifest at the end."""
    quick = files_of(copy_of(server))
    driver = files_of(through_the_driver(server, monkeypatch))
    assert list(quick)[-1] == list(driver)[-1] == "backup_manifest"
    of_tables = {name for name in quick if name.startswith("base/")}
    assert len(of_tables) > 100
    assert {name: quick[name] for name in of_tables} == {name: driver[name] for name in of_tables}


@pytest.mark.postgres
def test_what_the_server_refuses_is_said(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its words, and no bytes."""
    monkeypatch.setattr(Wish, "command", lambda _wish: "BASE_BACKUP (WRONG)")
    for way in (copy_of, lambda which: through_the_driver(which, monkeypatch)):
        with pytest.raises(CheckFailed, match="unrecognized"):
            way(server)
    with pytest.raises(CheckFailed, match="nowhere"), opened("host=/nowhere", WISH):
        pass


@pytest.mark.postgres
def test_pg_basebackup_is_taken_where_it_is_asked_for_or_encrypted(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else ours; a password never stands in what is told."""
    database = postgres(server.dsn, server.bin_dir)
    source = database.identify(Deadline.after(30))
    ours = database.dump(source, "label")
    assert ours.inside is not None
    assert ours.argv[0].startswith("BASE_BACKUP")
    wanted = PostgresDatabase(Secret.literal(server.dsn), server.bin_dir, pg_basebackup=True)
    assert wanted.dump(source, "label").inside is None
    monkeypatch.setattr(PostgresDatabase, "_encrypted", lambda *_: True)
    dump = database.dump(source, "label")
    assert dump.inside is None
    assert dump.argv[0].endswith("pg_basebackup")


def message(kind: bytes, content: bytes = b"") -> bytes:
    return kind + struct.pack("!I", len(content) + 4) + content


ROWS = message(b"T", b"\0\0") + message(b"D", b"\0\0") + message(b"C", b"SELECT\0")
BEGIN = ROWS + message(b"N", b"Mhello\0\0") + ROWS + message(b"H", b"\0\0\0")
END = message(b"c") + ROWS + message(b"C", b"BASE_BACKUP\0") + message(b"Z", b"I")
ERROR = message(b"E", b"SFATAL\0C57P01\0Mit goes down\0Dnow\0\0")


def listen(say: Callable[[socket.socket], None]) -> tuple[int, threading.Thread]:
    """A connection to a server that says that and closes."""
    here, there = socket.socketpair()

    def serve() -> None:
        with there, contextlib.suppress(OSError):
            there.recv(4096)
            say(there)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return here.detach(), thread


def taken(answer: bytes, step: int = 10**9) -> list[tuple[int, bytes]]:
    def say(there: socket.socket) -> None:
        for at in range(0, len(answer), step):
            there.sendall(answer[at : at + step])

    descriptor, thread = listen(say)
    with contextlib.closing(Socket(descriptor)) as asked:
        asked.begin("BASE_BACKUP")
        found = [(kind, bytes(piece)) for kind, piece in asked.messages()]
        asked.end()
    thread.join(10)
    return found


@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(1, 400))
def test_data_is_put_together_however_it_comes(contents: list[bytes], step: int) -> None:
    """Pieces of any size, messages of any size, others between them."""
    told = b"".join(message(b"d", b"d" + each) + message(b"S", b"a\0b\0") for each in contents)
    found = taken(BEGIN + message(b"d", b"nbase.tar\0\0") + told + END, step)
    assert found[0] == (ord("n"), b"base.tar\0\0")
    assert b"".join(piece for _kind, piece in found[1:]) == b"".join(contents)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (BEGIN + message(b"d", b"dabc") + ERROR, "it goes down; now"),
        (BEGIN + message(b"d", b"dabc") + END[:5] + ERROR, "it goes down"),
        (ERROR, "it goes down"),
        (ROWS + message(b"H", b"\0"), "something else"),
        (BEGIN + message(b"c") + message(b"Z", b"I"), "something else"),
        (BEGIN + b"d\0\0\0\1", "without a length"),
        (BEGIN + message(b"?", b"x"), "does not know"),
        (BEGIN + message(b"d"), "does not know"),
        (BEGIN + b"N\x7f\xff\xff\xff", "none is so long"),
    ],
)
def test_a_server_that_says_something_else(answer: bytes, error: str) -> None:
    """It ends with words, never with a copy."""
    with pytest.raises(SreError, match=error):
        taken(answer)


def test_a_connection_that_ends_anywhere() -> None:
    """After any byte before the last: noticed."""
    whole = BEGIN + message(b"d", b"nbase.tar\0\0") + message(b"d", b"d" + b"x" * 20) + END
    assert len(taken(whole)) >= 2
    for cut in range(len(whole) - 1):
        with pytest.raises(CheckFailed, match="closed the connection"):
            taken(whole[:cut])


def straight(*contents: bytes) -> bytes:
    archive = pgcopy.Straight()
    out = b"".join(bytes(piece) for each in contents for piece in archive.feed(memoryview(each)))
    return out + archive.end()


@given(st.binary(max_size=3000), st.lists(st.integers(1, 1500), max_size=30))
def test_the_end_of_a_tar_is_taken_off(content: bytes, sizes: list[int]) -> None:
    """However it is cut into pieces."""
    whole, cut = content + bytes(1024), list[bytes]()
    for size in [*sizes, 10**6]:
        cut.append(whole[:size])
        whole = whole[size:]
    assert straight(*filter(None, cut)) == content


def test_a_tar_without_its_end_is_refused() -> None:
    """The server broke off between two messages."""
    for each in (b"", b"x" * 5000, bytes(1023)):
        with pytest.raises(IntegrityError, match="was cut"):
            straight(*filter(None, [each]))


def test_a_tablespace_that_was_just_made_is_noticed() -> None:
    """It had been none when the server was asked."""
    copy = pgcopy.Copy(None, Wish("a"))  # type: ignore[arg-type]
    with pytest.raises(CheckFailed, match="just made"):
        list(copy._taken(ord("n"), memoryview(b"16384.tar\0/somewhere\0")))
