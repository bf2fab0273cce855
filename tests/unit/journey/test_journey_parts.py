"""Bodies, expectations, extractors, data, defaults, fragments, load: is each what it says?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sre.journey.result import Outcome, Reason
from tests.servers.hostile import Hostile
from tests.unit.journey.kit import BASE, Script, answer, declare, drive, one, only, real

GRAPHQL_ERROR = '{"errors": [{"message": "no"}], "data": null}'


@pytest.mark.parametrize(
    ("rule", "body", "holds"),
    [
        ("{a.b: 1}", '{"a": {"b": 1}}', True),
        ("{a.b: 1}", '{"a": {"b": 1.0}}', True),
        ("{a: true}", '{"a": 1}', False),
        ("{a: 1}", '{"a": true}', False),
        ("{a: null}", '{"a": null}', True),
        ("{a: [1, {b: x}]}", '{"a": [1, {"b": "x"}]}', True),
        ("{a: '~^o.d'}", '{"a": "old"}', True),
        ("{a: '~^o'}", '{"b": "old"}', False),
        ("{a: '~4'}", '{"a": 42}', True),
        ("{a: {min: 3}}", '{"a": 3}', True),
        ("{a: {min: 3, max: 4}}", '{"a": "4.5"}', False),
        ("{a: {max: 4}}", '{"a": true}', False),
        ("{a: {exists: true}}", '{"a": 0}', True),
        ("{a: {exists: true}}", '{"a": null}', False),
        ("{errors: {exists: false}}", '{"data": 1}', True),
        ("{errors: {exists: false}}", GRAPHQL_ERROR, False),
        ("{a: {count: 2}}", '{"a": [1, 2]}', True),
        ("{a: {count: {min: 1, max: 2}}}", '{"a": []}', False),
        ("{a: {count: 0}}", '{"b": 1}', False),
        ("{'items[?n > `1`].n | [0]': 2}", '{"items": [{"n": 1}, {"n": 2}]}', True),
        ("{'length(items)': 1}", '{"items": null}', False),
        ("{'sort_by(a, &b)': []}", '{"a": [{"b": 1}, {"b": "x"}]}', False),
        ("{a: 1}", "<html>", False),
        ("{a: {exists: false}}", "not json", False),
        ("{a: 1}", "", False),
    ],
)
def test_json_expectations(tmp_path: Path, rule: str, body: str, holds: bool) -> None:
    result, _ = one(tmp_path, f"get: /, expect: {{json: {rule}}}", answer(body))
    wanted = (Outcome.OK, "") if holds else (Outcome.FAILED, "body")
    assert (result.outcome, result.reason) == wanted, result.message


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ("p.a", True),
        ("p.z", False),
        ("{p: 2}", True),
        ("{p: 1}", False),
        ("{p: {count: {min: 1, max: 3}}}", True),
        ("{p: {count: 0}}", False),
        ("{.z: {count: 0}}", True),
        ("{p: one two}", True),
        ("{p: {text: '~^three$', count: 1}}", True),
        ("{p: {text: four}}", False),
        ("{h1: true}", False),
    ],
)
def test_css_expectations(tmp_path: Path, rule: str, holds: bool) -> None:
    page = answer("<p class=a>one\n <b>two</b></p><p>three</p>")
    assert (one(tmp_path, f"get: /, expect: {{css: {rule}}}", page)[0].reason == "") is holds


def test_bodies_as_a_server_sees_them(tmp_path: Path, hostile: Hostile) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x00")
    steps = """
    - {name: form, post: /echo, form: {a: "x&y =z", "ü": "é", n: [1, 2]}}
    - {name: json, put: /echo, json: {a: [1, true, null, "é"]}}
    - {name: body, post: /echo, body: "raw é", headers: {Content-Type: text/csv}}
    - {name: bare, post: /echo}
    - name: parts
      post: /echo
      multipart:
        text: "v"
        'q"': {value: "w", filename: 'n".txt', type: text/plain}
        file: {file: a.png}
    """
    assert real(declare(tmp_path, steps, base=hostile.url)).outcome is Outcome.OK
    form, as_json, body, bare, parts = hostile.requests
    assert form.body == b"a=x%26y+%3Dz&%C3%BC=%C3%A9&n=1&n=2"
    assert form.header("content-type") == "application/x-www-form-urlencoded"
    assert (as_json.method, as_json.header("content-type")) == ("PUT", "application/json")
    assert as_json.body == '{"a":[1,true,null,"é"]}'.encode()
    assert (body.body, body.header("content-type")) == ("raw é".encode(), "text/csv")
    assert (bare.body, bare.header("content-length")) == (b"", "0")
    assert bare.header("content-type") is None
    boundary = (parts.header("content-type") or "").partition("boundary=")[2].encode()
    assert parts.body.split(b"--" + boundary) == [
        b"",
        b'\r\nContent-Disposition: form-data; name="text"\r\n\r\nv\r\n',
        b'\r\nContent-Disposition: form-data; name="q%22"; filename="n%22.txt"\r\n'
        b"Content-Type: text/plain\r\n\r\nw\r\n",
        b'\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n'
        b"Content-Type: image/png\r\n\r\n\x89PNG\r\n\x00\r\n",
        b"--\r\n",
    ]
    assert all(seen.header("expect") is None for seen in hostile.requests)


def test_cookies_of_the_shop_stay_with_the_shop(
    tmp_path: Path, hostile: Hostile, hostile_other: Hostile
) -> None:
    steps = f"""
    - {{name: log_in, get: "/cookies/set?sid=shop-session", extract: {{sid: {{cookie: sid}}}}}}
    - {{name: own, get: /cookies, expect: {{json: {{sid: shop-session}}}}}}
    - {{name: other, get: "{hostile_other.url}/cookies/set?theirs=1"}}
    - {{name: hop, get: "/redirect?to={hostile_other.url}/cookies"}}
    - {{name: back, get: /cookies, expect: {{json: {{"@": {{sid: shop-session}}}}}}}}
    """
    settings = declare(tmp_path, steps, base=hostile.url)
    result = real(settings)
    assert result.outcome is Outcome.OK, result
    assert [seen.header("cookie") for seen in hostile_other.requests] == [None, None]
    assert "shop-session" not in repr(result)
    hostile.reset_counts()
    assert real(settings).outcome is Outcome.OK
    assert hostile.requests[0].header("cookie") is None  # another run knows nothing of it


PAGE = '<a href="/1">x</a><a href="/2">y</a><a href="/2">y</a><a>z</a>'


@pytest.mark.parametrize(
    ("extractor", "value"),
    [
        ("{css: a, attr: href}", "/1"),
        ("{css: a, attr: href, pick: last}", "/2"),
        ("{css: a, attr: href, pick: all}", ["/1", "/2", "/2"]),
        ("{css: a, attr: href, pick: all, distinct: true}", ["/1", "/2"]),
        ("{css: a}", "x"),
        ("{regex: 'href=\"(/.)\"', pick: last}", "/2"),
        ("{url: '/(p.*)$'}", "page"),
    ],
)
def test_extractors(tmp_path: Path, extractor: str, value: object) -> None:
    result, _ = one(tmp_path, f"get: /page, extract: {{v: {extractor}}}", answer(PAGE))
    assert result.values == {"v": value}


def test_random_picks_follow_the_seed_and_distinct_ones_differ(tmp_path: Path) -> None:
    page = answer(json.dumps({"items": [{"id": n, "ok": n % 2 == 0} for n in range(20)]}))
    pick = "extract: {{v{n}: {{json: 'items[?ok].id', pick: random}}}}"
    steps = "\n".join(f"- {{name: s{n}, get: /, {pick.format(n=n)}}}" for n in range(3))
    settings = declare(tmp_path, steps)
    runs = [drive(settings, Script(page), seed=seed).values for seed in (1, 1, 2, 3, 4)]
    assert runs[0] == runs[1]
    assert len({str(values) for values in runs}) > 2
    assert all(v % 2 == 0 for values in runs for v in values.values())  # type: ignore[operator]


def test_data_files(tmp_path: Path) -> None:
    (tmp_path / "u.csv").write_text('\ufeffname,pin\r\nann,1\r\n"b,ob",2\r\n', encoding="utf-8")
    step = 'steps: [{name: a, get: "/${name:urlencode}/${pin}"}]'

    def urls(pick: str) -> list[str]:
        settings = declare(tmp_path, f"data: {{file: u.csv, pick: {pick}}}\n{step}")
        script = Script(answer())
        for sequence in range(3):
            last = drive(settings, script, sequence=sequence, seed=sequence)
        if pick == "unique":
            assert (last.outcome, last.reason) == (Outcome.FAILED, Reason.PROBER)
            assert "all 2 rows are used" in last.message
        return [url.removeprefix(BASE) for url in script.urls]

    assert urls("sequential") == ["/ann/1", "/b%2Cob/2", "/ann/1"]
    assert urls("unique") == ["/ann/1", "/b%2Cob/2"]
    assert set(urls("random")) <= {"/ann/1", "/b%2Cob/2"}


def test_conditions(tmp_path: Path) -> None:
    settings = declare(
        tmp_path,
        """
        vars: {kind: b}
        steps:
          - {name: a, get: /, extract: {got: {json: got, required: false}, x: {json: x}}}
          - {name: when_got, get: /, when: got}
          - {name: unless_got, get: /, unless: got}
          - {name: equal, get: /, when: "${kind} == b"}
          - {name: unequal, get: /, when: "${kind} != b"}
          - {name: both, get: /, when: [x, "${x} == 1"]}
          - {name: unknown, get: /, when: "${got} != 1"}
        """,
    )
    result = drive(settings, Script(answer('{"x": 1}')))
    assert [step.name for step in result.steps] == ["a", "unless_got", "equal", "both"]


def test_defaults_are_merged_and_null_takes_one_away(tmp_path: Path) -> None:
    settings = declare(
        tmp_path,
        """
        defaults: {timeout: 2s, expect: {header: {X: "1"}}}
        steps:
          - {name: plain, get: /}
          - {name: own, get: /, timeout: 1s, expect: {contains: x}}
          - {name: until, get: /, until: {expect: {contains: x}, within: 1s}}
          - {name: less, get: /, expect: {json: {errors: null}}}
          - {name: none, get: /, expect: null, timeout: null}
        """,
        top="defaults: {headers: {X-D: d}, expect: {json: {errors: {exists: false}}}}",
    )
    steps = {step.name: step for step in only(settings).steps}
    for name in ("plain", "own", "until"):
        expect = steps[name].until.expect if steps[name].until else steps[name].expect  # type: ignore[union-attr]
        assert (len(expect.json), len(expect.header)) == (1, 1), name
    assert (steps["own"].timeout, steps["plain"].timeout) == (1.0, 2.0)
    assert len(steps["own"].expect.contains) == 1
    assert (len(steps["less"].expect.json), len(steps["less"].expect.header)) == (0, 1)
    assert (steps["none"].expect.json, steps["none"].timeout) == ((), 5.0)
    assert "X-D" in [field.name for field in steps["none"].headers]
    good = answer('{"x": 1}', headers={"x": "1"})
    result = drive(settings, Script(good, good, answer(GRAPHQL_ERROR, headers={"x": "1"})))
    assert (result.outcome, result.failed_step) == (Outcome.FAILED, "until")
