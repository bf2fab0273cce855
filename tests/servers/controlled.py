"""How does a test get a service that nobody has started yet, and a node's control of each kind?"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sre.core.clock import Deadline
from sre.failover.control.command import CommandControl
from sre.failover.control.local import LocalControl
from sre.failover.control.ssh import SshControl
from sre.failover.nodes import Control, Service
from tests.servers import mariadb, postgresql
from tests.servers.child import program
from tests.servers.net import free_port, missing
from tests.servers.sshd import Sshd

__all__ = ["KINDS", "control_of", "ends", "prepared", "soon", "states", "workers"]

KINDS = ("local", "ssh", "command")
NOBODY = 65534


def soon(seconds: float = 20.0) -> Deadline:
    return Deadline.after(seconds)


@contextlib.contextmanager
def prepared(engine: str, name: str = "data") -> Iterator[Service]:
    """A service with data of its own that does not run yet; what runs in the end is killed."""
    home = Path(tempfile.mkdtemp(prefix="sre-test-control-", dir="/tmp"))
    home.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(home, NOBODY, NOBODY)
    made = _MAKERS[engine](home, home / name)
    try:
        yield made
    finally:
        ends(made)
        shutil.rmtree(home, ignore_errors=True)


def _postgres(home: Path, data: Path) -> Service:
    programs = postgresql.bin_dir("15")
    argv = [str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "--no-sync"]
    postgresql._run(argv)
    with (data / "postgresql.conf").open("a") as file:
        file.write(f"unix_socket_directories = '{home}'\nfsync = off\nshared_buffers = '16MB'\n")
    return Service("postgres", str(data), str(programs), free_port(), str(home / "log"))


def _redis(home: Path, data: Path) -> Service:
    where = program("redis-server")
    data.mkdir()
    if os.geteuid() == 0:
        os.chown(data, NOBODY, NOBODY)
    options = ("--bind", "127.0.0.1", "--save", "", "--pidfile", str(data / "pid"))
    return Service(
        "redis", str(data), str(Path(where).parent), free_port(), str(home / "log"), options
    )


def _mariadb(home: Path, data: Path) -> Service:
    if not shutil.which("mariadbd", path="/usr/sbin:/usr/bin"):
        missing("mariadbd")
    made = home / "d"
    home.chmod(0o777)
    mariadb._install(home)
    made.rename(data)
    options = (
        "--no-defaults", f"--socket={home / 's'}", f"--pid-file={data / 'pid'}",
        "--bind-address=127.0.0.1", *mariadb._SMALL,
    )  # fmt: skip
    where = shutil.which("mariadbd", path="/usr/sbin:/usr/bin") or ""
    return Service(
        "mariadb", str(data), str(Path(where).parent), free_port(), str(home / "log"), options
    )


_MAKERS: dict[str, Callable[[Path, Path], Service]] = {
    "postgres": _postgres,
    "redis": _redis,
    "mariadb": _mariadb,
}


def states(service: Service) -> dict[int, str]:
    """pid -> state of whatever works in its folder, zombies too: not by the code under test."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if stat.with_name("cwd").samefile(service.data_dir):
                found[int(stat.parts[2])] = stat.read_text().rpartition(") ")[2][0]
    return found


def workers(service: Service) -> list[int]:
    """Those of `states` that live."""
    return sorted(pid for pid, state in states(service).items() if state not in "ZX")


def ends(service: Service) -> None:
    """Whatever works in its folder is killed."""
    for _ in range(200):
        pids = workers(service) if Path(service.data_dir).exists() else []
        if not pids:
            return
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


_PROGRAM = r"""#!/bin/sh
# what a user might have written: ACTION ENGINE DATA BIN PORT MODE [the server's options]
action=$1 engine=$2 data=$3 bin=$4 port=$5 mode=$6
shift 6
pidfile=$data/pid
[ "$engine" != postgres ] || pidfile=$data/postmaster.pid
alive() {
  [ -f "$pidfile" ] && read -r pid <"$pidfile" && [ -d "/proc/$pid" ] || return 1
  read -r line <"/proc/$pid/stat" && case ${line##*) } in Z*) return 1 ;; esac
}
case $action in
start)
  alive || rm -f "$pidfile" "$data/../.s.PGSQL.$port.lock" # the pid in it may be a zombie's
  case $engine in
  postgres) set -- "$bin/postgres" -D "$data" -p "$port" "$@" ;;
  redis) set -- "$bin/redis-server" "$@" --dir "$data" --port "$port" --daemonize yes ;;
  mariadb) set -- "$bin/mariadbd" "$@" "--datadir=$data" "--port=$port" ;;
  esac
  cd / && $PREFIX setsid "$@" </dev/null >>"$data/../words" 2>&1 &
  until alive; do sleep 0.01; done ;;
stop)
  alive || exit 0
  case $engine:$mode in
  postgres:fast) kill -INT "$pid" ;;
  postgres:*) kill -QUIT "$pid" ;;
  *:fast) kill -TERM "$pid" ;;
  *) kill -KILL "$pid" ;;
  esac ;;
kill) alive || exit 0; kill -KILL "$pid" ;;
life) alive && exit 0; exit 3 ;;
mask) : >"$data/fenced" ;;
unmask) rm -f "$data/fenced" ;;
esac
"""


def control_of(kind: str, service: Service, sshd: Sshd | None = None) -> Control:
    """A node's control of a kind."""
    if kind == "local":
        return LocalControl()
    if kind == "ssh":
        assert sshd is not None
        return SshControl(
            "127.0.0.1", user=sshd.user, port=sshd.port, key=sshd.key, known_hosts=sshd.known_hosts
        )
    as_user: tuple[str, ...] = ("env",)
    if os.geteuid() == 0:
        own = Path(service.data_dir).stat()
        as_user = (
            "setpriv",
            f"--reuid={own.st_uid}",
            f"--regid={own.st_gid}",
            "--clear-groups",
            "--",
        )
    script = Path(service.data_dir).parent / f"node-{secrets.token_hex(4)}"
    script.write_text(_PROGRAM.replace("$PREFIX", " ".join(as_user)))
    script.chmod(0o755)
    told = ("{engine}", "{data_dir}", "{bin_dir}", "{port}", "{mode}")
    acts = {
        f"{name}_": (str(script), name, *told)
        for name in ("start", "stop", "kill", "life", "mask", "unmask")
    }
    return CommandControl(**{**acts, "start_": (*acts["start_"], *service.options)}, run_=as_user)
