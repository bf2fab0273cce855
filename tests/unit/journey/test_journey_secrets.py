"""Does a planted secret come out anywhere, in whatever form the shop gives it back?"""

from __future__ import annotations

import base64
import html
import io
import json
import logging
import pickle
import traceback
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from sre.core.secrets import MASK
from sre.journey.exchange import Request, Response
from sre.journey.result import JourneyResult, Outcome
from tests.unit.journey.kit import Script, answer, declare, drive

SECRET = "pl4nted/s3cret+<value> &ü"
FORMS = {
    "plain": SECRET,
    "percent": quote(SECRET, safe=""),
    "plus": quote_plus(SECRET),
    "html": html.escape(SECRET),
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "json": json.dumps(SECRET)[1:-1],
}
STEPS = """
vars: {pin: {secret: true, value: '${env:PLANTED}'}}
headers: {X-Pin: {secret: true, value: '${env:PLANTED}'}, Authorization: 'Bearer ${pin:urlencode}'}
steps:
  - name: a
    post: /login
    form: {pin: "${pin}"}
    EXPECT
    extract:
      shown: {regex: "(?s).*", required: false}
      listed: {regex: ".*", pick: all, required: false}
"""


def assert_hidden(result: JourneyResult, *more: str) -> None:
    texts = [repr(result), str(result), pickle.dumps(result).decode("latin-1"), *more]
    texts += [row.message for row in result.rows]
    for text in texts:
        for name, form in FORMS.items():
            assert form not in text, (name, text)
            assert form[: len(form) // 2] not in text, (name, "a part of it", text)


EXPECTATIONS = [
    "expect: {status: 200}",
    "expect: {contains: not there}",
    "expect: {json: {a: 1}}",
    "expect: {json: {echo: other}}",
    "expect: {json: {echo: '~^other'}}",
    "expect: {json: {'@': [1]}}",
    "expect: {header: {X-Echo: other}}",
    "expect: {css: {p: {text: '${pin}', count: 9}}}",
    "expect: {contains: '${pin}!'}",
    "expect: {matches: '^${pin}$'}",
    "expect: {json: {echo: '${pin}!'}}",
    "refused: {contains: '${pin}'}",
]


@pytest.mark.parametrize("expect", EXPECTATIONS)
@pytest.mark.parametrize("form", FORMS)
def test_a_planted_secret_comes_out_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expect: str, form: str
) -> None:
    monkeypatch.setenv("PLANTED", SECRET)
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    settings = declare(tmp_path, STEPS.replace("EXPECT", expect))
    assert_nowhere = repr(settings) + pickle.dumps(settings).decode("latin-1")
    try:
        for pad in (0, 55, 70):  # at the cut of a message too
            echoed = "." * pad + FORMS[form]
            body = json.dumps({"echo": echoed}, ensure_ascii=False) if "json" in expect else echoed
            given = answer(body, headers={"x-echo": echoed.encode().decode("latin-1")})
            result = drive(settings, Script(given))
            assert_hidden(result, log.getvalue(), assert_nowhere)
    finally:
        logging.getLogger().removeHandler(handler)


def test_what_a_step_extracts_as_a_secret_is_masked_from_then_on(tmp_path: Path) -> None:
    token = "tok-0123456789abcdef"
    settings = declare(
        tmp_path,
        """
        - name: a
          get: /
          extract:
            t: {header: auth-token}
            c: {cookie: sid}
            s: {json: s, secret: true, pick: all}
        - {name: b, get: "/${t}", expect: {json: {x: 1}}, extract: {x: {json: x}}}
        """,
    )
    first = answer(
        json.dumps({"s": [token + "-1", token + "-2"]}),
        headers=(("auth-token", token + "-0"), ("set-cookie", f"sid={token}-3; Path=/")),
    )
    for number in range(4):
        result = drive(settings, Script(first, answer(json.dumps({"x": f"{token}-{number}"}))))
        assert result.outcome is Outcome.FAILED
        assert token not in repr(result), number
        assert MASK in result.message
        assert result.values == {}


def test_a_secret_that_fails_its_own_step_is_masked(tmp_path: Path) -> None:
    settings = declare(
        tmp_path,
        "- {name: a, get: /, expect: {json: {t: x}}, extract: {t: {json: t, secret: true}}}",
    )
    result = drive(settings, Script(answer('{"t": "very-secret-token"}')))
    assert "very-secret" not in repr(result)
    assert MASK in result.message


def test_requests_and_answers_do_not_show_what_they_carry() -> None:
    request = Request("GET", f"http://a/?{SECRET}", (("A", SECRET),), SECRET.encode())
    response = Response(headers=(("a", SECRET),), body=SECRET.encode())
    for text in (repr(request), repr(response)):
        assert "s3cret" not in text


def test_a_secret_is_sent_and_read_again_each_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = declare(tmp_path, STEPS.replace("EXPECT", ""))
    for value in ("first-pin", "second-pin"):
        monkeypatch.setenv("PLANTED", value)
        script = Script(answer("x"))
        drive(settings, script)
        assert (script.sent("X-Pin"), script.bodies) == ([value], [f"pin={value}"])
        assert script.sent("Authorization") == [f"Bearer {value}"]


def test_a_secret_from_a_file_and_from_a_command(tmp_path: Path) -> None:
    (tmp_path / "pin").write_text("from-file\n")
    marker = tmp_path / "ran"
    script = tmp_path / "pin.sh"
    script.write_text(f"#!/bin/sh\ntouch {marker}\necho from-command\n")
    script.chmod(0o700)
    settings = declare(
        tmp_path,
        f"""
        vars:
          a: {{secret: true, value: "${{file:pin}}"}}
          b: {{secret: true, value: "${{cmd:[{script}]}}"}}
        steps:
          - {{name: a, post: /, form: {{a: "${{a}}", b: "${{b}}"}}}}
        """,
    )
    assert not marker.exists()
    sent = Script(answer("from-command from-file"))
    result = drive(settings, sent)
    assert sent.bodies == ["a=from-file&b=from-command"]
    assert "from-command" not in repr(result)


def test_a_traceback_shows_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED", SECRET)
    settings = declare(tmp_path, STEPS.replace("EXPECT", ""))
    with pytest.raises(RuntimeError) as caught:
        drive(settings, Script(RuntimeError("a bug of ours")))
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))
