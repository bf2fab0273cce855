"""Are a page's numbers judged rightly, its door kept, its pictures few? Without a browser."""

from __future__ import annotations

import contextlib
import socket
import struct
from pathlib import Path
from typing import Any

import pytest

from sre.core.units import Duration, Size
from sre.journey.guard import Admission, Guard
from sre.journey.result import Outcome, Reason
from sre.probes.browser.door import Door, Refusal
from sre.probes.browser.shots import keep_picture, slug
from sre.probes.browser.verdict import Expect, Wanted, judge
from sre.probes.browser.vitals import Limits, blocking, judge_limits, numbers, phases, shifted
from sre.probes.kinds.browser import BrowserProbe
from tests.servers.hostile import Hostile
from tests.servers.net import Canary, free_port

FINE = {"status": 200, "page": {"timing": {}, "title": "Shop", "selector": True, "contains": True}}


@pytest.mark.parametrize(
    ("shifts", "expected"),
    [
        pytest.param([], 0.0, id="nothing moved"),
        pytest.param([[100, 0.1], [600, 0.1]], 0.2, id="one window"),
        pytest.param([[100, 0.1], [1200, 0.15]], 0.15, id="a gap of a second begins a new one"),
        pytest.param([[i * 900, 0.1] for i in range(9)], 0.6, id="a window lasts five seconds"),
        pytest.param([[600, 0.1], [100, 0.2]], 0.3, id="in any order"),
    ],
)
def test_shifts_are_summed_by_windows(shifts: list[list[float]], expected: float) -> None:
    assert shifted(shifts) == pytest.approx(expected)


def test_long_tasks_count_beyond_50_ms_after_the_first_paint() -> None:
    assert blocking([[0, 90], [200, 80], [400, 40]], fcp=100) == pytest.approx(0.03)
    assert blocking([[0, 90]], fcp=None) == pytest.approx(0.04)


def test_phases_of_the_document() -> None:
    timing = {
        "connectStart": 10, "secureConnectionStart": 15, "connectEnd": 40, "requestStart": 41,
        "responseStart": 141, "responseEnd": 151, "name": "text",
    }  # fmt: skip
    expected = {
        "resolve": 0.002,
        "connect": 0.005,
        "tls": 0.025,
        "processing": 0.1,
        "transfer": 0.01,
    }
    assert phases(timing, 0.002) == pytest.approx(expected)
    assert phases({"connectStart": 5, "connectEnd": 5}, None) == {}


def test_what_did_not_happen_is_absent() -> None:
    found = numbers({"requests": 3, "failed": [["a", 1, "x", 2]], "bad": 1, "page": {}}, 2)
    assert found == {"requests": 3, "failed_requests": 1, "blocked": 2}


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"lcp": Duration(2.5)}, Reason.SLOW),
        ({"cls": 0.1}, Reason.BODY),
        ({"weight": Size(1000)}, Reason.BODY),
        ({"script_errors": 0}, Reason.BODY),
        ({"load": Duration(9.0)}, Reason.BODY),  # not measured: cannot be judged
    ],
)
def test_limits(limits: dict[str, Any], expected: Reason) -> None:
    found = {"lcp": 3.0, "cls": 0.2, "weight": 2000.0, "script_errors": 1.0}
    outcome, reason, message = judge_limits(found, Limits(), Limits(**limits))
    assert (outcome, reason) == (Outcome.DEGRADED, expected)
    assert message
    if "load" not in limits:
        assert judge_limits(found, Limits(**limits), Limits())[0] is Outcome.FAILED


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, ("ok", "")),
        ({"error": "ERR_CERT_DATE_INVALID"}, ("failed", "tls")),
        ({"error": "ERR_EMPTY_RESPONSE"}, ("failed", "protocol")),
        ({"error": "ERR_TOO_MANY_REDIRECTS"}, ("failed", "protocol")),
        ({"error": "ERR_CONTENT_DECODING_FAILED"}, ("failed", "body")),
        ({"error": "ERR_HTTP_RESPONSE_CODE_FAILURE", "status": 500}, ("failed", "status")),
        ({"status": 404}, ("failed", "status")),
        ({"late": "wait"}, ("failed", "timeout")),
        ({"crashed": True}, ("failed", "body")),
    ],
)
def test_each_trouble_has_its_reason(change: dict[str, Any], expected: tuple[str, str]) -> None:
    found = judge({**FINE, **change}, {}, Wanted(), None)
    assert (found.outcome.value, found.reason.value) == expected


