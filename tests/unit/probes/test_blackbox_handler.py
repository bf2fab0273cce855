"""What does /probe answer to whom, within which time, and what does it never touch?"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlencode

import pytest

from sre.core.secrets import Secret
from sre.core.web.answer import Answer, Asked
from sre.journey.guard import Guard
from sre.journey.shop import Shop
from sre.probes.blackbox import handler as handling
from sre.probes.blackbox.handler import Blackbox
from sre.probes.blackbox.model import BlackboxContext, HttpOptions, Module, TcpOptions
from sre.probes.blackbox.modules import BasicAuth
from tests.servers.blackbox import sampled
from tests.servers.net import Canary, wait_until

HEADER = "x-prometheus-scrape-timeout-seconds"
MODULES = {
    "http_2xx": Module("http", http=HttpOptions(preferred_ip_protocol="ip4")),
    "hosted": Module("http", http=HttpOptions(headers={"host": "a.test"})),
    "secret": Module(
        "http",
        http=HttpOptions(
            preferred_ip_protocol="ip4",
            basic_auth=BasicAuth("shop", password=Secret.literal("hunter-of-the-shop")),
            headers={"X-Api-Key": "key-of-the-shop"},
        ),
    ),
    "tcp": Module("tcp", tcp=TcpOptions()),
    "unix": Module("unix"),
}


class Looking:
    """A prober that remembers what it was asked, and answers as it is told."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Module, BlackboxContext, float]] = []
        self.act: Callable[[BlackboxContext], bool] = lambda _context: True

    def probe(self, target: str, module: Module, context: BlackboxContext) -> bool:
        self.seen.append((target, module, context, context.deadline.left()))
        return self.act(context)


@pytest.fixture
def looking(monkeypatch: pytest.MonkeyPatch) -> Looking:
    prober = Looking()
    monkeypatch.setattr(handling, "prober_for", lambda _name: prober)
    return prober


def serving(*allow: str, **options: Any) -> Blackbox:
    service = Blackbox(**options)
    service.adopt(MODULES, Guard(allow, "http://127.0.0.1:9"))
    return service


def ask(service: Blackbox, headers: dict[str, str] | None = None, **given: str) -> Answer:
    return service.probe(Asked(urlencode(given), headers or {}))


def counted(service: Blackbox) -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels.values()): sample.value
        for family in service.collect()
        for sample in family.samples
        if sample.value
    }


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "Target parameter is missing"),
        ("module=http_2xx&target=", "Target parameter is missing"),
        ("module=nope&target=a", 'Unknown module "nope"'),
        ("module=nope", 'Unknown module "nope"'),
        ("target=a&target=b", "Parameter target is given more than once"),
        ("target=a&module=tcp&module=http_2xx", "Parameter module is given more than once"),
        ("module=unix&target=/tmp/x", 'Unknown prober "unix"'),
        ("module=hosted&target=a&hostname=b.test", "host header defined both in module"),
        ("target=a&hostname=a%0d%0ab", "Parameter hostname is no host name"),
        ("target=" + "a" * 3000, "longer than 2048"),
        ("&".join(f"a{n}=1" for n in range(60)), "Bad query"),
    ],
)
def test_a_bad_request_is_400_and_says_why(query: str, words: str) -> None:
    answer = serving().probe(Asked(query))
    assert answer.status == 400
    assert words in answer.body.decode()


@pytest.mark.parametrize(
    ("scrape", "module", "seconds"),
    [
        ("", 0.0, 119.5),
        ("10", 0.0, 9.5),
        ("10", 5.0, 5.0),
        ("3", 5.0, 2.5),
        ("0.3", 5.0, 5.0),
        ("0.3", 0.0, 0.3),
        ("-1", 0.0, 119.5),
        ("0", 2.0, 2.0),
    ],
)
def test_time_is_the_modules_or_what_prometheus_leaves(
    scrape: str, module: float, seconds: float
) -> None:
    assert handling.timeout_of(scrape, module, 0.5) == seconds


@pytest.mark.parametrize("header", ["soon", "nan", "inf"])
def test_a_timeout_that_is_no_number_is_told(header: str) -> None:
    answer = ask(serving(), {HEADER: header}, target="a")
    assert (answer.status, b"Failed to parse timeout" in answer.body) == (500, True)


