"""Fragments, setup and repetition: which steps run, how often, for which customer?"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from sre.journey.engine import RunContext, VirtualUser, run
from sre.journey.exchange import Request, Wait
from sre.journey.result import JourneyResult, Outcome
from sre.settings import Settings
from tests.unit.journey.kit import Script, answer, declare, drive, only


def test_fragments_in_fragments_keep_their_conditions(tmp_path: Path) -> None:
    top = """
fragments:
  inner:
    - {name: in1, get: /in1, extract: {token: {json: t}}}
    - {name: in2, get: /in2}
  outer:
    - {name: out1, get: /out1}
    - {use: inner, unless: token}
    - {name: out2, get: /out2}
"""
    for got, names in (("1", ["a", "out1", "out2"]), ("null", ["a", "out1", "in1", "in2", "out2"])):
        settings = declare(
            tmp_path,
            "- {name: a, get: /, extract: {token: {json: t, required: false}}}\n- use: outer",
            top=top,
        )
        script = Script(answer(f'{{"t": {got}}}'), answer(), answer('{"t": 2}'))
        assert [step.name for step in drive(settings, script).steps] == names
    assert [s.name for s in only(settings).steps] == ["a", "out1", "in1", "in2", "out2"]
    assert pickle.loads(pickle.dumps(only(settings))) == only(settings)


def loaded(
    settings: Settings, script: Script, user: VirtualUser
) -> tuple[JourneyResult, list[Wait]]:
    """One run under load, as the load test drives it."""
    context = RunContext(settings.shop, script.clock.now, user=user, seed=5, mode="load")
    steps = run(only(settings), context)
    waits: list[Wait] = []

    def commands() -> Iterator[JourneyResult]:
        command = next(steps)
        try:
            while True:
                if isinstance(command, Request):
                    command = steps.send(script(command))
                else:
                    waits.append(command)
                    script.clock.sleep(command.seconds)
                    command = steps.send(None)
        except StopIteration as end:
            yield end.value

    return next(commands()), waits


def test_setup_once_for_each_customer_and_pauses_and_repeats_under_load(tmp_path: Path) -> None:
    settings = declare(
        tmp_path,
        """
        timeout: 2s
        vars: {email: "u${user}+${uuid}@x.test", other: "${uuid}"}
        setup:
          - {name: register, post: /register, json: {email: "${email}"}, extract: {t: {json: t}}}
        steps:
          - {name: look, get: "/look/${other}", pause: 1s..2s, repeat: 3}
          - name: buy
            post: "/buy/${t}/${email}"
            idempotency_key: {header: Key}
            repeat: 2
        """,
    )
    user, script = VirtualUser(number=7), Script(answer('{"t": "tok"}'))
    first, waits = loaded(settings, script, user)
    assert first.outcome is Outcome.OK, first
    assert [s.name for s in first.steps] == ["register", *["look"] * 3, *["buy"] * 2]
    assert len(waits) == 3
    assert all(wait.thinking and 1 <= wait.seconds <= 2 for wait in waits)
    assert len({key for key in script.sent("Key") if key}) == 2
    assert [step.started - step.due for step in first.steps] == pytest.approx([0] * 6, abs=1e-6)
    again, _ = loaded(settings, script, user)
    assert [s.name for s in again.steps] == [*["look"] * 3, *["buy"] * 2]
    assert script.urls[4] == script.urls[-2]  # the same customer
    assert script.urls[1] != script.urls[6]  # another errand
    probed = drive(settings, script)
    assert [s.name for s in probed.steps] == ["register", "look", "buy"]
