"""Is everything that is wrong in `degrade:` said at its line, with the cure?"""

from __future__ import annotations

from pathlib import Path

import pytest

from sre.core.errors import ConfigError
from sre.settings import Settings, load_settings

HEAD = 'version: 1\nshop: {name: s, base_url: "http://127.0.0.1:1"}\n'
HAPROXY = "traffic: {edge: {kind: haproxy, socket: /run/h.sock, config: /h.cfg, backend: b}}\n"


def read(tmp_path: Path, level: str, traffic: str = HAPROXY) -> Settings:
    path = tmp_path / "sre.yaml"
    path.write_text(f"{HEAD}{traffic}degrade:\n  x: {level}\n", encoding="utf-8")
    return load_settings(path)


def test_off_is_a_text_and_the_only_haproxy_is_meant(tmp_path: Path) -> None:
    does = "{does: [{map: /f.map, set: {checkout: off, n: 5, b: true, gone: null}}]}"
    level = read(tmp_path, does).switching.degrade["x"]
    assert [(s.place.name, s.wanted.text) for s in level.spots] == [
        (f"/f.map {key}{at}", text)
        for at in ("", " at /run/h.sock")
        for key, text in (("checkout", "off"), ("n", "5"), ("b", "true"), ("gone", None))
    ]


@pytest.mark.parametrize(
    ("level", "words"),
    [
        ("{does: []}", "needs a list"),
        ("{shows: hm}", "needs a list"),
        ("[1]", "expected a mapping"),
        ("{does: [{mapp: /f.map}]}", "one of file, http, map, rate, shed"),
        ("{does: [off]}", "expected a mapping"),
        ("{does: [{map: f.map, set: {a: b}}]}", "absolute path"),
        ("{does: [{map: /f.map, set: {}}]}", "at least one key"),
        ("{does: [{map: /f.map, set: {'a b': x}}]}", "not a key"),
        ("{does: [{map: /f.map, set: {'#a': x}}]}", "not a key"),
        ('{does: [{map: /f.map, set: {a: "x\\ny"}}]}', "one line"),
        ("{does: [{map: /f.map, set: {a: [1]}}]}", "one line"),
        ("{does: [{map: /f.map, set: {a: b}, through: egde}]}", "did you mean 'edge'"),
        ("{does: [{map: /f.map, set: {a: b}, through: edge, socket: /s}]}", "say one of"),
        ("{does: [{map: /f.map, set: {a: b}}, {map: /f.map, set: {a: c}}]}", "changed twice"),
        ("{does: [{map: /f.map, set: {a: b}, socket: there}]}", "HOST:PORT"),
        ("{does: [{shed: 30.5%, map: /f.map}]}", "whole percentage"),
        ("{does: [{shed: 130%, map: /f.map}]}", "whole percentage"),
        ("{does: [{rate: {/: 1/min}, map: /f.map}]}", "whole ones"),
        ("{does: [{file: /f}]}", "say one of content"),
        ("{does: [{file: /f, content: x, present: true}]}", "say one of content"),
        ("{does: [{http: PUT, url: /x, undo: {http: PUT}}]}", "absolute http"),
        ("{does: [{http: PUT, url: 'http://a:b@h/', undo: {http: PUT}}]}", "user name"),
        ("{does: [{http: PUT, url: 'http://h/'}]}", "has no undo"),
        ("{does: [{http: PUT, url: 'http://h/', secret_headers: {A: b}}]}", "one reference"),
        ("{does: [{file: /f, content: x}], undo: manual, for: 1h}", "never due"),
        ("{does: [{file: /f, content: x}], undo: never}", "manual"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, level: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, level)
    assert words in str(caught.value)
    assert "sre.yaml:5:" in str(caught.value)


def test_without_a_haproxy_the_cure_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="or add socket:"):
        read(tmp_path, "{does: [{map: /f.map, set: {a: b}}]}", "")