def test_the_prober_gets_target_module_and_deadline(looking: Looking) -> None:
    answer = ask(serving(), {HEADER: "4"}, target="http://a/?x=%2520", module="http_2xx")
    [(target, module, context, left)] = looking.seen
    assert answer.status == 200
    assert target == "http://a/?x=%2520"  # unescaped once, where blackbox_exporter does it twice
    assert module == MODULES["http_2xx"]
    assert 3.0 < left <= 3.5
    assert context.hostname == ""
    assert sampled(answer.body.decode())["probe_timeout_seconds", ()] == 3.5


def test_a_hostname_is_the_host_of_http_and_the_server_name_of_tcp(looking: Looking) -> None:
    service = serving()
    ask(service, target="a", hostname="b.test")
    ask(service, target="a", module="hosted", hostname="a.test")
    ask(service, target="a", module="tcp", hostname="b.test")
    modules = [module for _, module, _, _ in looking.seen]
    assert [module.http.headers for module in modules[:2]] == [
        {"Host": "b.test"},
        {"Host": "a.test"},
    ]
    assert modules[2].tcp.tls_config.server_name == "b.test"
    assert MODULES["hosted"].http.headers == {"host": "a.test"}


def test_a_failure_is_200_and_counted(looking: Looking) -> None:
    service = serving()
    looking.act = lambda _context: False
    samples = sampled(ask(service, target="a").body.decode())
    assert samples["probe_success", ()] == 0
    assert samples["probe_duration_seconds", ()] >= 0
    looking.act = lambda _context: True
    assert sampled(ask(service, target="a").body.decode())["probe_success", ()] == 1
    service.probe(Asked("module=nope"))
    assert counted(service) == {
        ("http_2xx", "failure"): 1, ("http_2xx", "success"): 1, ("unknown_module",): 1,
    }  # fmt: skip


def test_counts_of_modules_that_stay_stay(looking: Looking) -> None:
    service = serving()
    ask(service, target="a")
    ask(service, target="a", module="tcp")
    service.adopt({"tcp": MODULES["tcp"]}, Guard(()))
    assert len(looking.seen) == 2
    assert counted(service) == {("tcp", "success"): 1}
    assert b"Unknown module" in ask(service, target="a").body


def test_a_crash_is_a_failure_and_no_500(looking: Looking) -> None:
    def crash(_context: BlackboxContext) -> bool:
        raise RuntimeError("a bug")

    looking.act = crash
    answer = ask(serving(), target="a")
    assert (answer.status, sampled(answer.body.decode())["probe_success", ()]) == (200, 0)


def test_more_at_once_than_there_are_slots_is_503(looking: Looking) -> None:
    service, go = serving(at_once=5), threading.Event()
    looking.act = lambda _context: go.wait(10)
    threads = [
        threading.Thread(target=ask, args=(service,), kwargs={"target": "a"}) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(looking.seen) == 5, 10, "every slot to be taken")
        answer = ask(service, target="a")
        assert (answer.status, answer.body) == (503, b"Too many probes at once; try again\n")
    finally:
        go.set()
        for thread in threads:
            thread.join(10)
    assert ask(service, target="a").status == 200
    assert counted(service)[("busy",)] == 1


def test_the_log_and_the_modules_are_for_those_who_may_see_them(looking: Looking) -> None:
    asked = Asked("target=a&debug=true")
    known = Asked("target=a&debug=true", known=True)
    closed, opened = serving(), serving(debug=True)
    assert closed.probe(asked).status == closed.config(Asked("")).status == 403
    assert looking.seen == []
    for service, question in ((closed, known), (opened, asked)):
        assert service.probe(question).body.startswith(b"Logs for the probe:\nts=")
        assert service.config(question).status == 200
    text = opened.probe(asked).body.decode()
    assert "\n\n\n\nMetrics that would have been returned:\n# HELP probe_dur" in text
    assert "\n\n\n\nModule configuration:\nprober: http\n" in text


class _Page(BaseHTTPRequestHandler):
    """Redirects where its server says, or answers with a text that is nobody's business."""

    def do_GET(self) -> None:
        server: Any = self.server
        server.heard.append((self.path, dict(self.headers)))
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", server.away)
        else:
            self.send_response(200)
        self.end_headers()
        self.wfile.write(b"a body that is nobody's business")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base's name
        """Say nothing."""


