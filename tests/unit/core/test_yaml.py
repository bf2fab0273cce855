"""Is YAML read as version 1.2 says, with a place for everything and a cure for every fault?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.core.errors import ConfigError, UsageError
from sre.core.yamlread import read_tree
from sre.core.yamltext import MAX_ALIASED, MAX_DEPTH, compose, scalar_of


def tree(text: str) -> Any:
    node = compose(text, "sre.yaml")
    assert node is not None
    return node


def said(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        compose(text, "sre.yaml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True), ("False", False), ("on", "on"), ("no", "no"), ("NO", "NO"), ("y", "y"),
        ("~", None), ("null", None), ("", None), ("nil", "nil"),
        ("10", 10), ("-3", -3), ("+3", 3), ("010", 10), ("0o10", 8), ("0x1F", 31), ("0b1", "0b1"),
        ("1_000", "1_000"), ("1:30", "1:30"), ("190:20:30", "190:20:30"),
        ("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("1e3", 1000.0), ("1e", "1e"),
        ("-.inf", -float("inf")),
        ("2026-11-22", "2026-11-22"), ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00Z"),
        ("99.9%", "99.9%"), ("5s", "5s"), ("=", "="), ("-0x1", "-0x1"), ("-0o7", "-0o7"),
    ],
)  # fmt: skip
def test_the_core_schema(text: str, value: object) -> None:
    assert scalar_of(text) == value
    assert type(scalar_of(text)) is type(value)


@given(st.integers())
def test_every_whole_number_reads_back(number: int) -> None:
    assert scalar_of(str(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_reads_back(number: float) -> None:
    assert scalar_of(repr(number)) == number


def test_quoted_and_tagged_scalars() -> None:
    found = tree("a: '1'\nb: \"true\"\nc: !!str 5\nd: !!int 7\ne: ! 8\nf: |\n  12\n").plain()
    assert found == {"a": "1", "b": "true", "c": "5", "d": 7, "e": "8", "f": "12\n"}


def test_keys_are_their_source_text() -> None:
    assert tree("on: 1\n404: x\n1.0: y\ntrue: z\n").plain() == {
        "on": 1, "404": "x", "1.0": "y", "true": "z",
    }  # fmt: skip


def test_everything_knows_its_place() -> None:
    root = tree("probes:\n  - name: home\n    port: 80\n  - {name: x}\n")
    port = root.at("probes", 0, "port")
    assert (port.file, port.line, port.col, port.scalar) == ("sre.yaml", 3, 11, 80)
    key = root.at("probes", 0).key("port")
    assert (key.line, key.col) == (3, 5)
    assert root.at("probes", 1, "name").col == 12
    assert root.at("probes", 7) is None
    assert root.at("probes", "name", "x") is None


def test_aliases_are_values_and_keep_the_place_of_the_anchor() -> None:
    root = tree("a: &x {b: 1}\nc: *x\n")
    assert root.plain() == {"a": {"b": 1}, "c": {"b": 1}}
    assert root.at("c", "b").line == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", "3:1 a: duplicate key 'a', first on line 1; remove one of them"),
        ("x: {a: 1, a: 2}\n", "1:11 x.a: duplicate key 'a', first on line 1; remove one of them"),
        ("~: 1\n", "1:1: a key must be text, not null; put it in quotes"),
        ("[1, 2]: x\n", "1:1: a key must be text, not a sequence; put it in quotes"),
        ("a: !vault x\n", "1:4 a: the tag !vault is not known here; remove it"),
        ("a: !!python/object:os.system x\n",
         "1:4 a: the tag !!python/object:os.system is not known here; remove it"),
        ("a: !!set {x}\n", "1:4 a: the tag !!set is not known here; remove it"),
        ("d: &d {a: 1}\ne:\n  <<: *d\n",
         "3:3 e: merge keys (<<) are not part of YAML 1.2; write the keys out"),
        ("a:\n\tb: 1\n", "2:1: a tab where only spaces may stand; indent with spaces"),
        ("a: @x\n", "1:4: a value cannot begin with '@'; put it in quotes"),
        ("a: b: c\n",
         "1:5: a ':' where none may stand; check the indentation, or put the text in quotes"),
        ("a: 1\n---\nb: 2\n",
         "2:1: only one document may stand in the file; remove the '---' or '...' line"),
        ("a: *nope\n", "1:4: no anchor has this name; define it with & before it is used"),
        ("a: &x [*x]\n", "1:8 a[0]: the alias *x stands inside itself; write it out"),
        ("a: [1\n", "2:1: a list in [ ] lacks a comma or its closing ]"),
        ("a: {b: 1\n", "2:1: a mapping in { } lacks a comma or its closing }"),
        ('a: "x\n', "1:4: a quote is not closed; close it"),
        ("a: 1\nb\n", "3:1: a key without ':'; write 'key: value'"),
        ("a: 1\n b: 2\n",
         "2:3: a ':' where none may stand; check the indentation, or put the text in quotes"),
        ("a:\n  b: 1\n c: 2\n",
         "3:2: the indentation does not fit the lines above; align it with them"),
        ("a: \x07\n", "1:4: control character U+0007; remove it"),
        (f"a: {'9' * 5000}\n", "1:4 a: the number is too long; put it in quotes"),
    ],
)  # fmt: skip
def test_faults_have_a_place_and_a_cure(text: str, problem: str) -> None:
    assert said(text) == [f"sre.yaml:{problem}"]


def test_all_faults_above_the_syntax_are_told_at_once() -> None:
    assert len(said("a: 1\na: 2\n~: 3\nb: !x 4\n")) == 3


def test_alias_bombs_and_deep_nesting_are_refused() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    for here, before in zip("bcdefgh", "abcdefg", strict=True):
        bomb += f"{here}: &{here} [{', '.join([f'*{before}'] * 10)}]\n"
    assert f"aliases repeat more than {MAX_ALIASED} values; write them out" in said(bomb)[0]
    for depth in (MAX_DEPTH + 2, 200_000):
        assert f"nested deeper than {MAX_DEPTH} levels" in said("a: " + "[" * depth)[0]


def test_text_that_is_not_a_mapping_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sre.yaml"
    for text, message in [
        ("", "1:1: the file is empty; begin with 'version: 1'"),
        ("# nothing\n", "1:1: the file is empty; begin with 'version: 1'"),
        ("- a\n", "1:1: expected a mapping at the top, not a sequence; write 'key: value' lines"),
    ]:
        path.write_text(text)
        with pytest.raises(ConfigError) as caught:
            read_tree(path)
        assert str(caught.value) == f"{path}:{message}"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no such file; create it or name another"):
        read_tree(tmp_path / "none.yaml")
    with pytest.raises(UsageError, match=r"is a directory; name the file in it"):
        read_tree(tmp_path)
    path = tmp_path / "latin.yaml"
    path.write_bytes("a: 1\nb: é\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"latin.yaml:2:4: not UTF-8 text; save the file as UTF"):
        read_tree(path)


@pytest.mark.parametrize("start", ["\ufeff", "%YAML 1.2\n---\n", "---\n"])
def test_marks_before_the_document_are_fine(tmp_path: Path, start: str) -> None:
    path = tmp_path / "sre.yaml"
    path.write_text(f"{start}a: 1\n", encoding="utf-8")
    assert read_tree(path).plain() == {"a": 1}


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / "sre.yaml"


def test_included_files_merge_and_keep_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(
        tmp_path,
        sre="version: 1\ninclude: [more.yaml]\njourneys: {a: 1}\nprobes: [x]\n",
        more="include: [deep.yaml]\njourneys: {b: 2}\nprobes: [y]\n",
        deep="shop: {name: demo}\n",
    )
    root = read_tree(Path("sre.yaml"))
    assert root.plain() == {
        "version": 1, "journeys": {"a": 1, "b": 2}, "probes": ["x", "y"], "shop": {"name": "demo"},
    }  # fmt: skip
    places = [root.at("journeys", "b"), root.at("probes", 1), root.at("shop", "name")]
    assert [(node.file, node.line) for node in places if node] == [
        ("more.yaml", 2), ("more.yaml", 3), ("deep.yaml", 1),
    ]  # fmt: skip


def test_what_cannot_be_merged_is_told_with_both_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(
        tmp_path,
        sre="version: 1\ninclude: [more.yaml, none.yaml, sre.yaml]\njourneys: {a: 1}\n",
        more="version: 1\njourneys:\n  a: 2\n",
    )
    with pytest.raises(ConfigError) as caught:
        read_tree(Path("sre.yaml"))
    assert str(caught.value).splitlines() == [
        "more.yaml:1:1 version: already stands in sre.yaml:1; remove one of them",
        "more.yaml:3:3 journeys.a: already stands in sre.yaml:3; remove one of them",
        "sre.yaml:2:22 include: none.yaml: no such file; create it or name another",
        "sre.yaml:2:33 include: sre.yaml includes itself; remove one of the two includes",
    ]


def test_an_included_file_cannot_read_files_or_run_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(
        tmp_path,
        sre="version: 1\ninclude: [more.yaml]\n",
        more='a: {b: "${env:X} $${file:x}"}\nc: ["${file:/etc/passwd}"]\nd: "${cmd:[id]}"\n',
    )
    with pytest.raises(ConfigError) as caught:
        read_tree(Path("sre.yaml"))
    cure = "may not stand in an included file; move it into sre.yaml itself, or write '${env:NAME}'"
    assert str(caught.value).splitlines() == [
        f"more.yaml:2:5 c[0]: '${{file:…}}' {cure}",
        f"more.yaml:3:4 d: '${{cmd:…}}' {cure}",
    ]


def test_a_pipe_or_device_as_file_is_no_trap(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the file is empty"):
        read_tree(Path(os.devnull))
