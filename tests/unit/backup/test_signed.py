"""Is JSON read as strictly as it is written, and does a signed record come back or nothing?"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sre.backup.model import Keys
from sre.backup.signed import enclose, opened
from sre.backup.strict import strict_json
from tests.unit.backup.setting import make_keys

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys") / "keys")


@given(st.dictionaries(st.text(), JSON))
def test_strict_reading_gives_what_was_written(content: dict[str, Any]) -> None:
    assert strict_json(json.dumps(content)) == content


@settings(max_examples=50)
@given(st.dictionaries(st.text(min_size=1), JSON), st.integers(0, 10**6))
def test_a_signed_record_comes_back_or_nothing(
    keys: Keys, content: dict[str, Any], at: int
) -> None:
    record = {**content, "schema": "x/1"}
    data = enclose(record, keys.signing)
    assert opened(data, keys.trusted, "x/1") == record
    assert opened(data, keys.trusted, "x/2") is None
    assert opened(data, (), "x/1") is None
    place = at % len(data)
    changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
    found = opened(changed, keys.trusted, "x/1")
    assert found is None or json.loads(changed) == json.loads(data)
