"""Does every YAML reader get back exactly the texts that were written?"""

from __future__ import annotations

from pathlib import Path

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from sre.core.config import read_tree
from sre.slo.yamltext import to_yaml

texts = st.text(
    st.characters(codec="utf-8", exclude_characters="\ufffe\uffff"),
    max_size=30,
)
trees = st.recursive(
    texts | st.integers(-1000, 1000),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(texts.filter(bool), inner, min_size=1, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(texts.filter(bool), trees, min_size=1, max_size=3))
@example({"a": ["1h", "1:30", "5m", "on", "No", "1e3", "0x1", "~", "", " x", "x: y", "#", "'\"'"]})
@example({"expr": "sum(\n  a\n)\n/ b", "list": [{"a": "x\ny", "b": [["c"]]}]})
@example({"a": "\u2028 \u2029 \x85 \x7f \ufeff \U0001f600 \x01 \r \t"})
@example({"2020-01-01": "2020-01-01", "null": "a:", "..": "../x.yml", "...": "---"})
def test_what_is_written_is_read(tmp_path_factory, data):
    text = to_yaml(data)
    assert yaml.safe_load(text) == data, text
    path: Path = tmp_path_factory.getbasetemp() / "one.yaml"
    path.write_text(text, encoding="utf-8")
    assert read_tree(path).plain() == data, text
