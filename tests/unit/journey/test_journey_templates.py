"""Does a template stand for what it says, once, and never run what a page put into it?"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.journey.expect import Pattern
from sre.journey.result import Outcome, Reason
from sre.journey.template import MissingVariable, Scope, Template, TemplateError, as_text
from tests.servers.hostile import Hostile
from tests.unit.journey.kit import Script, answer, declare, drive, real


def scope(seed: int = 1, **values: object) -> Scope:
    return Scope(dict(values), Random(seed), run_id="r1", user=7)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("", ""),
        ("${x}", "v"),
        ("a${x}b${x}c", "avbvc"),
        ("${gone?}", ""),
        ("[${gone?}${x}]", "[v]"),
        ("${odd:urlencode}", "a%20%2F%26%C3%A9"),
        ("${gone?:urlencode}", ""),
        ("${run_id}", "r1"),
        ("${user}", "7"),
        ("${user:/2}", "3"),
        ("${user:%4}", "3"),
        ("${int:5..5}", "5"),
        ("${int:-3..-3}", "-3"),
        ("${choice:only}", "only"),
        ("$${x}", "${x}"),
        ("$$${x}", "$${x}"),
        ("$${x}${x}$${", "${x}v${"),
        ("$x {x} $", "$x {x} $"),
        ("${number}", "1.5"),
        ("${yes}", "true"),
        ("${none}", ""),
        ("${many}", "1,two"),
        ("${big}", "123456789012345678901234567890"),
    ],
)
def test_the_grammar(text: str, expected: str) -> None:
    names = scope(
        x="v", odd="a /&é", number=1.5, yes=True, none=None, many=[1, "two"],
        big=123456789012345678901234567890,
    )  # fmt: skip
    assert Template.parse(text).render(names) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("${", "without '}'"),
        ("${x", "write '$${'"),
        ("${}", "is not a reference"),
        ("${x y}", "is not a reference"),
        ("${1x}", "is not a reference"),
        ("${x+1}", "is not a reference"),
        ("${uuid?}", "is not a reference"),
        ("${x:upper}", "unknown filter 'upper'"),
        ("${int:3..1}", "two whole numbers"),
        ("${int:a..b}", "two whole numbers"),
        ("${choice:}", "write ${choice:mug,shirt}"),
        ("${choice:a,,b}", "write ${choice:mug,shirt}"),
        ("${user:/0}", "write ${user:/100}"),
        ("${user:+1}", "write ${user:/100}"),
        ("${env:1X}", "write ${env:NAME}"),
        ("${file:/etc/passwd}", "secret fields alone"),
        ("${cmd:[id]}", "secret fields alone"),
    ],
)
def test_what_is_no_template(text: str, said: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template.parse(text)
    assert said in str(caught.value)


def test_an_unknown_name_is_a_missing_variable() -> None:
    with pytest.raises(MissingVariable, match="'x' has no value here"):
        Template.parse("${x}").render(scope())


def test_uuids_differ_and_draws_follow_the_seed() -> None:
    draw = Template.parse("${int:1..1000000} ${choice:a,b,c,d,e,f}")
    assert draw.render(scope(3)) == draw.render(scope(3))
    assert len({draw.render(scope(seed)) for seed in range(20)}) > 10
    ids = Template.parse("${uuid} ${uuid}").render(scope()).split()
    assert ids[0] != ids[1]
    drawn = {Template.parse("${int:1..3}").render(scope(seed)) for seed in range(60)}
    assert drawn == {"1", "2", "3"}


@given(st.text(), st.text())
def test_a_value_is_never_read_as_a_template(before: str, value: str) -> None:
    names = scope(x=value + "${y}${cmd:[touch,/x]}$${", y="boom")
    literal = before.replace("$", "")
    assert Template.parse(literal + "${x}").render(names) == literal + str(names.values["x"])


@given(st.text())
def test_any_text_parses_or_says_what_is_wrong(text: str) -> None:
    try:
        parsed = Template.parse(text)
    except TemplateError:
        return
    assert "${" in text or parsed.render(scope()) == text


@given(st.text(), st.sampled_from(["$${", "$$", "{", "}", "x"]))
def test_an_escaped_text_comes_out_as_it_was(text: str, tail: str) -> None:
    plain = text.replace("$", "") + "${" + tail.replace("$", "")
    assert Template.parse(plain.replace("${", "$${")).render(scope()) == plain


@given(st.text(), st.text())
def test_values_are_escaped_inside_regular_expressions(value: str, around: str) -> None:
    pattern = Pattern(Template.parse("^${x}$"), regex=True)
    assert pattern.matches(value, scope(x=value)) or value.endswith("\n")
    if around:
        assert not pattern.matches(around + value + around, scope(x=value))


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.lists(st.integers())))
def test_every_value_has_a_text(value: object) -> None:
    assert isinstance(as_text(value), str)


def test_a_page_that_looks_like_references_stays_text(tmp_path: Path, hostile: Hostile) -> None:
    touched = tmp_path / "touched"
    settings = declare(
        tmp_path,
        f"""
        - name: page
          get: /template
          query: {{touch: "{touched}"}}
          extract:
            cmd: {{css: "input[name=cmd]", attr: value}}
            env: {{css: "input[name=env]", attr: value}}
            all: {{css: "#text"}}
            from_json: {{css: "#state", json: state.uuid}}
        - name: use
          post: /echo
          query: {{q: "${{all}}"}}
          headers: {{X-A: "${{env_}}"}}
          json: {{cmd: "${{cmd_}}", text: "x ${{from_json}}"}}
        """.replace("cmd: {css", "cmd_: {css").replace("env: {css", "env_: {css"),
        base=hostile.url,
    )  # fmt: skip
    assert real(settings).outcome is Outcome.OK
    sent = hostile.requests[-1]
    assert json.loads(sent.body) == {"cmd": f"${{cmd:[touch,{touched}]}}", "text": "x ${uuid}"}
    assert sent.header("x-a") == "${env:HOME}"
    assert "%24%7Bcmd" in sent.query
    assert not touched.exists()


def test_types_stay_in_json_and_unknown_optional_fields_are_left_out(tmp_path: Path) -> None:
    settings = declare(
        tmp_path,
        """
        vars: {n: 3, flag: true, nothing: null, list: [1, {a: b}], text: "7"}
        headers: {Authorization: "Bearer ${token?}", X-Null: null}
        steps:
          - name: first
            post: /a
            json:
              n: "${n}"
              t: "n=${n}"
              flag: "${flag}"
              none: "${nothing}"
              list: "${list}"
              s: "${text}"
              gone: "${token?}"
              "k${n}": 1
              escaped: "$${n}"
              deep: [{x: "${token?}", y: "${n}"}]
            extract: {token: {json: token}}
          - name: second
            post: /b
            form: {a: "${n}", many: ["1", "${flag}"], gone: "${never?}", empty: "", left: null}
            extract: {never: {json: never, required: false}}
        """,
    )
    script = Script(answer('{"token": "abc"}'))
    assert drive(settings, script).outcome is Outcome.OK
    assert json.loads(script.bodies[0]) == {
        "n": 3, "t": "n=3", "flag": True, "none": None, "list": [1, {"a": "b"}], "s": "7", "k3": 1,
        "escaped": "${n}", "deep": [{"y": 3}],
    }  # fmt: skip
    assert script.sent("authorization") == [None, "Bearer abc"]
    assert script.sent("x-null") == [None, None]
    assert script.bodies[1] == "a=3&many=1&many=true&empty="


def test_an_extracted_name_hides_a_var(tmp_path: Path) -> None:
    settings = declare(
        tmp_path,
        """
        vars: {x: declared}
        steps:
          - {name: a, get: "/${x}", extract: {x: {json: x}}}
          - {name: b, get: "/${x}"}
        """,
    )
    script = Script(answer('{"x": "found"}'))
    drive(settings, script)
    assert script.urls == ["http://shop.test/declared", "http://shop.test/found"]


def test_an_unset_environment_variable_is_our_own_failure(tmp_path: Path) -> None:
    for where in ("headers: {X: '${env:SRE_NOT_SET}'}", "expect: {contains: '${env:SRE_NOT_SET}'}"):
        settings = declare(tmp_path, f"[{{name: a, get: /, {where}}}]".join(["steps: ", ""]))
        result = drive(settings, Script(answer("x")))
        assert (result.outcome, result.reason) == (Outcome.FAILED, Reason.PROBER)
        assert "SRE_NOT_SET is not set" in result.message
