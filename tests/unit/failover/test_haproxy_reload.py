"""Does what HAProxy was told outlive its reload, in every backend and for every worker?"""

from __future__ import annotations

from pathlib import Path

import pytest

from sre.core.errors import CheckFailed
from sre.failover.traffic.haproxy import HaproxyTraffic
from tests.servers.net import free_port, wait_until
from tests.servers.trafficway import running_front, talker
from tests.unit.failover.haproxykit import hung_up, soon, switch


def test_a_reload_keeps_the_new_primary(tmp_path: Path) -> None:
    with running_front(tmp_path) as front:
        made = switch(front)
        made.quick().repoint("b", soon())
        front.reload()
        assert front.answered() == "a"  # the control: without the file the reload undoes it
        made.repoint("b", soon())
        front.reload()
        assert front.answered() == "b"
        assert made.look(soon()).problems == ()


def test_it_reloads_when_asked_to(tmp_path: Path) -> None:
    with running_front(tmp_path) as front:
        worker = front.say("show info").partition("Pid: ")[2].split()[0]
        asked = switch(front, reload=("kill", "-USR2", str(front.process.pid)))
        asked.repoint("c", soon())
        wait_until(lambda: f"Pid: {worker}\n" not in front.say("show info"), 20, "a new worker")
        assert (front.answered(), asked.look(soon()).problems) == ("c", ())
        with pytest.raises(CheckFailed, match="the reload failed"):
            switch(front, reload=("false",)).repoint("a", soon())
        assert front.answered() == "a"


def test_sessions_that_an_old_worker_holds_end_too(tmp_path: Path) -> None:
    with running_front(tmp_path) as front, talker(front.port) as (held, name):
        assert name == "a"
        front.reload()
        way = switch(front).look(soon())
        assert way.servers[0].sessions == 1
        assert "before a reload" in way.notes[0]
        held.sendall(b"still here\n")
        assert held.recv(20) == b"still here\n"
        switch(front).close("a", soon())
        assert hung_up(held)
        assert switch(front).look(soon()).servers[0].sessions == 0


def test_several_backends_templates_and_checks_by_role(tmp_path: Path) -> None:
    port = free_port()
    more = (
        f"listen pg2\n  bind 127.0.0.1:{free_port()}\n  default-server disabled\n"
        "  server b 127.0.0.1:1\n  server a 127.0.0.1:1 enabled\n"
        "backend many\n  server-template t 2 127.0.0.1:1\n"
        f"backend role\n  option httpchk GET /primary\n  server a 127.0.0.1:1 check port {port} "
        "inter 20ms fall 1\n"
    )
    with running_front(tmp_path, "ab", more=more) as front:
        both = HaproxyTraffic(front.socket, ("pg", "pg2"), config=str(front.config))
        assert both.look(soon()).problems == ()
        both.repoint("b", soon())
        front.reload()
        assert both.look(soon()).problems == ()
        assert (both.look(soon()).open(), front.answered()) == (("b",), "b")
        many = HaproxyTraffic(front.socket, "many", config=str(front.config))
        with pytest.raises(CheckFailed, match="many/t1"):
            many.close("t1", soon())
        assert any("server-template" in each for each in many.look(soon()).problems)
        role = HaproxyTraffic(front.socket, "role", config=str(front.config))
        wait_until(lambda: role.look(soon()).servers[0].healthy is False, 20, "its check")
        assert role.look(soon()).open() == ("a",)
        role.close("a", soon())
        role.open("a", soon())
        assert role.look(soon()).problems == ()


def test_the_maintenance_page_is_a_map(tmp_path: Path) -> None:
    page = tmp_path / "page.map"
    page.write_text("# by sre\n")
    more = (
        (
            "frontend web\n  mode http\n  bind 127.0.0.1:{0}\n"
            "  http-request return status 503 content-type text/plain string closed "
            "if { str(page),map({1},off) -m str on }\n  http-request return status 200\n"
        )
        .replace("{0}", str(free_port()))
        .replace("{1}", str(page))
    )
    with running_front(tmp_path / "h", more=more) as front:
        made = switch(front, maintenance=str(page))
        assert not made.look(soon()).maintenance
        for on in (True, True, False, True):
            made.maintain(on, soon())
            assert made.look(soon()).maintenance is on
            assert page.read_text() == f"# by sre\npage {'on' if on else 'off'}\n"
        front.reload()
        assert (made.look(soon()).maintenance, made.look(soon()).problems) == (True, ())
        with pytest.raises(CheckFailed, match="no map"):
            switch(front, maintenance="/none.map").maintain(True, soon())
