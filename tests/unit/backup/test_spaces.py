"""Is a server with tablespaces copied whole, and are the source's own ones never touched?"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.backup.databases import pgnative
from sre.backup.databases.pgspaces import archive_of, file_header, without_map
from sre.backup.databases.pgspaces_guard import made_in, runs_of
from sre.backup.job import Job
from sre.backup.model import Keys
from sre.backup.restoring.replaying import must_not_meet
from sre.backup.restoring.restore import Wish, restore_to
from sre.backup.restoring.spaces import parse_spaces
from sre.backup.runner import run_backup
from sre.backup.verifying.scratch import scratch
from sre.backup.verifying.verify import verify
from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, IntegrityError, Refused, UsageError
from tests.servers.postgresql import PgServer, running_postgres
from tests.unit.backup.setting import make_job, make_keys, postgres

SUM = "select count(*), md5(string_agg(t::text, ',' order by id)) from {} t"
TABLES = ("near", "far", '"Bestellungen ""ü"""')


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys") / "keys")


def space(server: PgServer, name: str, folder: str) -> Path:
    """A tablespace beside the data folder."""
    place = server.folder / folder
    place.mkdir()
    owner = server.data.stat()
    os.chown(place, owner.st_uid, owner.st_gid)
    server.sql(f"create tablespace {name} location '{place}'")
    return place


def fill(server: PgServer) -> None:
    rows = "select g id, md5(g::text) t from generate_series(1, 20000) g"
    server.sql(f"create table near as {rows}")
    server.sql(f"create table far tablespace fast as {rows}")
    server.sql(f'create table "Bestellungen ""ü""" tablespace "Läger" as {rows}')
    server.sql("create index on near (t) tablespace fast")
    server.sql('create database inside tablespace "Läger"')


@pytest.fixture(scope="module", params=["15", pytest.param("18", marks=pytest.mark.long)])
def shop(request: pytest.FixtureRequest) -> Iterator[tuple[PgServer, tuple[Path, Path]]]:
    more = {"summarize_wal": "on"} if request.param == "18" else {}
    with running_postgres(request.param, **more) as server:
        places = space(server, "fast", "fast one"), space(server, '"Läger"', 'Läger "ü"')
        fill(server)
        server.sql("checkpoint")
        yield server, places


def sums(dsn: str) -> list[Any]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return [connection.execute(SUM.format(name).encode()).fetchone() for name in TABLES]


def state(places: tuple[Path, ...]) -> dict[str, Any]:
    """Every file of the source's tablespaces: content, time and identity."""
    found = {}
    for place in places:
        for path in (place, *place.rglob("*")):
            stat = path.stat()
            data = path.read_bytes() if path.is_file() else b""
            found[str(path)] = (stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns,
                                hashlib.sha256(data).hexdigest())  # fmt: skip
    return found


def job_of(server: PgServer, keys: Keys, folder: Path, **more: Any) -> Job:
    database = dataclasses.replace(postgres(server.dsn(), server.programs), **more)
    return make_job(folder, keys, database)


@pytest.mark.postgres
def test_a_chain_restores_inside_its_folder_and_leaves_the_sources_tablespaces_alone(
    shop: tuple[PgServer, tuple[Path, Path]], keys: Keys, tmp_path: Path
) -> None:
    server, places = shop
    job = job_of(server, keys, tmp_path)
    made = [run_backup(job, "orders")]
    assert sorted(made[0].dump["tablespaces"].values()) == sorted(map(str, places))
    server.sql("update far set t = 'changed' where id < 50")
    made.append(run_backup(job, "orders", "differential"))
    server.sql('delete from "Bestellungen ""ü""" where id > 19000; ')
    server.sql("vacuum")
    made.append(run_backup(job, "orders", "incremental"))
    assert [each.kind for each in made] == ["full", "differential", "incremental"]
    assert made[2].stored_bytes < made[0].stored_bytes / 3
    expected = sums(server.dsn())
    server.sql("checkpoint")
    before = state(places)
    for each in made:
        found = verify(job, each.id, 3)
        assert found.passed, (found.faults, found.failures)
    done = restore_to(job, made[2].id, tmp_path / "restored")
    assert state(places) == before
    restored = tmp_path / "restored"
    assert not any(path.is_symlink() for path in restored.rglob("*"))
    assert not (restored / "tablespace_map").exists()
    assert "allow_in_place_tablespaces = 'on'" in (restored / "postgresql.auto.conf").read_text()
    assert done.port is not None
    with scratch() as work:
        shutil.copytree(restored, work / "data")
        with job.declared("orders").database.serve(work / "data", work, Deadline.after(60)) as dsn:
            assert sums(dsn) == expected
            with psycopg.connect(dsn) as connection:
                (total,) = connection.execute("select count(*) from pg_tablespace").fetchone()  # type: ignore[misc]
                assert total == 4
    assert state(places) == before


