"""When things break around a load test, does it still say what happened, and nothing untrue?"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.e2e.loadtest_gate import GENERATOR, HOLD, Gate
from tests.servers.faultproxy import FaultProxy
from tests.servers.freeze import freeze_server
from tests.servers.hostile import Hostile
from tests.servers.net import free_port, wait_until
from tests.servers.tls import TlsServers

pytestmark = [pytest.mark.alone, pytest.mark.locust, pytest.mark.timeout(120)]

FRONT = "{home: {timeout: 3s, steps: [{name: front, get: %s, timeout: 2s}]}}"


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path, tmp_path / "out")


def home(gate: Gate) -> dict[str, object]:
    found: dict[str, object] = gate.summary["journeys"]["home"]
    return found


def test_a_shop_that_is_down_fails_with_its_reason(gate: Gate) -> None:
    gate.declare(
        f"http://127.0.0.1:{free_port()}",
        f'mix: {{home: 20/s}}, {HOLD % "2s"}, thresholds: ["home.failed < 1%"]',
    )
    code, said, _ = gate.run()
    assert code == 1
    assert home(gate)["reasons"] == {"connect": 40}
    assert "home.failed < 1%: observed 100 %" in said
    (example,) = gate.summary["steps"]["front"]["examples"]
    assert "Could not connect" in example["message"]


def test_a_secret_that_is_not_there_is_told_before_anything_is_sent(
    gate: Gate, hostile: Hostile
) -> None:
    step = '{home: {steps: [{name: front, get: /, headers: {X-Key: "${env:NO_SUCH_KEY}"}}]}}'
    gate.declare(hostile.url, f"mix: {{home: 20/s}}, {HOLD % '1s'}", step)
    code, said, complained = gate.run()
    assert (code, said, hostile.connections) == (2, "", 0)
    assert "environment variable NO_SUCH_KEY is not set; export it" in complained
    assert gate.run(NO_SUCH_KEY="here")[0] in (0, 3)
    assert gate.summary["journeys"]["home"]["ok"] == 20


def test_a_shop_that_goes_down_on_the_way_is_counted_to_the_end(gate: Gate, tmp_path: Path) -> None:
    with freeze_server(tmp_path) as shop:
        test = f'mix: {{home: 30/s}}, {HOLD % "4s"}, thresholds: ["home.failed < 1%"]'
        gate.declare(shop.url, test)
        with gate.start() as process:
            wait_until(lambda: len(shop.served()) > 50, 30, "half of the customers")
            shop._process.kill()
            asked = time.monotonic()
            process.communicate(timeout=60)
    assert time.monotonic() - asked < 10
    assert process.returncode == 1
    seen = gate.summary["journeys"]["home"]
    assert seen["arrivals"] == 120 == seen["ok"] + seen["failed"]
    assert seen["ok"] > 50
    assert seen["failed"] > 20


def test_a_storm_of_429_is_throttling_and_no_failure(gate: Gate, hostile: Hostile) -> None:
    gate.declare(
        hostile.url,
        f"mix: {{home: 20/s}}, {HOLD % '2s'}, "
        'thresholds: ["home.throttled < 5%", "home.failed < 1%"]',
        FRONT % "/status/429",
    )
    code, said, _ = gate.run()
    assert code == 1
    assert "home.throttled < 5%: observed 100 %" in said
    assert (home(gate)["throttled"], home(gate)["failed"]) == (40, 0)
    assert len(hostile.requests) == 40


@pytest.mark.parametrize("kind", ["expired", pytest.param("self_signed", marks=pytest.mark.long)])
def test_a_certificate_that_is_not_believed_fails_as_tls(
    gate: Gate, tls_servers: TlsServers, kind: str
) -> None:
    where = f"127.0.0.1:{getattr(tls_servers, kind)}"
    gate.declare(
        f"https://{where}", f"mix: {{home: 10/s}}, {HOLD % '1s'}, thresholds: [home.failed < 1%]"
    )
    text = (gate.folder / "sre.yaml").read_text(encoding="utf-8")
    text = text.replace(f'allow: ["https://{where}', f'allow: ["{where}')
    (gate.folder / "sre.yaml").write_text(text, encoding="utf-8")
    code, said, complained = gate.run()
    assert code == 1, said + complained
    assert home(gate)["reasons"] == {"tls": 10}


def test_a_name_that_does_not_resolve_ends_before_anything_is_sent(gate: Gate) -> None:
    gate.declare("http://no-such-shop.invalid:80", f"mix: {{home: 10/s}}, {HOLD % '2s'}")
    code, said, complained = gate.run()
    assert (code, said) == (4, ""), complained
    assert "no-such-shop.invalid" in complained
    assert not gate.out.exists()


@pytest.mark.long
def test_a_name_that_does_not_resolve_on_the_way_fails_as_dns(gate: Gate, hostile: Hostile) -> None:
    gate.declare(
        hostile.url,
        f"mix: {{home: 10/s}}, {HOLD % '2s'}, thresholds: [home.failed < 1%]",
        FRONT % '"/redirect?to=http://no-such-shop.invalid/"',
    )
    text = (gate.folder / "sre.yaml").read_text(encoding="utf-8")
    text = text.replace('allow: ["', 'allow: ["no-such-shop.invalid:80", "')
    (gate.folder / "sre.yaml").write_text(text, encoding="utf-8")
    code, said, _ = gate.run()
    assert code == 1, said
    assert home(gate)["reasons"] == {"dns": 20}


ODD = {
    "/garbage": {"protocol"},
    "/half": {"protocol", "body"},
    "/reset": {"connect", "protocol"},
    "/never": {"timeout"},
    "/drip?n=100": {"timeout"},
    "/headers-flood": {"protocol", "header", "body", "timeout"},
    "/gigabyte": {"body", "protocol"},
    "/bad-gzip": {"protocol", "body"},
}


def test_answers_that_are_none_are_failures_and_the_run_ends(gate: Gate, hostile: Hostile) -> None:
    """Garbage, half an answer, a reset, silence, a drip, ten thousand headers, no end."""
    journeys = ", ".join(
        f'j{n}: {{timeout: 3s, steps: [{{name: s{n}, get: "{page}", timeout: 1s}}]}}'
        for n, page in enumerate(ODD)
    )
    mix = ", ".join(f"j{n}: 2/s" for n in range(len(ODD)))
    gate.declare(
        hostile.url,
        f"mix: {{{mix}}}, {HOLD % '2s'}, thresholds: [j0.failed < 1%]",
        f"{{{journeys}}}",
    )
    began = time.monotonic()
    code, said, complained = gate.run()
    assert code == 1, said + complained
    assert time.monotonic() - began < 20
    assert gate.summary["validity"]["lost_workers"] == []
    for n, (page, reasons) in enumerate(ODD.items()):
        seen = gate.summary["journeys"][f"j{n}"]
        assert (page, seen["arrivals"], seen["failed"]) == (page, 4, 4)
        assert set(seen["reasons"]) <= reasons, page


PAY = """{home: {side_effects: order, budget: 60/h, timeout: 5s, steps: [
  {name: front, get: /}, {name: pay, post: /echo, form: {card: tok}, timeout: 2s, sandbox: true,
   idempotency_key: {header: Idempotency-Key}}]}}"""


@pytest.mark.parametrize("fault", ["reset", "lost"])
def test_no_payment_is_sent_twice_when_its_answer_is_lost(
    gate: Gate, hostile: Hostile, fault: str
) -> None:
    """Also on a connection that was used before, which clients like to send again on."""
    with FaultProxy(hostile.port) as proxy:
        gate.declare(
            proxy.url,
            f"mix: {{home: 10/s}}, {HOLD % '3s'}, thresholds: [home.failed < 1%]",
            PAY,
        )
        with gate.start() as process:
            wait_until(lambda: len(hostile.requests) > 10, 30, "payments")
            if fault == "reset":
                proxy.reset()
                time.sleep(1.0)
                proxy.heal()
            else:
                proxy.close_after(400)
            process.communicate(timeout=60)
    paid = [seen for seen in hostile.requests if seen.method == "POST"]
    keys = [{k.lower(): v for k, v in seen.headers}["idempotency-key"] for seen in paid]
    assert paid
    assert len(keys) == len(set(keys))
    seen = gate.summary["journeys"]["home"]
    assert len(paid) <= seen["arrivals"] == 30
    assert seen["failed"] > 0
    assert process.returncode == 1


def test_a_constant_time_is_reported_as_it_is_and_not_rounded(gate: Gate, tmp_path: Path) -> None:
    """304.9 ms is not 300 ms."""
    with freeze_server(tmp_path, service=0.3049) as shop:
        test = f'mix: {{home: 15/s}}, {HOLD % "2s"}, thresholds: ["home.service.p50 <= 300ms"]'
        gate.declare(shop.url, test)
        code, said, _ = gate.run_soundly()
        exact = sorted(each.seconds for each in shop.served())[len(shop.served()) // 2 - 1]
    seen = gate.summary["journeys"]["home"]["service_ms"]
    assert seen["p50"] == pytest.approx(exact * 1000, rel=0.01, abs=2.0)
    assert seen["p50"] > 304.8
    assert code in (1, 3), said
    assert code == 1 or GENERATOR & gate.doubts


def test_a_caller_who_closed_stdout_gets_the_verdict_as_exit_code(
    gate: Gate, hostile: Hostile
) -> None:
    gate.declare(hostile.url, f'mix: {{home: 20/s}}, {HOLD % "1s"}, thresholds: ["home.ok > 99%"]')
    code, _, complained = gate.run(before=("sh", "-c", 'exec "$@" >&-', "sh"))
    assert (code, complained) == (0 if gate.summary["validity"]["valid"] else 3, "")
    assert gate.summary["journeys"]["home"]["ok"] == 20
