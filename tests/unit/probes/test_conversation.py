"""Does a talk say the right thing at the right time, however its answers are cut into pieces?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.probes.conversation import Exchange, Hear, Heard, Say, Secure, Unmatched, converse, expand


def play(talk: Any, pieces: Sequence[bytes]) -> list[str]:
    """What the talk does when it hears these pieces, then the end."""
    done, waiting, answer = [], list(pieces), None
    try:
        while True:
            action = talk.send(answer)
            answer = b""
            if isinstance(action, Hear):
                assert action.most > 0
                answer = waiting.pop(0) if waiting else b""
                done.append(f"hear {len(answer)}")
            else:
                done.append(action.data.decode() if isinstance(action, Say) else "tls")
                assert isinstance(action, Say | Secure)
    except StopIteration:
        return done


def turn(expect: str = "", **keys: Any) -> Exchange:
    return Exchange(re.compile(expect) if expect else None, **keys)


def said(talk: Any, pieces: Sequence[bytes]) -> list[str]:
    return [what for what in play(talk, pieces) if not what.startswith("hear")]


ANSWER = b"banner\r\n220 mail.test ESMTP\r\n250-x\r\n250 STARTTLS\r\n220 go\r\n"
SMTP = (
    turn("^220 ([^ ]+)", send="EHLO $1"),
    turn("STARTTLS$", send="STARTTLS", end="\r\n"),
    turn("^220", starttls=True),
)


@given(st.lists(st.integers(1, len(ANSWER) - 1), max_size=8))
def test_it_does_not_matter_how_an_answer_is_cut(cuts: list[int]) -> None:
    places = [0, *sorted(set(cuts)), len(ANSWER)]
    pieces = [ANSWER[a:b] for a, b in pairwise(places)]
    assert said(converse(SMTP, []), pieces) == ["EHLO mail.test\n", "STARTTLS\r\n", "tls"]


def test_labels_are_there_as_soon_as_their_line_came() -> None:
    labels: list[dict[str, str]] = []
    turns = (turn("^(?P<a>.)(.)", labels=(("x", "${a}-$2"), ("y", "no"))), turn("never"))
    with pytest.raises(Unmatched, match="closed after 3 bytes") as caught:
        play(converse(turns, labels), [b"ab\n"])
    assert labels == [{"x": "a-b", "y": "no"}]
    assert caught.value.wanted == "line"


@pytest.mark.parametrize(
    ("exchange", "heard", "words", "wanted"),
    [
        (turn("^220", refuse=re.compile("^4")), [b"1\n421 no\n"], "refused", "line"),
        (turn("^220"), [b"x" * 65536, b"x"], "a line of more than 65536 bytes", ""),
        (turn(expect_bytes=b"ab", exact=True), [b"ac"], "other bytes", "bytes"),
        (turn(expect_bytes=b"ab", exact=True), [b"a"], "closed after 1 bytes", ""),
        (turn(expect_bytes=b"ab"), [b"a", b"c"], "closed after 2 bytes", ""),
        (turn("^2", starttls=True), [b"220 go\nmore"], "plain text behind", ""),
    ],
)
def test_how_it_ends(exchange: Exchange, heard: list[bytes], words: str, wanted: str) -> None:
    with pytest.raises(Unmatched, match=words) as caught:
        play(converse((exchange,), []), heard)
    assert caught.value.wanted == wanted


def test_bytes_may_come_in_pieces_and_amid_others() -> None:
    turns = (turn(expect_bytes=b"login:", send="me"), turn("^ok$"))
    assert said(converse(turns, []), [b"xx log", b"in", b": ok\nok\n"]) == ["me\n"]


def test_a_limit_for_all_that_is_heard() -> None:
    with pytest.raises(Unmatched, match="no match in the first 10 bytes"):
        play(converse((turn("never"),), [], limit=10), [b"12345\n", b"1234"])


def test_the_last_line_may_have_no_end() -> None:
    assert said(converse((turn("^bye$", send="x"),), []), [b"bye"]) == ["x\n"]


def test_an_exact_number_of_bytes() -> None:
    heard = Heard()
    talk = heard.take(3)
    next(talk)
    with pytest.raises(StopIteration) as done:
        talk.send(b"abcd")
    assert (done.value.value, heard.waiting) == (b"abc", b"d")


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("$1", "one"), ("${1}", "one"), ("$name", "two"), ("${name}!", "two!"), ("$$1", "$1"),
        ("$9 ${9} $none", "  "), ("$1x", ""), ("${1}x", "onex"), ("${", "${"), ("$-", "$-"),
        ("${env:X}", "${env:X}"), ("$3", ""), ("${secret}", "word"),
    ],
)  # fmt: skip
def test_templates_are_filled_as_by_blackbox_exporter(template: str, text: str) -> None:
    match = re.search("(o..) (?P<name>...)(x)?", "one two")
    assert expand(template, match, "word") == text


def test_without_a_match_a_text_stays_as_it_is() -> None:
    assert expand("cost: $1 ${2}") == "cost: $1 ${2}"
    assert expand("AUTH ${secret} $1", None, "pa$1ss") == "AUTH pa$1ss "