@pytest.mark.postgres
@pytest.mark.parametrize("shop", [pytest.param("18", marks=pytest.mark.long)], indirect=True)
def test_the_servers_own_increments_have_tablespaces_too(
    shop: tuple[PgServer, tuple[Path, Path]],
    keys: Keys,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, _ = shop
    monkeypatch.setattr(pgnative, "SOUND", {})
    job = job_of(server, keys, tmp_path, native_incremental=True)
    full = run_backup(job, "orders")
    server.sql("update far set t = 'again' where id < 70")
    made = run_backup(job, "orders", "incremental")
    assert made.dump["changes"] == "native", made.dump
    assert made.stored_bytes < full.stored_bytes / 3
    found = verify(job, made.id, 3)
    assert found.passed, (found.faults, found.failures)


@pytest.mark.postgres
def test_a_log_that_makes_a_tablespace_is_not_replayed_beside_its_source(
    shop: tuple[PgServer, tuple[Path, Path]], keys: Keys, tmp_path: Path
) -> None:
    """On the source's machine the replay would write into the source's new tablespace."""
    server, _ = shop
    job = job_of(server, keys, tmp_path)
    made = run_backup(job, "orders")
    place = space(server, "later", "later")
    server.sql("create table in_later tablespace later as select 1 id")
    server.sql("checkpoint")
    try:
        before = state((place,))
        with scratch() as work:
            restored = restore_to(job, made.id, work / "data")
            log = Path(restored.folder) / "sre_wal"
            log.mkdir()
            for each in (server.data / "pg_wal").glob("0" * 7 + "1*"):
                if each.is_file():
                    shutil.copy(each, log)
            programs = server.programs
            found = made_in(Path(restored.folder), work, programs, Deadline.after(60))
            assert [path for _, path in found] == [str(place)]
            with pytest.raises(Refused, match="is there on this machine"):
                must_not_meet(Path(restored.folder), programs)
            database = job.declared("orders").database
            with (
                pytest.raises(CheckFailed, match=r"makes a tablespace .* take a new full backup"),
                database.serve(Path(restored.folder), work, Deadline.after(60)),
            ):
                pass
        assert state((place,)) == before
        assert verify(job, run_backup(job, "orders").id, 3).passed  # the one after it is good
    finally:
        server.sql("drop table in_later")
        server.sql("drop tablespace later")


@pytest.mark.postgres
def test_a_tablespace_goes_where_it_is_told_and_never_over_something(
    shop: tuple[PgServer, tuple[Path, Path]], keys: Keys, tmp_path: Path
) -> None:
    server, places = shop
    job = job_of(server, keys, tmp_path)
    made = run_backup(job, "orders")
    (first,) = (oid for oid, path in made.dump["tablespaces"].items() if path == str(places[0]))
    with scratch() as work:
        there, data = work / "elsewhere" / "fast", work / "data"
        full = work / "full"
        full.mkdir()
        (full / "kept").write_text("by somebody")
        for wrong, said in (
            (str(full), "not empty"),
            (str(data / "pg_tblspc" / "x"), "one in the other"),
            (str(places[0]), "not empty"),
        ):
            wish = Wish(spaces=parse_spaces([f"{places[0]}={wrong}"]))
            with pytest.raises(Refused, match=said):
                restore_to(job, made.id, data, wish=wish)
        with pytest.raises(Refused, match=r"has no tablespace '/nowhere'; it has: .*fast one"):
            restore_to(job, made.id, data, wish=Wish(spaces={"/nowhere": there}))
        assert sorted(each.name for each in work.iterdir() if each.name != "lock") == ["full"]
        restore_to(job, made.id, data, wish=Wish(spaces=parse_spaces([f"{places[0]}={there}"])))
        link = data / "pg_tblspc" / first
        assert link.is_symlink()
        assert link.resolve() == there.resolve()
        assert any(there.rglob("PG_VERSION")) or any(there.glob("PG_*/*/*"))
        database = job.declared("orders").database
        with (
            pytest.raises(CheckFailed, match="is a link out of the copy"),
            database.serve(data, work, Deadline.after(60)),
        ):
            pass
        link.unlink()
        shutil.copytree(there, link)
        with database.serve(data, work, Deadline.after(60)) as dsn:
            assert sums(dsn) == sums(server.dsn())


@pytest.mark.parametrize("text", ["", "x", "16384=here", "=/a", "16384="])
def test_a_map_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="OID=DIR or OLD=DIR"):
        parse_spaces([text])
    with pytest.raises(UsageError, match="twice"):
        parse_spaces(["1=/a", "2=/a"])


