"""Does any spelling of a forbidden address, from anywhere, ever lead to a connection?"""

from __future__ import annotations

import ipaddress
import json
import threading
import time
from pathlib import Path

import pycurl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.journey.build import BadRequest, clean
from sre.journey.guard import Admission, Blocked, Guard, Unresolved, parse_entry
from sre.journey.host import canonical_host, origin_of
from sre.journey.result import Outcome, Reason
from tests.servers.hostile import Hostile
from tests.servers.net import Canary
from tests.unit.journey.kit import declare, real

LOOPBACK = [
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0x7F.0x0.0x0.0x1",
    "017700000001", "0177.0.0.1", "00000177.1", "127.0.0.1.", "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:0001]", "[64:ff9b::127.0.0.1]", "[2002:7f00:1::]",
    "127%2e0%2e0%2e1", "%31%32%37.0.0.1", "１２７.０.０.１", "127。0。0。1", "①②⑦.0.0.1", "0",
    "0.0.0.0", "[::]", "[::1]", "127.127.127.127", "localhost", "LOCALHOST.", "a.localhost",
]  # fmt: skip
METADATA = [
    "169.254.169.254", "2852039166", "0xa9fea9fe", "0xA9.0xFE.0xA9.0xFE", "025177524776",
    "0251.0376.0251.0376", "169.254.43518", "169.16689662", "169.254.169.254.",
    "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]",
    "169%2E254.169.254", "１６９.254.169.254", "169。254。169。254", "[fd00:ec2::254]",
    "[fe80::1]", "[FE80:0::1]",
]  # fmt: skip
TRICKS = [
    "http://shop.test@127.0.0.1:{port}/", "http://shop.test:80@127.0.0.1:{port}/",
    "http://@127.0.0.1:{port}/", "http://127.0.0.1:{port}#@shop.test/",
    "http://127.0.0.1:{port}\\@shop.test/", "http://shop.test\\@127.0.0.1:{port}/",
    "http://shop.test%40127.0.0.1:{port}/", "http://127.0.0.1:{port}%2f@shop.test/",
    "http://127.0.0.1\\.shop.test:{port}/", "HTTP://127.0.0.1:{port}/", "//127.0.0.1:{port}/",
    "http://127.0.0.1:{port}?@shop.test/", "\t//127.0.0.1:{port}/", "ftp://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/_x", "file:///etc/passwd", "dict://127.0.0.1:{port}/",
]  # fmt: skip


def _yaml(text: str) -> str:
    return json.dumps(text)


@pytest.mark.parametrize("host", [*LOOPBACK, *METADATA])
def test_no_spelling_of_an_address_gets_through(
    tmp_path: Path, hostile: Hostile, canary: Canary, host: str
) -> None:
    _leads_nowhere(tmp_path, hostile, canary, f"http://{host}:{canary.port}/")


@pytest.mark.parametrize("url", TRICKS)
def test_no_trick_in_an_address_gets_through(
    tmp_path: Path, hostile: Hostile, canary: Canary, url: str
) -> None:
    _leads_nowhere(tmp_path, hostile, canary, url.format(port=canary.port))


def _leads_nowhere(folder: Path, hostile: Hostile, canary: Canary, url: str) -> None:
    """As a step's address, as an extracted value, as a redirect's target."""
    for steps in (
        f"- {{name: a, get: {_yaml(url)}}}",
        f"- {{name: a, get: /json, query: {{u: {_yaml(url)}}}, extract: {{u: {{json: u}}}}}}\n"
        '- {name: b, get: "${u}"}',
        f"- {{name: a, get: /redirect, query: {{to: {_yaml(url)}}}}}",
    ):
        if "redirect" in steps and not url.isascii():
            continue  # a header carries bytes; the shop would send punycode
        settings = declare(folder, steps, base=hostile.url, allow=hostile.origin)
        result = real(settings)
        assert (result.outcome, result.reason) == (Outcome.BLOCKED, Reason.NONE), (steps, result)
    assert canary.connections == 0