@contextmanager
def page(away: str = "") -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    server.away, server.heard = away, []
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def blocked(service: Blackbox, target: str, module: str = "http_2xx") -> bool:
    answer = ask(service, target=target, module=module)
    assert answer.status == 200
    assert sampled(answer.body.decode())["probe_success", ()] == 0
    return ("X-Probe-Blocked", "1") in answer.headers


SPELLINGS = (
    "127.0.0.1:{port}", "http://127.1:{port}/", "http://2130706433:{port}/",
    "http://0x7f000001:{port}/", "http://0x7f.0.0.1:{port}/", "http://017700000001:{port}/",
    "http://[::1]:{port}/", "http://[::ffff:127.0.0.1]:{port}/", "http://[::ffff:7f00:1]:{port}/",
    "http://[64:ff9b::7f00:1]:{port}/", "http://localhost:{port}/", "http://a.localhost:{port}/",
    "http://127.0.0.1.:{port}/", "http://shop.test@127.0.0.1:{port}/", "http://0.0.0.0:{port}/",
    "http://169.254.169.254/latest/", "http://[::ffff:169.254.169.254]/", "http://0xa9fea9fe/",
)  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_nothing_is_sent_where_the_list_does_not_allow(spelling: str, canary: Canary) -> None:
    service = serving("shop.test:*")
    assert blocked(service, spelling.format(port=canary.port))
    assert canary.connections == 0
    assert counted(service) == {("http_2xx", "blocked"): 1, (): 1}


def test_without_a_list_only_the_shop_is_looked_at(canary: Canary) -> None:
    with page() as shop:
        service = Blackbox()
        service.adopt(MODULES, Guard((f"127.0.0.1:{shop.server_port}",)))
        assert not refused_though_good(service, f"http://127.0.0.1:{shop.server_port}/")
        assert blocked(service, canary.url)
    assert canary.connections == 0


def refused_though_good(service: Blackbox, target: str) -> bool:
    answer = ask(service, target=target)
    assert sampled(answer.body.decode())["probe_success", ()] == 1
    return ("X-Probe-Blocked", "1") in answer.headers


def test_a_redirect_does_not_lead_around_the_list(canary: Canary) -> None:
    for host in ("127.0.0.1", "[::ffff:127.0.0.1]", "2130706433", "localhost"):
        with page(f"http://{host}:{canary.port}/") as shop:
            service = serving(f"127.0.0.1:{shop.server_port}")
            assert blocked(service, f"http://127.0.0.1:{shop.server_port}/away"), host
    assert canary.connections == 0


def test_credentials_go_to_the_target_alone() -> None:
    with page() as other, page(f"http://127.0.0.1:{other.server_port}/in") as shop:
        ask(serving("127.0.0.1:*"), target=f"127.0.0.1:{shop.server_port}/away", module="secret")
    [(_, at_home)], [(_, abroad)] = shop.heard, other.heard
    assert at_home["Authorization"].startswith("Basic ")
    assert at_home["X-Api-Key"] == "key-of-the-shop"
    assert not {"Authorization", "X-Api-Key"} & abroad.keys()


def test_neither_secrets_nor_bodies_show() -> None:
    with page() as shop:
        service = serving("127.0.0.1:*", debug=True)
        target = f"http://127.0.0.1:{shop.server_port}/"
        told = ask(service, target=target, module="secret", debug="true").body.decode()
        told += ask(service, target=target, module="secret").body.decode()
        told += service.config(Asked("")).body.decode()
    assert "Basic" in shop.heard[0][1]["Authorization"]
    encoded = shop.heard[0][1]["Authorization"].split()[1]
    for text in ("hunter-of-the-shop", "key-of-the-shop", encoded, "nobody's business"):
        assert text not in told
    assert 'password: "<secret>"' in told


def test_the_shop_knows_our_requests_and_nobody_else_does() -> None:
    with page() as other, page() as shop:
        service = Blackbox()
        mine = f"http://127.0.0.1:{shop.server_port}"
        service.adopt(MODULES, Guard(("127.0.0.1:*",)), Shop("s", mine))
        ask(service, target=f"{mine}/page")
        ask(service, target=f"127.0.0.1:{other.server_port}")
    [(_, marked)], [(_, unmarked)] = shop.heard, other.heard
    assert marked["X-Synthetic"].startswith("sre/")
    assert "X-Synthetic" not in unmarked
    assert marked["User-Agent"] == unmarked["User-Agent"]