@given(st.sets(st.integers(0, 40)), st.sets(st.integers(0, 40)))
def test_every_segment_is_in_one_row_and_rows_have_no_holes(one: set[int], two: set[int]) -> None:
    names = {f"00000001000000A0{each:08X}" for each in one}
    names |= {f"0000000B000000A0{each:08X}" for each in two}
    rows = list(runs_of(names))
    found = [
        f"{first[:16]}{at:08X}"
        for first, last in rows
        for at in range(int(first[16:], 16), int(last[16:], 16) + 1)
    ]
    assert sorted(found) == sorted(names)
    assert all(first[:16] == last[:16] for first, last in rows)


def test_a_tar_that_is_cut_or_holds_a_link_is_refused() -> None:
    whole = file_header("PG_15_1/5/1", 3) + b"abc" + bytes(509) + bytes(1024)
    archive = archive_of("16384.tar")
    made = archive.begin() + b"".join(bytes(each) for each in archive.feed(whole))
    archive.end()
    with tarfile.open(fileobj=io.BytesIO(made + bytes(1024))) as tar:
        assert [each.name for each in tar] == ["pg_tblspc", "pg_tblspc/16384",
                                               "pg_tblspc/16384/PG_15_1/5/1"]  # fmt: skip
    cut = archive_of("16384.tar")
    list(cut.feed(whole[:600]))
    with pytest.raises(IntegrityError, match="was cut"):
        cut.end()
    link = tarfile.TarInfo("pg_wal")
    link.type, link.linkname = tarfile.SYMTYPE, "/elsewhere"
    for name in ("base.tar", "16384.tar"):
        with pytest.raises(IntegrityError, match="neither a file nor a folder"):
            list(archive_of(name).feed(link.tobuf(tarfile.USTAR_FORMAT)))
    for name in ("x.tar", "../1.tar", "", "016384.tar"):
        with pytest.raises(IntegrityError, match="no tar that is known"):
            archive_of(name)


def test_the_list_of_files_stays_a_list_without_the_map() -> None:
    head = b'{ "PostgreSQL-Backup-Manifest-Version": 1,\n"Files": [\n%s],\n"WAL-Ranges": [\n],\n'
    entry = b'{ "Path": "%s", "Size": 1 }'

    def manifest(*names: bytes) -> bytes:
        told = head % (b",\n".join(entry % name for name in names) + b"\n")
        digest = hashlib.sha256(told).hexdigest().encode()
        return told + b'"Manifest-Checksum": "' + digest + b'"}\n'

    for names in ((b"tablespace_map", b"a"), (b"a", b"tablespace_map"), (b"a", b"b")):
        rest = [each for each in names if each != b"tablespace_map"]
        assert without_map(manifest(*names)) == manifest(*rest)
    with pytest.raises(IntegrityError, match="damaged"):
        without_map(manifest(b"a").replace(b'"a"', b'"b"'))