@pytest.mark.parametrize("host", LOOPBACK)
def test_what_libcurl_connects_is_what_the_guard_saw(host: str) -> None:
    """Whatever libcurl itself makes of a host, the guard has judged that same address."""
    opened: list[str] = []

    def note(_purpose: int, address: tuple[object, object, object, tuple[str, int]]) -> int:
        opened.append(address[3][0])
        return int(pycurl.SOCKET_BAD)

    handle = pycurl.Curl()
    handle.setopt(pycurl.URL, f"http://{host}:9/".encode())
    handle.setopt(pycurl.PROXY, "")
    handle.setopt(pycurl.OPENSOCKETFUNCTION, note)
    with pytest.raises(pycurl.error):
        handle.perform()
    ours = Guard(["127.0.0.0/8:9", "0.0.0.0/32:9", "[::]:9", "[::1]:9", "localhost:9",
                  "*.localhost:9"]).admit(host, 9, 1)  # fmt: skip
    wanted = ipaddress.ip_address(ours.address)
    for text in opened:
        seen = ipaddress.ip_address(text)
        mapped = getattr(seen, "ipv4_mapped", None)
        local = seen.is_loopback and wanted.is_loopback
        assert wanted in (seen, mapped) or local, (host, text, ours)


def resolving(*answers: list[str]) -> Guard:
    left = list(answers)

    def resolve(host: str, port: int) -> list[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return Guard(
        ["shop.test:80", "*.cdn.test:443", "10.1.0.0/16:80", "müller.test:80"], resolve=resolve
    )


def test_a_name_admits_global_addresses_alone() -> None:
    assert resolving(["93.184.216.34"]).admit("SHOP.test.", 80, 1).address == "93.184.216.34"
    assert resolving(["2606:4700::1"]).admit("shop.test", 80, 1).authority == "[2606:4700::1]:80"
    for private in (
        "127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.1", "169.254.1.1",
        "0.0.0.0", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::", "fc00::1",
        "fe80::1", "fec0::1",
        "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::1", "2002:a00:1::", "ff02::1",
        "192.0.0.8", "100.100.100.200", "168.63.129.16", "fd00:ec2::254",
    ):  # fmt: skip
        with pytest.raises(Blocked, match="nothing was sent"):
            resolving([private]).admit("shop.test", 80, 1)


def test_what_else_is_on_the_list() -> None:
    guard = resolving(["10.1.2.3"])
    assert guard.admit("shop.test", 80, 1).address == "10.1.2.3"  # the network admits it too
    assert guard.admit("10.1.2.3", 80, 1) == Admission("10.1.2.3", 80, "10.1.2.3")
    assert resolving(["1.1.1.1"]).admit("a.b.cdn.test", 443, 1).address == "1.1.1.1"
    assert resolving(["1.1.1.1"]).admit("MÜLLER.test", 80, 1).address == "1.1.1.1"
    for host, port in (
        ("10.1.2.3", 81), ("10.2.0.1", 80), ("shop.test", 81), ("cdn.test", 443),
        ("xcdn.test", 443), ("shop.test.evil", 80), ("a.shop.test", 80), ("localhost", 80),
    ):  # fmt: skip
        with pytest.raises(Blocked):
            resolving(["1.1.1.1"]).admit(host, port, 1)


def test_a_mixed_answer_leads_to_its_global_part() -> None:
    for answers in (["10.0.0.1", "1.1.1.1"], ["1.1.1.1", "10.0.0.1"]):
        assert resolving(answers).admit("shop.test", 80, 1).address == "1.1.1.1"


def test_behind_nat64_the_synthesised_address_is_the_one_to_connect() -> None:
    assert resolving(["64:ff9b::101:101"]).admit("shop.test", 80, 1).address == "64:ff9b::101:101"


def test_link_local_only_where_it_is_listed_itself() -> None:
    assert Guard(["169.254.169.254:80"]).admit("0xa9fea9fe", 80, 1).address == "169.254.169.254"
    for entry in ("169.254.0.0/16:80", "0.0.0.0/0:80", "169.254.169.253:80"):
        with pytest.raises(Blocked):
            Guard([entry]).admit("169.254.169.254", 80, 1)


def test_without_a_list_only_the_shop_itself() -> None:
    for base in ("http://127.0.0.1:81", "http://[::1]:81", "http://shop.test:81"):
        guard = Guard([], base, lambda host, port: ["1.1.1.1"])
        guard.admit(origin_of(base)[1], 81, 1)
        for host, port in (("127.0.0.1", 82), ("127.0.0.2", 81), ("other.test", 81)):
            with pytest.raises(Blocked):
                guard.admit(host, port, 1)
    with pytest.raises(Blocked):
        Guard([]).admit("shop.test", 80, 1)


@pytest.mark.parametrize(
    "text",
    ["", "a", "a:", ":80", "a:0", "a:65536", "a:²", "http://a:80", "*:80", "a.*:80",
     "10.0.0.1/8:80", "a b:80", "1.2.3.4.5:80", "0x7f.1:80", "user@a:80", "*.*.a:80"],
)  # fmt: skip
def test_entries_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_entry(text)


def test_a_resolver_that_hangs_is_a_dns_failure_in_time(tmp_path: Path) -> None:
    held = threading.Event()

    def resolve(host: str, port: int) -> list[str]:
        held.wait(30)
        return []

    settings = declare(tmp_path, "- {name: a, get: /, timeout: 200ms}")
    began = time.monotonic()
    result = real(settings, guard=Guard(["shop.test:80"], resolve=resolve))
    took = time.monotonic() - began
    held.set()
    assert (result.outcome, result.reason) == (Outcome.FAILED, Reason.DNS)
    assert 0.15 < took < 2


@pytest.mark.parametrize("error", [OSError(-2, "Name or service not known"), UnicodeError("label")])
def test_a_name_that_does_not_exist(tmp_path: Path, error: Exception) -> None:
    def resolve(host: str, port: int) -> list[str]:
        raise error

    guard = Guard(["shop.test:80"], resolve=resolve)
    with pytest.raises(Unresolved):
        guard.admit("shop.test", 80, 1)
    result = real(declare(tmp_path, "- {name: a, get: /}"), guard=guard)
    assert (result.outcome, result.reason) == (Outcome.FAILED, Reason.DNS)
    assert next(iter(result.rows)).phases == {}


def test_rebinding_leads_nowhere(tmp_path: Path, canary: Canary) -> None:
    """Public when it is first asked, loopback then: each run is judged and pinned anew."""
    answers = [["127.0.0.1"], ["10.0.0.1", "127.0.0.1"]]
    guard = Guard(["shop.test:*"], resolve=lambda host, port: answers.pop(0))
    settings = declare(tmp_path, "- {name: a, get: /}", base=f"http://shop.test:{canary.port}")
    for _ in range(2):
        assert real(settings, guard=guard).outcome is Outcome.BLOCKED
    assert canary.connections == 0


def test_one_run_asks_dns_once(tmp_path: Path, hostile: Hostile) -> None:
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.255.255.1"]

    settings = declare(
        tmp_path, "[{name: a, get: /}, {name: b, get: /echo}]".join(["steps: ", ""]),
        base=f"http://shop.test:{hostile.port}",
    )  # fmt: skip
    result = real(settings, guard=Guard(["shop.test:*", "127.0.0.1:*"], resolve=resolve))
    assert (result.outcome, asked) == (Outcome.OK, ["shop.test"])
    first, second = result.rows
    assert set(first.phases) == {"resolve", "connect", "processing", "transfer"}
    assert set(second.phases) == {"processing", "transfer"}
    assert hostile.requests[1].header("host") == f"shop.test:{hostile.port}"


@given(st.text(max_size=80), st.sampled_from(["", "http://", "//", "https://a", "http://1.2."]))
def test_cleaning_an_address_never_surprises(text: str, before: str) -> None:
    try:
        cleaned = clean(before + text, "http://shop.test/dir/page")
    except BadRequest:
        return
    assert cleaned.isascii()
    assert not set(cleaned) & set("\r\n\t\0 \\#")
    assert clean(cleaned) == cleaned
    scheme, host, port = origin_of(cleaned)
    assert scheme in ("http", "https")
    assert canonical_host(host) == host
    assert 0 < port < 65536


def test_the_cure_for_ipv6_can_be_written_as_it_stands() -> None:
    with pytest.raises(Blocked, match=r"add '\[::1\]:81' to targets\.allow"):
        Guard([], "http://127.0.0.1:80").admit("::1", 81, 1)
    Guard(["[::1]:81"], "http://127.0.0.1:80").admit("::1", 81, 1)
