"""Do the shop's books and the customers' answers tell the same story, and does the gate notice?"""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.loadtest_gate import GENERATOR, HOLD, REPORTS, Gate
from tests.e2e.test_loadtest import wait_for, workers_of
from tests.servers.till import Till

pytestmark = [pytest.mark.locust, pytest.mark.timeout(120)]

ORDER = (
    "{order: {side_effects: order, budget: 60/h, timeout: 10s, steps: [{name: pay, "
    "post: /orders, timeout: 8s, json: {sku: mug}, idempotency_key: {header: Idempotency-Key}, "
    "refused: {status: 410}, "
    "expect: {status: 201}, extract: {number: {json: number}}}]}}"
)
SYNTHETIC = '{header: X-Synthetic, value: "sre/${run_id}"}'
DSN = 'dsn: "${env:BOOKS}"'
STORED = (
    f'{{name: each_stored_once, {DSN}, sql: "select number from orders where run = :run_id", '
    "equals: ledger.order.number, settle: %s}"
)
COUNTED = (
    f'{{name: counted, {DSN}, sql: "select count(*) from orders where run = :run_id", '
    "equals: accepted.order, within: ambiguous, settle: %s}"
)
CHARGED = (
    f'{{name: no_double_capture, {DSN}, sql: "select count(*) from (select number from captures '
    'group by number having count(*) > 1)", equals: 0, settle: 0s}'
)
STOCK = (
    f'{{name: stock_adds_up, {DSN}, before: "select sum(pieces) from stock", '
    'sql: "select :before - sum(pieces) from stock", equals: accepted.order, within: ambiguous, '
    "settle: 0s}"
)
ALL = f"invariants: [{STORED % '0s'}, {COUNTED % '0s'}, {CHARGED}, {STOCK}]"
FAILED = 'thresholds: ["order.failed < 1%"]'


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path, tmp_path / "out")


def run(gate: Gate, till: Till, test: str, *more: str) -> tuple[int, str, str]:
    gate.declare(till.url, test, ORDER, synthetic=SYNTHETIC)
    return gate.run(*more, BOOKS=till.dsn)


