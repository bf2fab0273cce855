"""Is every end of a switchover told truthfully, also those that a real Patroni takes seldom?

A stub stands for the REST APIs here, for real ones hardly ever answer "status unknown" and go on,
or make somebody else leader than was asked for.
"""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sre.core.clock import Deadline
from sre.failover.clusters.patroni import PatroniCluster, PatroniNode
from sre.failover.control.local import LocalControl
from sre.failover.engine import Placed, Wish
from sre.failover.job import Job
from sre.failover.model import Declared
from sre.failover.operation.outcome import Result
from sre.failover.switches import Server, Way
from tests.unit.failover.pat.world import CONFIG, cluster, said

Reply = tuple[int, str] | None


class Stub:
    """Three Patronis that share one state; `post` decides what becomes of a switchover."""

    def __init__(self, post: Callable[[Stub], Reply]) -> None:
        self.leader, self.timeline, self.post, self.posts = "a", 3, post, 0
        self.servers = {name: self._server(name) for name in "abc"}

    def lead(self, name: str, after: float = 0.0) -> None:
        """Another one leads (nobody: empty) from then on."""

        def change() -> None:
            self.leader = ""
            time.sleep(after)
            self.leader, self.timeline = name, self.timeline + 1

        threading.Thread(target=change, daemon=True).start()

    def get(self, name: str, path: str) -> Any:
        if path == "/config":
            return {**CONFIG, "loop_wait": 1}
        sync = next((n for n in "bca" if n != self.leader), "")
        if path == "/cluster":
            return cluster(self.leader, sync)
        return {**said(name, self.leader), "timeline": self.timeline}

    def _server(self, name: str) -> http.server.ThreadingHTTPServer:
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.reply(200, json.dumps(stub.get(name, self.path)))

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                told: Reply = (400, "Switchover could be performed only from a specific leader")
                if asked["leader"]:
                    stub.posts += 1
                    told = stub.post(stub)
                if told is None:
                    time.sleep(30)
                else:
                    self.reply(*told)

            def reply(self, status: int, text: str) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                """Silent."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return server

    def close(self) -> None:
        for server in self.servers.values():
            server.shutdown()
            server.server_close()


class Waiting:
    """A switch that lets clients wait; who got work, and whether they still wait."""

    def __init__(self) -> None:
        self.waits, self.to = False, "a"

    def look(self, _deadline: Deadline) -> Way:
        return Way(tuple(Server(n, f"{n}:1", "open" if n == self.to else "closed") for n in "abc"))

    def pause(self, _deadline: Deadline) -> None:
        self.waits = True

    def resume(self, _deadline: Deadline) -> None:
        self.waits = False

    def repoint(self, server: str, _deadline: Deadline) -> None:
        self.to = server

    def close(self, server: str, _deadline: Deadline) -> None:
        raise AssertionError(server)

    drain = open = close


Run = Callable[[Callable[[Stub], Reply]], tuple[Result, Stub, Waiting]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """A switchover to b, to its end."""
    monkeypatch.setenv("SRE_STATE", str(tmp_path))
    monkeypatch.setattr("sre.failover.operation.carry._SETTLE_SECONDS", 1.0)
    stubs: list[Stub] = []

    def go(post: Callable[[Stub], Reply]) -> tuple[Result, Stub, Waiting]:
        stub, switch = Stub(post), Waiting()
        stubs.append(stub)
        kind = PatroniCluster()
        nodes = []
        for name, server in stub.servers.items():
            own = PatroniNode(f"http://127.0.0.1:{server.server_port}")
            nodes.append(Placed(name, name, kind.service(own), LocalControl(), own=own))
        declared = Declared("orders", "patroni", kind, tuple(nodes), switches={"front": switch})
        with Job(declared) as job:
            return job.carry_out(Wish("switchover", to="b", limit=1.5)), stub, switch

    yield go
    for stub in stubs:
        stub.close()


def test_status_unknown_is_not_the_end_of_it(run: Run) -> None:
    def unknown(stub: Stub) -> Reply:
        threading.Timer(0.4, stub.lead, ("b", 0.3)).start()
        return 503, "Switchover status unknown"

    result, stub, switch = run(unknown)
    assert (result.outcome, result.reasons) == ("ok", ())
    assert (stub.posts, switch.to, switch.waits) == (1, "b", False)


def test_no_answer_is_not_the_end_of_it(run: Run) -> None:
    def silent(stub: Stub) -> Reply:
        stub.lead("b", 0.5)
        return None

    result, _, switch = run(silent)
    assert (result.outcome, switch.to, switch.waits) == ("ok", "b", False)


@pytest.mark.parametrize("status", [412, 503])
def test_a_refusal_takes_everything_back(run: Run, status: int) -> None:
    result, _, switch = run(lambda _: (status, "Switchover failed"))
    assert (result.outcome, result.exit_code) == ("rolled_back", 1)
    assert f"Patroni on a says {status}: Switchover failed" in result.reasons[0].text
    assert (switch.to, switch.waits) == ("a", False)


def test_a_success_of_which_nothing_is_seen_is_none(run: Run) -> None:
    result, _, switch = run(lambda _: (200, 'Successfully switched over to "b"'))
    assert (result.outcome, result.exit_code) == ("incomplete", 8)
    assert "a still leads and takes writes" in result.reasons[0].text
    assert (switch.to, switch.waits) == ("a", False), "clients do not wait for ever"


def test_another_one_than_was_asked_for_is_said_and_clients_are_led_there(run: Run) -> None:
    def other(stub: Stub) -> Reply:
        stub.lead("c", 0.2)
        return 200, 'Switched over to "c" instead of "b"'

    result, _, switch = run(other)
    assert (result.outcome, result.exit_code) == ("incomplete", 8)
    assert "Patroni made c leader in place of b" in result.reasons[0].text
    assert (switch.to, switch.waits) == ("c", False)


def test_when_nobody_leads_any_more_nobody_knows(run: Run) -> None:
    def lost(stub: Stub) -> Reply:
        stub.lead("", 0.1)
        return 503, "Switchover status unknown"

    result, _, switch = run(lost)
    assert (result.outcome, result.exit_code) == ("unknown", 8)
    assert "nobody leads" in result.reasons[0].text
    assert not switch.waits
