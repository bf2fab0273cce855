"""Do a real nginx' workers send work where its file was told to, and to nowhere else?"""

from __future__ import annotations

import contextlib
import socket
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, Transient, UsageError
from sre.failover.traffic.nginx import NginxTraffic
from sre.failover.traffic.nginxfile import Declared, Wish, edited, servers, upstreams, value_of
from tests.servers.child import program
from tests.servers.net import free_port, wait_until
from tests.servers.nginx import Nginx, running_nginx


def soon(seconds: float = 10.0) -> Deadline:
    return Deadline.after(seconds)


@dataclass
class Shop:
    """nginx before two of its own servers, which say their names; the upstream is included."""

    nginx: Nginx
    switch: NginxTraffic
    pool: Path

    def reached(self, times: int = 8) -> set[str]:
        answers = [requests.get(self.nginx.url, timeout=5) for _ in range(times)]
        return {each.text if each.status_code == 200 else str(each.status_code) for each in answers}


@pytest.fixture(scope="module")
def module_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    home = tmp_path_factory.mktemp("nginx-traffic")
    ports = {name: free_port() for name in "ab"}
    pool = home / "pool.inc"
    pool.write_text(
        "# the shop's\nupstream shop {\n  random; # server 10.0.0.9:1;\n"
        f"  server 127.0.0.1:{ports['a']} max_fails=0;\n"
        f"  server 127.0.0.1:{ports['b']}\n    weight=1 max_fails=0 down;\n}}\n"
    )
    front = (
        "server { listen 127.0.0.1:{port}; error_page 503 @closed; "
        f"if (-f {home}/closed.on) {{ return 503; }} location @closed {{ return 503 'later'; }} "
        "location / { proxy_pass http://shop; proxy_buffering off; } }\n"
    )
    backs = "".join(
        f"server {{ listen 127.0.0.1:{port}; location / {{ return 200 {name}; }} "
        "location /slow { limit_rate 4000; root HOME; } }\n"
        for name, port in ports.items()
    ).replace("HOME", str(home / "files"))
    (home / "files").mkdir()
    (home / "files" / "slow").write_text("x" * 200000)
    home.chmod(0o755)
    with running_nginx(home, front + backs, http=f"include {pool};\n") as nginx:
        argv = [program("nginx"), "-e", str(home / "error.log"), "-p", str(home)]
        made = NginxTraffic(
            config=str(pool), upstream="shop", main=str(home / "n.conf"),
            servers={name: f"127.0.0.1:{port}" for name, port in ports.items()},
            test=(*argv, "-t", "-c", "{file}"),
            reload=(*argv, "-s", "reload", "-c", str(home / "n.conf")),
            maintenance=str(home / "closed.on"),
        )  # fmt: skip
        yield Shop(nginx, made, pool)


@pytest.fixture
def shop(module_shop: Shop) -> Iterator[Shop]:
    text = module_shop.pool.read_bytes()
    yield module_shop
    module_shop.pool.write_bytes(text)
    module_shop.switch.repoint("a", soon(20))
    module_shop.pool.write_bytes(text)
    module_shop.switch.drain("b", soon())


def test_work_goes_where_it_is_told(shop: Shop) -> None:
    made = shop.switch
    assert (made.look(soon()).open(), made.look(soon()).problems) == (("a",), ())
    assert shop.reached() == {"a"}
    before = shop.pool.read_bytes()
    made.open("b", soon())
    assert shop.reached(40) == {"a", "b"}
    assert shop.pool.read_bytes() == before.replace(b"max_fails=0 down;", b"max_fails=0;")
    made.repoint("b", soon())
    assert shop.reached() == {"b"}
    workers = shop.nginx.workers()
    made.repoint("b", soon())
    assert shop.nginx.workers() == workers  # nothing to change: no reload
    assert made.look(soon()).problems == ()


def test_weights(shop: Shop) -> None:
    shop.switch.open("b", soon())
    shop.switch.weigh("b", 9, soon())
    assert [each.weight for each in shop.switch.look(soon()).servers] == [1, 9]
    answers = Counter(requests.get(shop.nginx.url, timeout=5).text for _ in range(120))
    assert answers["b"] > answers["a"] * 2
    with pytest.raises(UsageError, match="from 1"):
        shop.switch.weigh("b", 0, soon())


def test_drain_keeps_sessions_and_close_ends_them(shop: Shop) -> None:
    made = shop.switch
    made.open("b", soon())
    with slow_client(shop) as client:
        made.drain("a", soon())
        assert shop.reached() == {"b"}
        assert "still finish" in made.look(soon()).notes[0]
        assert made.look(soon()).servers[0].state == "draining"
        client.settimeout(5)
        assert client.recv(10)
        made.close("a", soon(3))
        assert made.look(soon()).notes == ()
        with contextlib.suppress(ConnectionError):
            while client.recv(65536):
                pass
    assert shop.reached() == {"b"}


@contextlib.contextmanager
def slow_client(shop: Shop) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", shop.nginx.port), timeout=10) as raw:
        raw.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        assert raw.recv(20)
        yield raw


