"""Is HAProxy understood by the names of its columns, whichever version writes them?"""

from __future__ import annotations

import pytest

from sre.core.errors import CheckFailed
from sre.failover.switches import Server
from sre.failover.traffic.haproxyfile import Declared
from sre.failover.traffic.haproxyruntime import Held, check_address, parse
from sre.failover.traffic.haproxyview import compared, merged

FIRST = (
    "be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
    "srv_time_since_last_change srv_check_status srv_check_result srv_check_health "
    "srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port"
)
COLUMNS = {
    "1.8": (FIRST, ""),
    "2.0": (FIRST + " srvrecord", " -"),
    "2.4 to 3.x": (
        FIRST
        + " srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port",
        " - 0 0 - - 0",
    ),
    "one to come": ("srv_new " + FIRST, ""),
}
ROWS = {  # srv_name: srv_op_state srv_admin_state weights check_state agent_state
    "up": (2, 0, "1 1", 6, 0), "failed": (0, 0, "1 1", 6, 0), "unchecked": (2, 0, "7 7", 0, 0),
    "maint": (0, 1, "1 1", 14, 0), "written": (0, 5, "1 1", 14, 0), "back": (2, 4, "1 1", 6, 0),
    "tracked": (0, 2, "1 1", 0, 0), "unresolved": (0, 96, "1 1", 14, 0),
    "drained": (2, 8, "0 1", 6, 0), "weightless": (2, 0, "0 3", 6, 0),
    "agent": (2, 0, "50 100", 6, 6),
}  # fmt: skip
EXPECTED = {
    "up": ("open", True, False), "failed": ("open", False, False),
    "unchecked": ("open", None, False), "maint": ("closed", None, True),
    "written": ("closed", None, True), "back": ("open", True, False),
    "tracked": ("closed", None, False), "unresolved": ("closed", None, False),
    "drained": ("draining", True, True), "weightless": ("draining", True, False),
    "agent": ("open", True, False),
}  # fmt: skip


def said(version: str, sessions: int = 0) -> str:
    head, rest = COLUMNS[version]
    new = "9 " if head.startswith("srv_new") else ""
    lines = [
        f"{new}3 pg {number} {name} 10.0.0.{number} {op} {admin} {weights} 5 6 3 4 {check} {agent}"
        f" 0 0 - 5432{rest}"
        for number, (name, (op, admin, weights, check, agent)) in enumerate(ROWS.items(), 1)
    ]
    stat = [f"pg,{name},0,0,{sessions},1,,no check" for name in ROWS]
    shown = ["# pxname,svname,qcur,qmax,scur,smax,slim,status", *stat]
    return "\n".join(["1", f"# {head}", *lines, "", *shown, "", ""])


@pytest.mark.parametrize("version", COLUMNS)
def test_every_state_in_every_version(version: str) -> None:
    found = {each.server.name: each for each in parse("\n\n" + said(version), ("pg",))}
    assert {
        name: (each.server.state, each.server.healthy, each.off) for name, each in found.items()
    } == EXPECTED
    assert found["up"].server.address == "10.0.0.1:5432"
    assert (found["weightless"].initial, found["agent"].steered) == (3, True)


def test_maintenance_with_sessions_left_is_not_closed() -> None:
    found = {each.server.name: each.server for each in parse(said("2.0", 2), ("pg",))}
    assert (found["maint"].state, found["maint"].sessions) == ("draining", 2)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("Permission denied", "level admin"),
        ("Can't find backend.", "`backend` says pg"),
        ("No such server.", "No such server"),
        ("<html>400 Bad request</html>", "400 Bad request"),
    ],
)
def test_what_it_refuses(words: str, told: str) -> None:
    for text in (f"{words}\n\n{said('2.0')}", f"{said('2.0')}{words}\n"):
        with pytest.raises(CheckFailed, match=told):
            parse(text, ("pg",))


def test_run_time_and_file_side_by_side() -> None:
    live = [each for each in parse(said("2.0"), ("pg",)) if each.server.name in ("up", "maint")]
    same = [
        Declared("pg", "up", "10.0.0.1:5432", False, 1),
        Declared("pg", "maint", "h:1", True, 1),
    ]
    assert compared(live, same, "f") == []
    other = [
        Declared("pg", "up", "ipv4@10.0.0.9:5432", True, 1),
        Declared("pg", "extra", "h:1", False, 1),
    ]
    assert compared(live, other, "f") == [
        "pg/maint runs, and f does not have it",
        "pg/up is open at run time, and f closes it",
        "pg/up goes to 10.0.0.1:5432, and to 10.0.0.9:5432 in f",
        "pg/extra stands in f, and HAProxy does not have it",
    ]
    held = [Held(7, "0x1", "pg/maint"), Held(7, "0x2", "pg/maint")]
    expected = Server("maint", "10.0.0.4:5432", "draining", "closed", None, 2, 1)
    assert merged(live, held, same)[1] == expected


def test_addresses() -> None:
    for good in ("/run/h.sock", "./h.sock", "127.0.0.1:9999", "[::1]:9", "lb.example:9"):
        check_address(good)
    for bad in ("", "haproxy", "h:", "h:99999999"):
        with pytest.raises(ValueError, match="neither"):
            check_address(bad)