def test_a_connection_that_was_refused_says_why() -> None:
    refusal = Refusal(Reason.NONE, "not on the allow-list", Outcome.BLOCKED)
    found = judge({"error": "ERR_SOCKS_CONNECTION_FAILED"}, {}, Wanted(), refusal)
    assert found == (Outcome.BLOCKED, Reason.NONE, "not on the allow-list")


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ({"selector": False}, "'h1' is not on the page"),
        ({"selector": None}, "'h1' is no CSS selector"),
        ({"contains": False}, "does not say 'kettle'"),
        ({"title": "Error"}, "the title is 'Error'"),
    ],
)
def test_expectations(page: dict[str, Any], words: str) -> None:
    wanted = Wanted(expect=Expect("h1", "kettle", "Shop"))
    facts = {**FINE, "page": {**FINE["page"], **page}}  # type: ignore[dict-item]
    assert words in judge(facts, {}, wanted, None).message


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ({"wait": " "}, "wait must be"),
        ({"username": "a"}, "go together"),
        ({"keep": -1}, "keep"),
        ({"url": "/${nope}"}, "nope"),
    ],
)
def test_a_wrong_declaration_is_refused(words: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        BrowserProbe(**{"url": "/", **words})


def test_pictures_are_few_and_of_no_query(tmp_path: Path) -> None:
    url = "https://shop.example.com/kettles/7?token=abc"
    assert slug(url) == "shop.example.com-kettles-7"
    other = keep_picture(tmp_path, "https://shop.example.com/", b"x", 2, 1.0)
    made = [keep_picture(tmp_path, url, b"x", 2, 1000.0 + n) for n in range(4)]
    assert sorted(tmp_path.iterdir()) == sorted([other, *made[2:]])


# --- the door -------------------------------------------------------------------------------


def asked(door: Door, host: str, port: int) -> tuple[int, socket.socket]:
    """The door's answer to a SOCKS5 request for a name."""
    client = socket.create_connection(("127.0.0.1", door.port), 5)
    client.sendall(b"\x05\x01\x00")
    assert client.recv(2) == b"\x05\x00"
    name = host.encode()
    client.sendall(b"\x05\x01\x00\x03" + bytes([len(name)]) + name + struct.pack("!H", port))
    return client.recv(10)[1], client


def door_of(guard: Guard, limit: int = 10**6) -> Door:
    return Door(lambda host, port: guard.admit(host, port, 2.0), lambda: 5.0, limit)


def test_the_door_asks_once_and_connects_where_it_was_told(hostile: Hostile) -> None:
    questions: list[str] = []

    def resolve(host: str, _port: int) -> list[str]:
        questions.append(host)
        return ["127.0.0.1"]

    guard = Guard((f"shop.test:{hostile.port}", "127.0.0.1:*"), resolve=resolve)
    with door_of(guard) as door:
        for _ in range(2):
            code, client = asked(door, "shop.test", hostile.port)
            assert code == 0
            client.sendall(b"GET /status/200 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200")
            client.close()
    assert questions == ["shop.test"]


def test_the_door_lets_nothing_else_out() -> None:
    with Canary() as canary, door_of(Guard(("shop.test:443",))) as door:
        for host in ("127.0.0.1", "localhost", "2130706433", "[::1]"):
            code, client = asked(door, host, canary.port)
            client.close()
            assert code == 2
        assert canary.connections == 0
        assert all(refusal is not None and refusal.blocked for refusal in door.places.values())


def test_the_door_says_why_there_is_no_connection() -> None:
    port = free_port()
    with door_of(Guard(("127.0.0.1:*", "no-such-host.invalid:80"))) as door:
        for place, expected in ((("127.0.0.1", port), 5), (("no-such-host.invalid", 80), 4)):
            code, client = asked(door, *place)
            client.close()
            assert code == expected
        refused, unknown = door.refusal("127.0.0.1", port), door.refusal("no-such-host.invalid", 80)
    assert refused is not None
    assert refused.reason is Reason.CONNECT
    assert unknown is not None
    assert unknown.reason is Reason.DNS


def test_the_door_closes_on_too_much_and_on_rubbish(hostile: Hostile) -> None:
    with door_of(Guard(("127.0.0.1:*",)), limit=20) as door:
        door.expect(Admission("127.0.0.1", hostile.port, "127.0.0.1"))
        code, client = asked(door, "127.0.0.1", hostile.port)
        assert code == 0
        client.sendall(b"GET /status/200 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.recv(100) == b""
        assert door.overflowed
        rubbish = socket.create_connection(("127.0.0.1", door.port), 5)
        rubbish.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert rubbish.recv(10) == b""
        rubbish.close()
        client.close()