def test_a_configuration_that_nginx_rejects_is_taken_back(shop: Shop) -> None:
    broken = shop.pool.read_bytes() + b"nonsense;\n"
    shop.pool.write_bytes(broken)
    workers = shop.nginx.workers()
    with pytest.raises(CheckFailed, match=r"rejects the changed file.*nonsense"):
        shop.switch.open("b", soon())
    assert shop.pool.read_bytes() == broken
    assert shop.nginx.workers() == workers
    assert shop.reached() == {"a"}


def test_a_file_that_was_changed_without_a_reload_is_told(shop: Shop) -> None:
    wait_until(lambda: not shop.switch.look(soon()).problems, 5, "a fresh start")
    time.sleep(0.05)
    shop.pool.write_bytes(shop.pool.read_bytes() + b"# by hand\n")
    way = shop.switch.look(soon())
    assert "reload it" in way.problems[0]
    assert {each.state for each in way.servers} == {"unknown"}
    shop.switch.open("a", soon())  # nothing to edit, and a reload is due
    assert shop.switch.look(soon()).problems == ()


def test_the_maintenance_page(shop: Shop) -> None:
    for on, expected in ((True, "503"), (True, "503"), (False, "a"), (False, "a")):
        shop.switch.maintain(on, soon())
        assert shop.switch.look(soon()).maintenance is on
        assert shop.reached(2) == {expected}
    with pytest.raises(UsageError, match="give `maintenance`"):
        replace(shop.switch, maintenance="").maintain(True, soon())


def test_words_for_what_is_wrong(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="known: a, b"):
        shop.switch.drain("c", soon())
    with pytest.raises(CheckFailed, match="it has: shop"):
        replace(shop.switch, upstream="shops").look(soon())
    (tmp_path / "pid").write_text("999999999")
    for pid in (tmp_path / "pid", tmp_path / "none"):
        with pytest.raises(Transient, match="does not run"):
            replace(shop.switch, pid=str(pid)).repoint("b", soon())
    idle = replace(shop.switch, reload=("true",))
    with pytest.raises(CheckFailed, match="did not start new workers"):
        idle.open("b", soon(0.5))
    with pytest.raises(ValueError, match="two names"):
        NginxTraffic("c", "u", {"a": "h:1", "b": "h:1"})


def test_the_main_file_itself_is_tested_as_a_draft(tmp_path: Path) -> None:
    port = free_port()
    more = f"upstream u {{ server 127.0.0.1:{port}; server 127.0.0.1:1 down; }}"
    with running_nginx(tmp_path, "server { listen 127.0.0.1:{port}; }", http=more):
        argv = [program("nginx"), "-e", str(tmp_path / "error.log"), "-p", str(tmp_path)]
        made = NginxTraffic(
            str(tmp_path / "n.conf"), "u", test=(*argv, "-t", "-c", "{file}"),
            reload=(*argv, "-s", "reload", "-c", str(tmp_path / "n.conf")),
        )  # fmt: skip
        made.repoint("127.0.0.1:1", soon())
        assert (made.look(soon()).open(), made.look(soon()).problems) == (("127.0.0.1:1",), ())
        assert [path for path in tmp_path.iterdir() if "draft" in path.name] == []


STREAM = b"""\
pid /run/x.pid; # server 1.1.1.1:1;
stream {
  upstream "pg" { # {
    server 10.0.0.1:5432;server 'unix:/run/b {1}' weight=3 down ; server [fd00::1]:1 backup;
  }
  server { listen 1; proxy_pass pg; }
}
http { upstream pg2 { server 10.0.0.1:5432 down; } server { server_name "a;b"; } }
"""


def test_the_stream_module_and_odd_words() -> None:
    """Debian's nginx here has no stream module: its syntax alone is tested."""
    assert servers(STREAM, "pg") == (
        Declared("10.0.0.1:5432", False, 1), Declared("unix:/run/b {1}", True, 3),
        Declared("[fd00::1]:1", False, 1),
    )  # fmt: skip
    assert (upstreams(STREAM), value_of(STREAM, "pid")) == (("pg", "pg2"), "/run/x.pid")
    made = edited(STREAM, "pg", {"10.0.0.1:5432": Wish(True, 2), "unix:/run/b {1}": Wish(False)})
    assert made == STREAM.replace(
        b"10.0.0.1:5432;server", b"10.0.0.1:5432 down weight=2;server"
    ).replace(b"weight=3 down ;", b"weight=3 ;")
    with pytest.raises(KeyError, match=r"10\.0\.0\.9"):
        edited(STREAM, "pg", {"10.0.0.9:1": Wish(True)})


@given(st.binary(max_size=300), st.binary(max_size=100))
def test_any_bytes_can_be_read(before: bytes, inside: bytes) -> None:
    for text in (before, before + b"upstream u {" + inside + b"}"):
        wishes = {each.address: Wish(True, 5) for each in servers(text, "u")}
        made = edited(text, "u", wishes)
        assert edited(made, "u", wishes) == made
        assert wishes or made == text
