"""Does a CEL expression say of a JSON body what blackbox_exporter's says?"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.core.config import Problems, read_tree
from sre.probes.blackbox.cel import CelError, decide, program
from sre.probes.blackbox.declare import modules_of
from sre.probes.blackbox.httpbody import Body
from sre.probes.blackbox.httphop import Answer
from sre.probes.blackbox.httpverdict import judge
from sre.probes.blackbox.modules import HttpOptions

BODY = json.dumps(
    {
        "foo": "bar",
        "baz": "qux",
        "ok": True,
        "n": 5,
        "none": None,
        "price": 9.5,
        "list": [1, 2, 3],
        "odd-key": 1,
        "items": [{"id": 1, "tags": ["new"]}, {"id": 2, "tags": []}],
    }
).encode()


@pytest.mark.parametrize(
    "expression",
    [
        "body.foo == 'bar' && body.baz.startsWith('q')",
        'body["odd-key"] == 1',
        "body.n == 5 && body.n == 5.0 && body.n != '5'",
        "body.n > 4 && body.n <= 5 && body.price < 10",
        "body.ok && !(!body.ok)",
        "body.ok != 1",
        "body.none == null",
        "has(body.foo) && !has(body.missing)",
        "size(body.list) == 3 && body.list.size() == 3 && size(body.foo) == 3",
        "body.list[0] == 1 && 2 in body.list && !(9 in body.list) && 'foo' in body",
        "body.items.all(i, i.id > 0) && body.items.exists(i, 'new' in i.tags)",
        "body.items.exists_one(i, i.id == 2)",
        "body.items.filter(i, i.id > 1).map(i, i.id) == [2]",
        "body.items.map(i, size(i.tags)) == [1, 0]",
        "body.foo.matches('^b.r$') && body.foo.contains('a') && body.foo.endsWith(\"r\")",
        "(body.n > 100 ? 'many' : 'few') == 'few'",
        "int(body.price) == 9 && double(1) / 2.0 == 0.5 && 7 / 2 == 3 && -7 % 3 == -1",
        "string(body.n) + r'\\d' == '5\\\\d'",
        "body.missing.deep == 1 || true",
        "!(body.missing == 1 && false)",
        "1 + 2 * 3 == 7 && (1 + 2) * 3 == 9 && -body.n == -5.0 && 0x10 == 16",
        "body.n == 5 // five",
    ],
)
def test_what_holds(expression: str) -> None:
    assert decide(expression, BODY)
    assert not decide(f"!({expression.partition(' //')[0]})", BODY)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("body.missing == 1", "no such key: missing"),
        ("body.list[7] == 1", "index out of bounds"),
        ("body.foo", "expected true or false"),
        ("body.foo > 1", "cannot order"),
        ("body.n + 1 == 6", "no such overload"),
        ("1 / 0 == 1", "zero"),
        ("body.foo.matches('(') || false", "RE2"),
        ("body.none.x == 1", "no such key in null"),
        ("body.n.startsWith('a')", "no such overload"),
    ],
)
def test_what_has_no_value(expression: str, words: str) -> None:
    with pytest.raises(CelError, match=words):
        decide(expression, BODY)


@pytest.mark.parametrize("body", [b"", b"[1]", b"<html>", b"\xff", b'{"a":', b"[" * 100_000])
def test_a_body_that_is_no_object_is_told(body: bytes) -> None:
    with pytest.raises(CelError, match="the body is no JSON"):
        decide("true", body)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("body.", "expected a name"),
        ("foo == 1", "undeclared name 'foo'"),
        ("body.x == 'a", "cannot read"),
        ("body.x ==", "expected a value"),
        ("(body.ok", "expected '\\)'"),
        ("body.ok body.ok", "expected 'the end'"),
        ("timestamp(body.t) > 1", "timestamp\\(\\) is not supported"),
        ("body.x.split(',')", "split\\(\\) is not supported"),
        ("((" * 100 + "1" + "))" * 100, "nested too deeply"),
        ("!" * 500 + "true", "nested too deeply"),
    ],
)
def test_what_cannot_be_read_is_told_at_once(expression: str, words: str) -> None:
    with pytest.raises(CelError, match=words):
        program(expression)


@given(st.text(alphabet="body.ok=&|!()[]?:'\"1 in<>+-*/%,x{}", max_size=40))
def test_nonsense_is_a_cel_error_and_nothing_else(text: str) -> None:
    try:
        decide(text, BODY)
    except CelError:
        pass


def test_an_expression_that_grows_is_stopped() -> None:
    wide = json.dumps({"a": list(range(1000))}).encode()
    with pytest.raises(CelError, match="takes too long"):
        decide("body.a.all(x, body.a.all(y, body.a.all(z, true)))", wide)


def answer(text: bytes) -> Answer:
    body = Body("", 0, keep=True)
    body.take(text)
    return Answer(body, 200, "HTTP/1.1")


def test_a_module_fails_by_its_expressions() -> None:
    wanted = HttpOptions(fail_if_body_json_not_matches_cel="body.ok == true")
    unwanted = HttpOptions(fail_if_body_json_matches_cel="size(body.errors) > 0")
    for options, text, good in (
        (wanted, b'{"ok": true}', True),
        (wanted, b'{"ok": false}', False),
        (wanted, b"{}", False),
        (wanted, b"no json", False),
        (unwanted, b'{"errors": []}', True),
        (unwanted, b'{"errors": [1]}', False),
    ):
        verdict = judge(options, answer(text), abandoned=False)
        assert (verdict.good, verdict.cel) == (good, int(not good)), text


def test_a_bad_expression_is_told_where_it_stands(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("cel") / "blackbox.yml"
    path.write_text(
        "modules:\n  a:\n    prober: http\n    http:\n"
        '      fail_if_body_json_matches_cel: "bdy.x"\n',
        encoding="utf-8",
    )
    problems = Problems()
    modules_of(read_tree(path), problems)
    [problem] = problems.found
    assert (problem.line, problem.col) == (5, 38)
    assert problem.message == "CEL: undeclared name 'bdy'; the body is called 'body'"
