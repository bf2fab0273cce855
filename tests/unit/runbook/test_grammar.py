"""Are expectations, info strings, conditions and shell text read as the grammar says?"""

from __future__ import annotations

from pathlib import Path

import pytest

from sre.runbook.condition import Condition
from sre.runbook.expect import Expect
from sre.runbook.info import ATTRIBUTES, read_info
from sre.runbook.markdown import anchors, links
from sre.runbook.model import ROLES
from sre.runbook.parse import parse_text
from sre.runbook.render import runbook_data, to_json
from sre.runbook.shelltext import assigned, expansions, fill, sre_calls
from tests.conftest import Golden
from tests.unit.runbook.kit import book


@pytest.mark.parametrize(
    ("source", "code", "output", "why"),
    [
        ("exit:0", 0, "", ""),
        ("exit:0", 3, "", "exit code 3, expected 0"),
        ("exit:0,3", 3, "", ""),
        ("eq:f", 0, " f \n", ""),
        ("eq:f", 0, "t\n", "'t', expected eq:f"),
        ("eq:f", 0, "", "nothing, expected eq:f"),
        ("eq:", 0, "\n", ""),
        ("eq:f", 0, "f\nf\n", "2 lines, expected one (eq:f)"),
        ("eq:f", 1, "f", "exit code 1, expected 0"),
        ("re:^t$", 0, "t\n", ""),
        ("re:a", 0, "bab", ""),
        ("re:^a", 0, "ba", "'ba', expected re:^a"),
        ("lt:1048576", 0, "1048575", ""),
        ("lt:10", 0, "10", "'10', expected lt:10"),
        ("lt:10", 0, "nan", "'nan', expected lt:10"),
        ("range:0..5", 0, "5", ""),
        ("range:-1.5..1", 0, "-1.5", ""),
        ("range:0..5", 0, "6", "'6', expected range:0..5"),
        ("json:lost==0", 0, '{"lost": 0}', ""),
        ("json:lost==0", 0, '{"lost": 2}', "lost is '2', expected json:lost==0"),
        ("json:state==running", 0, '{"state": "running"}', ""),
        ("json:a[?b=='x'] | length(@)>=1", 0, '{"a": [{"b": "x"}]}', ""),
        ("json:a[?b=='=='].c | [0]==7", 0, '{"a": [{"b": "==", "c": 7}]}', ""),
        ("json:passed", 0, '{"passed": true}', ""),
        ("json:passed", 0, '{"passed": false}', "passed is 'false', expected json:passed"),
        ("json:n<2", 0, '{"n": null}', "n is 'null', expected json:n<2"),
        ("json:length(n)==0", 0, '{"n": 1}', "length(n) is 'null', expected json:length(n)==0"),
        ("json:x", 0, "oops", "its output is not JSON: 'oops'"),
    ],
)
def test_an_expectation_holds_or_says_why_not(
    source: str, code: int, output: str, why: str
) -> None:
    verdict = Expect.parse(source).judge(code, output)
    assert (verdict.ok, verdict.why) == (not why, why)
    assert str(Expect.parse(source)) == source


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("", "expected one of exit:…, eq:…, re:…, lt:…, range:…, json:…"),
        ("is:f", "expected one of exit:…, eq:…, re:…, lt:…, range:…, json:…"),
        ("exit:x", "expected exit:0, or several as in exit:0,3"),
        ("re:(", "not a regular expression: missing ), unterminated subpattern at position 0"),
        ("lt:x", "expected a number, not 'x'"),
        ("range:5..1", "expected range:A..B with A not above B"),
        ("json:a[", "not JMESPath: "),
    ],
)
def test_a_wrong_expectation_is_refused(source: str, why: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  compared in full below
        Expect.parse(source)
    assert str(caught.value).startswith(why)


@pytest.mark.parametrize(
    ("source", "values", "holds"),
    [
        ("MODE==a", {"MODE": "a"}, True),
        ("MODE==a", {}, False),
        ("MODE!=a", {"MODE": "b"}, True),
        ("MODE", {"MODE": "x"}, True),
        ("MODE", {}, False),
        ("!MODE", {}, True),
        ("MODE==", {}, True),
    ],
)
def test_a_condition(source: str, values: dict[str, str], holds: bool) -> None:
    assert Condition.parse(source).holds(values) is holds
    assert str(Condition.parse(source)) == source


@pytest.mark.parametrize("source", ["", "mode==a", "!MODE==a", "A B", "A=b"])
def test_a_wrong_condition(source: str) -> None:
    with pytest.raises(ValueError, match="expected NAME, !NAME, NAME==text or NAME!=text"):
        Condition.parse(source)


@pytest.mark.parametrize(
    ("text", "rule", "message"),
    [
        ("bash runn id=a", "role", "unknown role 'runn'; did you mean 'run'?"),
        ("bash run id=a id=b", "attribute", "id= stands twice; remove one"),
        ("bash run tiemout=5s", "attribute",
         "unknown attribute 'tiemout'; did you mean 'timeout'?"),
        ("bash run timeout=5", "attribute", "timeout=5: expected a duration such as '250ms', '5s', "
         "'2m', '1h' or '30d', not '5'"),
        ("bash run timeout=2d", "attribute", "timeout=2d: expected more than 0 and at most 24h"),
        ("bash run danger=big", "attribute", "danger=big: expected none, reversible or "
         "destructive, not 'big'"),
        ("bash check danger=none", "attribute", "a check block takes no danger=; remove it"),
        ("text manual timeout=5s", "attribute", "a manual block takes no timeout=; remove it"),
        ("bash run now", "attribute", "'now' is not an attribute; write name=value"),
        ("bash run confirm=$A", "attribute", "confirm=$A: expected the name of a variable, without "
         "'$', not '$A'"),
        ("bash run approve=dba:1", "attribute", "approve=dba:1: a second person's approval is not "
         "supported yet; use confirm=VARIABLE"),
        ("bash run id=A", "attribute",
         "id=A: expected lower-case letters, digits and '-', not 'A'"),
        ("bash run pnr=true", "attribute", "pnr=true: expected yes or no, not 'true'"),
        ("bash run retries=-1", "attribute", "retries=-1: expected a whole number from 0 to 999, "
         "not '-1'"),
    ],
)  # fmt: skip
def test_a_wrong_info_string(text: str, rule: str, message: str) -> None:
    assert read_info(text).faults == ((rule, message),)


@pytest.mark.parametrize("text", ["", "bash", "sh", "console", 'bash title="x y"', "yaml sre=1"])
def test_a_fence_without_a_role_is_an_example(text: str) -> None:
    assert (read_info(text).role, read_info(text).faults) == ("", ())


def test_values_may_be_quoted() -> None:
    found = read_info("bash check expect=\"re:^a b$\" timeout='5s' expect2").attributes
    assert found == {"expect": Expect("re", "^a b$"), "timeout": 5.0}


def test_every_attribute_is_for_some_role() -> None:
    for _parser, roles in ATTRIBUTES.values():
        assert roles
        assert roles <= set(ROLES)


def test_what_a_block_expands() -> None:
    text = """\
echo "$A ${B} '$C'" '$D' \\$E ${F:-x} ${#G}   # $H isn't
K=1; for l in 1; do echo $l; done; read -r M N
cat <<'EOF'
$O
EOF
awk '{print $1 $NF}' "$(cat '$P' "$Q")"
"""
    assert [name for name, _line, _before in expansions(text)] == ["A", "B", "C", "G", "l", "Q"]
    assert assigned(text) == {"K", "l", "M", "N"}


def test_variables_are_filled_in_where_bash_would_expand_them() -> None:
    values = {"A": "1", "B": "x y"}
    assert fill("echo $A '$A' \"${B}\" $C ${A:-2}", values.get) == (
        "echo 1 '$A' \"x y\" $C ${A:-2}"
    )


def test_the_sre_commands_of_a_block() -> None:
    text = """\
sre probe run checkout --config x | sre  backup list && A=1 sre check
if ! sre slo lint; then echo 'sre nothing'; fi   # sre comment
x=$(sre backup \\
  verify orders)
echo sre is a word
"""
    assert list(sre_calls(text)) == [
        (0, ("probe", "run", "checkout")),
        (0, ("backup", "list")),
        (0, ("check",)),
        (1, ("slo", "lint")),
        (2, ("backup", "verify", "orders")),
    ]


def test_links_and_anchors_leave_code_alone() -> None:
    text = "# A b: c!\n[x](y.md#z) `[n](o)` ![i](p.png)\n```\n[q](r)\n```\n[s]( <t.md> 'u')\n"
    assert list(links(text)) == [(2, "y.md#z"), (6, "t.md")]
    assert anchors(text) == {"a-b-c"}


FULL = book(
    """
    Prose above.
    ### 1. One
    Text.
    ```bash run id=one timeout=1m30s danger=reversible idempotent=yes retries=2 every=5s target=NAME
    echo "$NAME"
    ```
    ```bash rollback id=one timeout=5s
    echo back
    ```
    ~~~bash check id=one-ok timeout=10s every=500ms expect=json:a[?b==`1`]
    echo '{}'
    ~~~
    ```console
    $ an example, never executed
    ```
    ### 2. Two
    > [!CAUTION]
    > Careful.
    ````bash run id=two timeout=5s danger=destructive confirm=NAME pnr=yes when=NAME==box secret=yes
    cat <<'E'
    ```
    E
    ````
    ```bash check id=two-ok timeout=5s capture=SEEN
    echo seen
    ```
    """,
    variables="SEEN: {about: what was seen}",
    tail="## Fail back\n### 3. Three\n```text manual id=three\nThink.\n```",
)


def test_a_runbook_is_read_whole(golden: Golden) -> None:
    document = parse_text(FULL, Path("full.md"))
    assert document.findings == ()
    runbook = document.runbook()
    assert runbook is not None
    golden(Path("full.golden.json"), to_json("runbook", **runbook_data(runbook, {"NAME": "box"})))
