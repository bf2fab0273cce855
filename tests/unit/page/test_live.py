"""Does the running page hear every result, from any thread, and remember over restarts?"""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from sre.core.clock import FakeClock
from sre.core.facts import Facts
from sre.page import live
from sre.page.live import LiveStatus
from sre.page.model import State, StatusPage
from sre.page.render_json import render_json
from tests.unit.page.made import NOON, check, declared, failed, objective, run


def now(status: LiveStatus) -> StatusPage:
    page = status.page()
    assert page is not None
    return page


def test_before_the_declaration_is_read_it_says_so(tmp_path: Path) -> None:
    with LiveStatus(tmp_path, FakeClock(NOON)) as status:
        assert status.page() is None
        assert [route().status for route in status.routes.values()] == [503, 503]
        status.hear(run())
        status.adopt(declared(check()))
        assert [route().status for route in status.routes.values()] == [200, 200]
        assert now(status).components[0].total == 0, "nobody had asked for that probe"


def test_a_result_is_seen_at_once(tmp_path: Path) -> None:
    with LiveStatus(tmp_path, FakeClock(NOON)) as status:
        status.adopt(declared(check(), objectives=(objective(),)))
        status.hear(run())
        assert now(status).sentence == "Everything works"
        status.hear(failed())
        assert now(status).state is State.FAILING
        assert now(status).components[0].steps[-1].name == "payment"
        assert now(status).budgets[0].total == 2
        assert json.loads(status.routes["/-/status.json"]().body)["state"] == "failing"
        assert b"Checkout is failing" in status.routes["/"]().body


def test_a_restart_keeps_since_counts_and_reason(tmp_path: Path) -> None:
    clock = FakeClock(NOON)
    with LiveStatus(tmp_path, clock) as status:
        status.adopt(declared(check(), objectives=(objective(),)))
        status.hear(failed())
        clock.advance(60)
        status.hear(failed())
    clock.advance(60)
    with LiveStatus(tmp_path, clock) as status:
        status.adopt(declared(check(), objectives=(objective(),)))
        assert now(status).sentence == "Checkout is failing since 12:00 (payment: status)"
        assert now(status).budgets[0].bad == 2
        clock.advance(60)
        status.hear(failed())
        assert now(status).components[0].since == NOON
        assert now(status).components[0].total == 3


def test_a_reload_drops_what_is_gone_and_keeps_the_rest(tmp_path: Path) -> None:
    with LiveStatus(tmp_path, FakeClock(NOON)) as status:
        status.adopt(declared(check("a"), check("b")))
        status.hear(run("a"))
        status.hear(failed("b"))
        status.adopt(declared(check("a")))
        assert [one.name for one in now(status).components] == ["a"]
        assert now(status).sentence == "Everything works"
        status.hear(failed("b"))
        status.adopt(declared(check("a"), check("b")))
        again = {one.name: one.total for one in now(status).components}
        assert again == {"a": 1, "b": 1}, "back within a week, its past is back; a late run is not"


def test_facts_are_read_and_a_damaged_one_is_a_note(tmp_path: Path) -> None:
    clock = FakeClock(NOON)
    Facts(tmp_path, clock).publish("backup.orders", {"id": "b-1", "level": 3})
    (tmp_path / "facts" / "runbook.x.json").write_text("{")
    with LiveStatus(tmp_path, clock) as status:
        status.adopt(declared(check()))
        assert [(p.name, p.good) for p in now(status).proofs] == [("orders", True)]
        assert now(status).notes == ("The fact runbook.x cannot be read.",)


def test_a_page_is_built_once_a_second_at_most(tmp_path: Path) -> None:
    clock = FakeClock(NOON)
    with LiveStatus(tmp_path, clock) as status:
        status.adopt(declared(check()))
        assert now(status) is now(status)
        first = now(status)
        clock.advance(2)
        assert now(status) is not first


def test_a_page_that_costs_much_is_made_rarely_however_many_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, drawn = FakeClock(NOON), []

    def drawing(page: StatusPage) -> str:
        drawn.append(page)
        clock.advance(0.5)
        return render_json(page)

    monkeypatch.setattr(live, "render_json", drawing)
    with LiveStatus(tmp_path, clock) as status:
        status.adopt(declared(check()))
        for _ in range(18):
            status.hear(failed())
            assert status.routes["/-/status.json"]().status == 200
            clock.advance(0.5)
        assert len(drawn) == 1, "half a second in ten"
        clock.advance(2)
        assert json.loads(status.routes["/-/status.json"]().body)["state"] == "failing"
        assert len(drawn) == 2


def test_many_threads_lose_nothing(tmp_path: Path) -> None:
    with LiveStatus(tmp_path, FakeClock(NOON)) as status:
        status.adopt(declared(*(check(f"p{n}") for n in range(8)), objectives=(objective(),)))

        def work(name: str) -> None:
            for _ in range(200):
                status.hear(run(name))
                status.page()

        threads = [threading.Thread(target=work, args=(f"p{n}",)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [one.total for one in now(status).components] == [200] * 8