def ledger_of(gate: Gate) -> list[dict[str, Any]]:
    lines = (gate.out / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def said(gate: Gate) -> dict[str, bool | None]:
    return {row["name"]: row["passed"] for row in gate.summary["invariants"]}


def problem(gate: Gate, name: str) -> str:
    (row,) = [row for row in gate.summary["invariants"] if row["name"] == name]
    return str(row["problem"])


def is_sound(gate: Gate, code: int, expected: int) -> None:
    """3 only where this machine was too busy to measure on; the counts hold always."""
    assert code == expected or (code == 3 and gate.doubts <= GENERATOR), gate.summary["reasons"]


def test_two_workers_and_slow_orders_are_counted_as_the_shop_counted_them(
    gate: Gate, till: Till
) -> None:
    """The warm-up is in the books, and so in the bounds."""
    till.delay = 2.0
    test = f"mix: {{order: 12/s}}, {HOLD % '3s'}, warmup: 1s, {FAILED}, {ALL}"
    code, _, complained = run(gate, till, test, "--workers", "2")
    is_sound(gate, code, 0)
    rows = ledger_of(gate)
    assert Counter(row["key"] for row in rows) == Counter(each.key for each in till.took)
    assert len(rows) == len(till.took) == 36, complained
    assert {row["state"] for row in rows} == {"accepted"}
    assert [row["at"] for row in rows] == sorted(row["at"] for row in rows)
    stored = {number for (number,) in till.rows("select number from orders")}
    assert {row["values"]["number"] for row in rows} == stored
    assert gate.files == REPORTS | {"ledger.jsonl"}
    assert gate.summary["journeys"]["order"]["ok"] < 36
    assert said(gate) == dict.fromkeys(
        ["each_stored_once", "counted", "no_double_capture", "stock_adds_up"], True
    )


def test_a_shop_that_loses_orders_and_charges_twice_is_caught_and_both_are_named(
    gate: Gate, till: Till
) -> None:
    till.loses_every, till.charges_twice = 2, True
    code, out, _ = run(gate, till, f"mix: {{order: 20/s}}, {HOLD % '1s'}, {FAILED}, {ALL}")
    assert code == 1
    numbers = ", ".join(f"T-{n:05d}" for n in (2, 4, 6, 8, 10))
    assert f"10 accepted but not stored: {numbers} and 5 more" in out
    wrong = "found 10, expected equals 20 within 0 unknown (accepted.order)"
    assert problem(gate, "counted") == wrong
    assert "invariant no_double_capture: found 10, expected equals 0" in out


def test_a_payment_whose_answer_is_lost_is_sent_once_and_may_be_stored(
    gate: Gate, till: Till
) -> None:
    till.hangs_up_every = 4
    test = f'mix: {{order: 20/s}}, {HOLD % "1s"}, thresholds: ["order.failed < 50%"], {ALL}'
    code, out, _ = run(gate, till, test)
    is_sound(gate, code, 0)
    keys = Counter(each.key for each in till.took)
    assert (len(keys), set(keys.values())) == (20, {1})
    rows = ledger_of(gate)
    assert Counter(row["state"] for row in rows) == {"accepted": 15, "unknown": 5}
    assert {row["key"] for row in rows} == set(keys)
    assert "20 stored, 5 outcomes unknown, of these 5 stored" in out
    assert "5 outcomes unknown, of these 5 found stored" in out
    assert gate.summary["journeys"]["order"]["ambiguous"] == 5


def test_what_nobody_ordered_is_found_even_among_unknown_outcomes(gate: Gate, till: Till) -> None:
    till.hangs_up_every = 10
    stray = STORED.replace("where run = :run_id", "union all select 'S-' || n from stray") % "0s"
    with_stray = "create table stray (n integer); insert into stray values (1), (2), (3)"
    with closing(sqlite3.connect(till.database)) as books:
        books.executescript(with_stray)
    test = f'mix: {{order: 20/s}}, {HOLD % "1s"}, thresholds: ["order.failed < 50%"]'
    code, out, _ = run(gate, till, f"{test}, invariants: [{stray}]")
    assert code == 1
    assert (
        "5 stored but never accepted: S-1, S-2, S-3, T-00010, T-00020 "
        "(at most 2 could be runs of unknown outcome)"
    ) in out


def test_a_shop_gets_its_time_to_settle(gate: Gate, till: Till) -> None:
    till.stores_late = 1.5
    test = f"mix: {{order: 20/s}}, {HOLD % '1s'}, {FAILED}, invariants: [{STORED % '10s'}]"
    code, _, _ = run(gate, till, test)
    is_sound(gate, code, 0)
    assert said(gate) == {"each_stored_once": True}


def test_a_shop_that_does_not_know_keys_is_found_by_sending_twice(gate: Gate, till: Till) -> None:
    till.forgets_keys = True
    test = f"mix: {{order: 20/s}}, {HOLD % '1s'}, resend: {{pay: 50%}}, {FAILED}, {ALL}"
    code, out, _ = run(gate, till, test)
    assert code == 1
    keys = Counter(each.key for each in till.took)
    again = sum(count == 2 for count in keys.values())
    assert (len(keys), len(till.took)) == (20, 20 + again)
    assert 3 < again < 17
    assert f"{again} stored but never accepted" in out
    assert {each.body for each in till.took} == {b'{"sku":"mug"}'}


def test_a_shop_that_knows_keys_may_be_asked_twice(gate: Gate, till: Till) -> None:
    test = f"mix: {{order: 20/s}}, {HOLD % '1s'}, resend: {{order/pay: 100%}}, {FAILED}, {ALL}"
    code, _, _ = run(gate, till, test)
    is_sound(gate, code, 0)
    assert set(Counter(each.key for each in till.took).values()) == {2}
    assert len(till.took) == 40
    assert gate.summary["requests"] == 40
    assert set(said(gate).values()) == {True}


def test_a_second_answer_that_contradicts_the_first_fails_the_step(gate: Gate, till: Till) -> None:
    till.turns_away_repeats = True
    test = f"mix: {{order: 20/s}}, {HOLD % '1s'}, resend: {{pay: 100%}}, {FAILED}, {ALL}"
    code, _, _ = run(gate, till, test)
    assert code == 1
    order = gate.summary["journeys"]["order"]
    assert (order["failed"], order["reasons"]) == (20, {"status": 20})
    assert "sent again with the same idempotency key: failed where the first" in str(
        gate.summary["steps"]["pay"]["examples"]
    )
    assert set(said(gate).values()) == {True}  # what the shop said twice, nobody knows


def test_books_that_are_gone_are_no_pass(gate: Gate, till: Till) -> None:
    copy = gate.folder / "copy.sqlite3"
    shutil.copy(till.database, copy)
    gate.declare(till.url, f"mix: {{order: 10/s}}, {HOLD % '2s'}, {FAILED}, {ALL}", ORDER)
    with gate.start(BOOKS=f"sqlite:///{copy}") as process:
        wait_for(lambda: till.took)
        copy.unlink()
        process.communicate(timeout=60)
    assert process.returncode == 3
    assert "invariant_unknown" in gate.doubts
    assert said(gate)["counted"] is None
    assert "cannot be asked: there is no SQLite file" in problem(gate, "counted")


@pytest.mark.parametrize(
    ("books", "sql", "words"),
    [
        ("sqlite:////nowhere/till.sqlite3", "select 1", "there is no SQLite file"),
        ("mysql://till", "select 1", "cannot begin with 'mysql'"),
        (None, "select count(*) from ordres", "no such table: ordres"),
        (None, "delete from orders", "not authorized"),
        (None, "select 1; select 2", "one statement"),
    ],
)
def test_a_question_that_cannot_be_asked_stops_the_run_before_it_begins(
    gate: Gate, till: Till, books: str | None, sql: str, words: str
) -> None:
    asked = f'{{name: n, {DSN}, sql: "{sql}", equals: 1}}'
    gate.declare(till.url, f"mix: {{order: 20/s}}, {HOLD % '1s'}, invariants: [{asked}]", ORDER)
    code, _, complained = gate.run(BOOKS=books or till.dsn)
    assert (code, till.took) == (2, []), complained
    assert "load test 'gate', invariant 'n': nothing was sent" in complained
    assert words in complained


def test_a_killed_worker_makes_no_invariant_fail(gate: Gate, till: Till) -> None:
    test = f"mix: {{order: 20/s}}, {HOLD % '4s'}, {FAILED}, {ALL}"
    gate.declare(till.url, test, ORDER, synthetic=SYNTHETIC)
    with gate.start("--workers", "2", BOOKS=till.dsn) as process:
        wait_for(lambda: len(till.took) > 25)
        workers_of(process)[0].kill()
        process.communicate(timeout=60)
    assert process.returncode == 3
    assert "worker_lost" in gate.doubts
    assert set(said(gate).values()) == {True}
    rows = ledger_of(gate)
    keys = {row["key"] for row in rows if row["key"]}
    told = [row for row in rows if row["state"] == "unknown"]
    assert keys <= {each.key for each in till.took}
    assert 0 < len(told) < 60
    assert len(till.took) <= len(rows) < 80


def test_a_stopped_run_is_examined_too(gate: Gate, till: Till) -> None:
    till.charges_twice = True
    gate.declare(
        till.url, f"mix: {{order: 10/s}}, {HOLD % '60s'}, {ALL}", ORDER, synthetic=SYNTHETIC
    )
    with gate.start(BOOKS=till.dsn) as process:
        wait_for(lambda: len(till.took) > 10)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 143
    assert said(gate)["each_stored_once"] is True
    assert said(gate)["no_double_capture"] is False
