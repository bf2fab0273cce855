"""Is a secret masked however a shop or a library has written it?"""

from __future__ import annotations

import base64
import html
import json
import re
import string
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.core.secrets import MASK, Redactor

SECRETS = st.text(alphabet=string.printable, min_size=9, max_size=30)
AROUND = st.text(alphabet="ab:/", max_size=5)


@pytest.mark.parametrize(
    "encode",
    [
        str,
        html.escape,
        lambda v: html.escape(v).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
        lambda v: quote(v, safe=""),
        lambda v: re.sub("%..", lambda m: m[0].lower(), quote(v, safe="")),
        quote_plus,
        lambda v: json.dumps(v)[1:-1],
        lambda v: base64.b64encode(v.encode()).decode(),
    ],
)
def test_an_encoded_secret_is_masked(encode: object) -> None:
    assert callable(encode)
    value = "pa/ss'w\"ö&<rd>+1"
    redactor = Redactor()
    redactor.add(value)
    masked = redactor.mask(f"before {encode(value)} after")
    assert masked == f"before {MASK} after"


@given(SECRETS, AROUND, AROUND)
def test_a_secret_inside_longer_base64_is_masked(value: str, before: str, after: str) -> None:
    redactor = Redactor()
    redactor.add(value)
    assert MASK in redactor.mask(base64.b64encode(f"{before}{value}{after}".encode()).decode())


def test_a_child_masks_what_its_parent_learns_later() -> None:
    parent = Redactor()
    child = Redactor(parent)
    assert child.mask("hunter2") == "hunter2"
    parent.add("hunter2")
    assert child.mask("hunter2") == MASK
    assert parent.mask("x") == "x"


def test_an_empty_secret_masks_nothing() -> None:
    redactor = Redactor()
    redactor.add("")
    assert redactor.mask("text") == "text"
