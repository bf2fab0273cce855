"""Does a bad configuration name each fault at its place, and a good one become plain values?"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

from sre.core.config import (
    STRICT,
    Problems,
    decode,
    decode_kind,
    json_schema,
    read_tree,
    resolve,
    secret_from_reference,
)
from sre.core.errors import ConfigError, UsageError
from sre.core.kinds import Kinds
from sre.core.secrets import Secret
from sre.core.units import Duration


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Part:
    __pydantic_config__: ClassVar = STRICT
    port: int
    note: str = ""

    def __post_init__(self) -> None:
        if self.port == 13:
            raise ValueError(f"port 13 is taken, says {self.note}; take another")


@dataclass(frozen=True)
class Whole:
    __pydantic_config__: ClassVar = STRICT
    parts: tuple[Part, ...] = ()
    named: dict[str, Part] = field(default_factory=dict)
    every: Duration = Duration(1)
    secret: Secret | None = None
    either: int | tuple[int, ...] | Part | None = None
    wait: Duration | Literal["never"] = "never"
    mode: Literal["a", "b"] = "a"
    colour: Colour = Colour.RED
    share: float = 0.5
    strict: bool = False
    free: Any = None
    from_: str = ""


def read(tmp_path: Path, text: str, **environ: str) -> tuple[Whole | None, list[str]]:
    path = tmp_path / "sre.yaml"
    path.write_text(text)
    problems = Problems()
    node = resolve(read_tree(path), environ=environ)
    whole = decode(Whole, node, where="", problems=problems)
    return whole, [str(each).removeprefix(f"{tmp_path}/") for each in sorted(problems.found)]


def test_a_good_configuration(tmp_path: Path) -> None:
    whole, problems = read(
        tmp_path,
        "parts: [{port: 80, note: '$${x}'}, {port: '${env:PORT}'}]\n"
        "named: {a: {port: 0x10}}\nevery: 1h30m\neither: [1, 2]\nwait: 5s\nmode: b\n"
        "colour: blue\nshare: 1\nstrict: '${env:YES}'\nfree: {a: ['${env:PORT}']}\nfrom: here\n",
        PORT="8080",
        YES="true",
    )
    assert problems == []
    assert whole == Whole(
        parts=(Part(80, "${x}"), Part(8080)), named={"a": Part(16)}, every=Duration(5400),
        either=(1, 2), wait=Duration(5), mode="b", colour=Colour.BLUE, share=1, strict=True,
        free={"a": ["8080"]}, from_="here",
    )  # fmt: skip
    assert type(whole.free["a"][0]) is str


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("parts: [{port: abc}]", "1:16 parts[0].port: expected a whole number, not 'abc'"),
        ("parts: [{port: true}]", "1:16 parts[0].port: expected a whole number, not true"),
        ("parts: [{port: 1.5}]", "1:16 parts[0].port: expected a whole number, not 1.5"),
        ("parts: [{port: }]", "1:16 parts[0].port: expected a whole number, not nothing; "
         "give it a value or remove the key"),
        ("parts: [{port: [1]}]", "1:16 parts[0].port: expected a whole number, not a list"),
        ("parts: [{}]", "1:9 parts[0]: required key 'port' is missing; add it"),
        ("parts: [{port: 1, prot: 2}]",
         "1:19 parts[0].prot: unknown key 'prot'; did you mean 'port'?"),
        ("parts: [{port: 1, zzz: 2}]",
         "1:19 parts[0].zzz: unknown key 'zzz'; known keys: note, port"),
        ("parts: {a: 1}", "1:8 parts: expected a list, not a mapping"),
        ("parts: [7]", "1:9 parts[0]: expected a mapping, not 7"),
        ("parts: [{port: 13, note: x}]",
         "1:16 parts[0].port: port 13 is taken, says x; take another"),
        ("parts: [{port: 1, note: 2}]",
         "1:25 parts[0].note: expected text, not 2; put it in quotes"),
        ("named: {x: {port: y}}", "1:19 named.x.port: expected a whole number, not 'y'"),
        ("named: [1]", "1:8 named: expected a mapping, not a list"),
        ("every: 5x", "1:8 every: expected a duration such as '250ms', '5s', '2m', '1h' or '30d', "
         "not '5x'"),
        ("either: x", "1:9 either: expected a whole number, a list or a mapping, not 'x'"),
        ("either: {port: x}", "1:16 either.port: expected a whole number, not 'x'"),
        ("either: {}", "1:9 either: required key 'port' is missing; add it"),
        ("either: [1, x]", "1:13 either[1]: expected a whole number, not 'x'"),
        ("wait: x", "1:7 wait: expected a duration such as '250ms', '5s', '2m', '1h' or '30d' or "
         "one of never, not 'x'"),
        ("mode: c", "1:7 mode: expected one of a, b, not 'c'"),
        ("colour: green", "1:9 colour: expected one of red, blue, not 'green'"),
        ("share: much", "1:8 share: expected a number, not 'much'"),
        ("strict: on", "1:9 strict: expected true or false, not 'on'"),
        ("strict: 1", "1:9 strict: expected true or false, not 1"),
        ("Mode: a", "1:1 Mode: unknown key 'Mode'; did you mean 'mode'?"),
        ("from_: a", "1:1 from_: unknown key 'from_'; did you mean 'from'?"),
        ("mode: ${env:NOPE}", "1:7 mode: environment variable NOPE is not set; export it"),
        ("mode: ${env:LETTER}", "1:7 mode: expected one of a, b, not '${env:LETTER}'"),
        ("every: ${env:LETTER}", "1:8 every: expected a duration such as '250ms', '5s', '2m', "
         "'1h' or '30d', not '${env:LETTER}'"),
        ("parts: [{port: 13, note: '${env:LETTER}'}]",
         "1:16 parts[0].port: port 13 is taken, says ${env:LETTER}; take another"),
        ("from: ${file:x}", "1:7 from: ${file:…} and ${cmd:…} may stand only in secret fields; "
         "use ${env:NAME} here"),
        ("from: '${cmd:[a, b]}'", "1:7 from: ${file:…} and ${cmd:…} may stand only in secret "
         "fields; use ${env:NAME} here"),
        ("from: ${run_id}", "1:7 from: unknown reference ${run_id}; write ${env:NAME}, or $${ "
         "for a literal ${"),
        ("from: ${env:LETTER", "1:7 from: a reference is not closed; write ${env:NAME}, or $${ "
         "for a literal ${"),
    ],
)  # fmt: skip
def test_each_fault_is_named_at_its_place_with_its_cure(
    tmp_path: Path, text: str, problem: str
) -> None:
    whole, problems = read(tmp_path, text, LETTER="a-long-letter")
    assert whole is None
    assert problems == [f"sre.yaml:{problem}"]


_NO_LITERAL = (
    "a secret may not stand in the file; write exactly one reference: "
    "'${env:NAME}', '${file:PATH}' or '${cmd:[PROGRAM, ARGUMENT]}'"
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("hunter2", _NO_LITERAL), ("1234", _NO_LITERAL), ("x${env:A}", _NO_LITERAL),
        ("${env:A}${env:B}", _NO_LITERAL), ("x${file:A}", _NO_LITERAL),
        ("'${env:a b}'", "'a b' is not a variable's name; write '${env:NAME}'"),
        ("'${cmd:ls -l}'", "expected a list of words; write '${cmd:[PROGRAM, ARGUMENT]}'"),
        ("'${cmd:[]}'", "expected a list of words; write '${cmd:[PROGRAM, ARGUMENT]}'"),
        ("'${file:}'", "expected a file name; write '${file:PATH}'"),
    ],
)  # fmt: skip
def test_a_secret_is_exactly_one_reference(tmp_path: Path, text: str, problem: str) -> None:
    whole, problems = read(tmp_path, f"secret: {text}")
    assert whole is None
    assert problems == [f"sre.yaml:1:9 secret: {problem}"]


def test_secrets_are_read_when_used_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = tmp_path / "ran"
    (tmp_path / "pin").write_text("from-file\n")
    cases = {
        "${env:SRE_TEST_PIN}": "from-env",
        "${file:pin}": "from-file",
        f"${{cmd:[sh, -c, 'touch {trace}; echo a}}b | tr a-z A-Z']}}": "A}B",
    }
    for text, value in cases.items():
        monkeypatch.delenv("SRE_TEST_PIN", raising=False)
        quoted = text.replace("'", "''")
        whole, problems = read(tmp_path, f"secret: '{quoted}'")
        assert problems == []
        assert not trace.exists()
        monkeypatch.setenv("SRE_TEST_PIN", "from-env")
        assert whole is not None
        assert whole.secret is not None
        assert value not in repr(whole)
        assert whole.secret.reveal() == value


def test_a_secret_command_is_bounded_and_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = secret_from_reference(
        "${cmd:[sh, -c, 'echo a-key | tr a-z A-Z >&2; exit 3']}", tmp_path
    )
    assert failing is not None
    with pytest.raises(UsageError, match=r"ended with exit code 3$") as caught:
        failing.reveal()
    assert "A-KEY" not in str(caught.value)
    monkeypatch.setattr("sre.core.references._COMMAND_SECONDS", 0.3)
    slow = secret_from_reference("${cmd:[sleep, '30']}", tmp_path)
    assert slow is not None
    start = time.monotonic()
    with pytest.raises(UsageError, match="no answer within"):
        slow.reveal()
    assert time.monotonic() - start < 5
    absent = secret_from_reference("${cmd:[no-such-program]}", tmp_path)
    assert absent is not None
    with pytest.raises(UsageError, match="no-such-program"):
        absent.reveal()


def test_templates_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "sre.yaml"
    path.write_text("a: {b: '${uuid}', c: '${env:X}'}\nd: {e: {f: '$${'}, g: [{h: '${env:X}'}]}\n")
    node = resolve(read_tree(path), keep=["a.b", "d.*.f"], environ={"X": "1"})
    assert node.plain() == {
        "a": {"b": "${uuid}", "c": "1"},
        "d": {"e": {"f": "$${"}, "g": [{"h": "1"}]},
    }


def test_all_problems_come_at_once_in_file_order(tmp_path: Path) -> None:
    _, problems = read(tmp_path, "mode: c\nparts:\n  - {port: x, zz: 1}\nstrict: on\n")
    assert [problem.split(" ")[0] for problem in problems] == [
        "sre.yaml:1:7", "sre.yaml:3:12", "sre.yaml:3:15", "sre.yaml:4:9",
    ]  # fmt: skip
    collector = Problems()
    collector.raise_if_any()
    collector.add(read_tree(tmp_path / "sre.yaml"), "x", "bad")
    with pytest.raises(ConfigError, match=r"sre.yaml:1:1 x: bad"):
        collector.raise_if_any()


@dataclass(frozen=True)
class Common:
    __pydantic_config__: ClassVar = STRICT
    name: str
    every: Duration = Duration(60)


PARTS: Kinds[Any] = Kinds("part", {"part": f"{__name__}:Part", "gone": "no_such_module_here:X"})


def kind(tmp_path: Path, text: str, default: str = "") -> tuple[Any, list[str]]:
    path = tmp_path / "sre.yaml"
    path.write_text(text)
    problems, node = Problems(), read_tree(path)
    table: Kinds[Any] = Kinds(
        "part", {"part": "sre.core.clock:Deadline", "gone": "no_such_module_here:X"}
    )
    table.load = lambda name: Part if name == "part" else Kinds.load(table, name)  # type: ignore[method-assign]
    found = decode_kind(
        table, node, where="p[0]", problems=problems, common=Common, default=default
    )
    return found, [str(each).removeprefix(f"{path}:") for each in sorted(problems.found)]


def test_a_kind_takes_its_own_keys_and_the_common_ones(tmp_path: Path) -> None:
    found, problems = kind(tmp_path, "{kind: part, name: x, port: 3, every: 2s}")
    assert problems == []
    assert (found.kind, found.own, found.common) == ("part", Part(3), Common("x", Duration(2)))
    found, _ = kind(tmp_path, "{name: x, port: 3}", default="part")
    assert found.own == Part(3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{name: x, port: 1}", ["1:1 p[0]: required key 'kind' is missing; add one of gone, part"]),
        ("{kind: prt, name: x}", [
            "1:8 p[0].kind: unknown part kind 'prt'; known: gone, part; did you mean 'part'?"]),
        ("{kind: gone, name: x}", [
            "1:8 p[0].kind: part kind 'gone' needs the package 'no_such_module_here': "
            "pip install 'sre[all]'"]),
        ("{kind: 3, name: x}", ["1:8 p[0].kind: expected one of gone, part"]),
        ("{kind: part, port: x, evry: 1}", [
            "1:1 p[0]: required key 'name' is missing; add it",
            "1:20 p[0].port: expected a whole number, not 'x'",
            "1:23 p[0].evry: unknown key 'evry'; did you mean 'every'?"]),
    ],
)  # fmt: skip
def test_faults_of_kinds(tmp_path: Path, text: str, expected: list[str]) -> None:
    found, problems = kind(tmp_path, text)
    assert found is None
    assert problems == expected


def test_the_json_schema_speaks_the_files_language() -> None:
    schema = json_schema(Whole)
    assert "from" in schema["properties"]
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Part"]["required"] == ["port"]


def test_a_large_file_reads_fast(tmp_path: Path) -> None:
    rows = "".join(f"  n{i}: {{port: {i + 20}, note: '${{env:HOME}}'}}\n" for i in range(5000))
    path = tmp_path / "sre.yaml"
    path.write_text(f"named:\n{rows}")
    start = time.process_time()
    problems = Problems()
    whole = decode(Whole, resolve(read_tree(path)), where="", problems=problems)
    assert whole is not None
    assert whole.named["n7"].note == os.environ["HOME"]
    assert time.process_time() - start < 5


def test_what_follows_from_an_unset_variable_is_not_told_twice(tmp_path: Path) -> None:
    whole, problems = read(tmp_path, "parts: [{port: 13, note: '${env:NOPE}'}]")
    assert whole is None
    assert problems == [
        "sre.yaml:1:26 parts[0].note: environment variable NOPE is not set; export it"
    ]
