"""Is what we write an age file to everybody else, and is what others write one to us?"""

from __future__ import annotations

import os
import shutil
import subprocess
from base64 import b64encode
from pathlib import Path

import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sre.backup.age.bech32 import decode, encode
from sre.backup.age.header import WrongKey, end_of_header, identity_of
from sre.backup.age.stream import Opener, Sealer

CHUNK = 2**16
SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 17]
KEY = pyrage.x25519.Identity.from_str(
    "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
)
PUBLIC = str(KEY.to_public())


def sealed(plain: bytes, piece: int = 10**6) -> bytes:
    sealer = Sealer(PUBLIC)
    out = [sealer.update(plain[at : at + piece]) for at in range(0, len(plain), piece)]
    return b"".join([*out, sealer.finish()])


def opened(data: bytes, piece: int = 10**6, key: str = str(KEY)) -> bytes:
    opener = Opener(identity_of(key))
    out = [opener.update(data[at : at + piece]) for at in range(0, len(data), piece)]
    return b"".join([*out, opener.finish()])


def theirs(data: bytes) -> bytes:
    return bytes(pyrage.decrypt(data, [KEY]))


@pytest.mark.parametrize("size", SIZES)
def test_both_ways_with_another_implementation(size: int) -> None:
    plain = os.urandom(size)
    assert theirs(sealed(plain)) == plain
    assert opened(pyrage.encrypt(plain, [KEY.to_public()])) == plain


@pytest.mark.parametrize("size", SIZES)
def test_both_ways_with_the_age_program(tmp_path: Path, size: int) -> None:
    age = shutil.which("age") or pytest.skip("the age program is not installed")
    plain, key = os.urandom(size), tmp_path / "key"
    key.write_text(f"{KEY}\n", encoding="ascii")

    def run(*words: str, data: bytes) -> bytes:
        return subprocess.run([age, *words], input=data, stdout=subprocess.PIPE, check=True).stdout

    assert run("-d", "-i", str(key), data=sealed(plain)) == plain
    assert opened(run("-r", PUBLIC, data=plain)) == plain


def test_one_of_several_recipients() -> None:
    others = [pyrage.x25519.Identity.generate().to_public() for _ in range(3)]
    assert opened(pyrage.encrypt(b"rows", [*others, KEY.to_public()])) == b"rows"
    with pytest.raises(WrongKey):
        opened(pyrage.encrypt(b"rows", others))
    with pytest.raises(WrongKey, match="passphrase"):
        opened(pyrage.passphrase.encrypt(b"rows", "correct horse"))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 3 * CHUNK), st.integers(1, 2 * CHUNK), st.integers(1, 2 * CHUNK))
def test_pieces_of_any_size(size: int, fed: int, read: int) -> None:
    plain = os.urandom(size)
    assert opened(sealed(plain, fed), max(read, 200)) == plain


@settings(deadline=None, max_examples=120)
@given(st.data())
def test_no_change_is_overlooked(data: st.DataObject) -> None:
    """Flipped, cut, added or moved: an error for us where it is one for the other."""
    good = sealed(bytes(data.draw(st.sampled_from(SIZES))))
    at = data.draw(st.integers(0, len(good) - 1))
    how = data.draw(st.sampled_from(["flip", "cut", "add", "drop"]))
    bad = {
        "flip": good[:at] + bytes([good[at] ^ 1 << data.draw(st.integers(0, 7))]) + good[at + 1 :],
        "cut": good[:at],
        "add": good[:at] + b"x" + good[at:],
        "drop": good[:at] + good[at + 1 :],
    }[how]
    with pytest.raises(ValueError, match=r"^(it|its|the|an?) "):
        opened(bad)
    with pytest.raises(pyrage.DecryptError):
        theirs(bad)


def payload_of(plain: bytes) -> tuple[bytes, list[bytes]]:
    """A good file as its header and its chunks."""
    good = sealed(plain)
    start = end_of_header(good)
    assert start is not None
    size = CHUNK + 16
    return good[:start], [good[at : at + size] for at in range(start, len(good), size)]


@pytest.mark.parametrize(
    "order", [[], [0], [0, 1], [0, 1, 2, 2], [1, 0, 2], [0, 2], [0, 0, 1, 2], [2], [0, 1, 2, 1]]
)
def test_chunks_stay_where_they_are(order: list[int]) -> None:
    header, chunks = payload_of(os.urandom(2 * CHUNK + 5))
    bad = header + b"".join(chunks[each] for each in order)
    with pytest.raises(ValueError, match=r"missing|was changed"):
        opened(bad)
    with pytest.raises(pyrage.DecryptError):
        theirs(bad)


def test_an_empty_last_chunk_may_not_follow_a_full_one() -> None:
    sealer = Sealer(PUBLIC)
    plain = bytes(CHUNK)
    full = sealer.update(plain + b"x")
    sealer._held = b""  # what a writer that does not hold back would do
    bad = full + sealer.finish()
    with pytest.raises(ValueError, match="last chunk is empty"):
        opened(bad)
    with pytest.raises(pyrage.DecryptError):
        theirs(bad)


HEADERS = {
    "an older version": lambda text: text.replace(b"org/v1", b"org/v0"),
    "lines that end as in Windows": lambda text: text.replace(b"\n", b"\r\n"),
    "a second argument": lambda text: text.replace(b"-> X25519", b"-> X25519 more"),
    "two spaces": lambda text: text.replace(b"-> X25519 ", b"-> X25519  "),
    "no recipients": lambda text: text[:22] + text[text.index(b"---") :],
    "another stanza after the MAC's": lambda text: text.replace(b"-> ", b"-> other\n\n-> ", 1),
    "padding": lambda text: text.replace(b"\n--- ", b"=\n--- "),
    "a low order share": lambda text: text[:32] + b64encode(bytes(32)).rstrip(b"=") + text[75:],
}


@pytest.mark.parametrize("edit", HEADERS)
def test_headers_that_break_the_rules(edit: str) -> None:
    header, chunks = payload_of(b"rows")
    text, nonce = header[:-16], header[-16:]
    bad = HEADERS[edit](text) + nonce + chunks[0]
    assert bad != header + chunks[0]
    with pytest.raises(ValueError):  # noqa: PT011  any, of many
        opened(bad)
    with pytest.raises(pyrage.DecryptError):
        theirs(bad)


def test_a_header_without_end_is_not_read_for_ever() -> None:
    opener = Opener(identity_of(str(KEY)))
    with pytest.raises(ValueError, match="has no end"):
        opener.update(b"age-encryption.org/v1\n-> x\n" + b"A" * 2**17)


@pytest.mark.parametrize(
    "text",
    [PUBLIC[:-1], PUBLIC + "q", PUBLIC.replace("age1", "age2"), PUBLIC[:5] + "B" + PUBLIC[6:], ""],
)
def test_keys_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(it|a letter|upper)"):
        decode(text, "age")
    with pytest.raises(pyrage.RecipientError):
        pyrage.x25519.Recipient.from_str(text)


@given(data=st.binary(max_size=80), prefix=st.sampled_from(["age", "age-secret-key-", "x1y"]))
def test_a_key_is_written_as_it_is_read(data: bytes, prefix: str) -> None:
    text = encode(data, prefix)
    assert decode(text, prefix) == decode(text.upper(), prefix) == data


def test_an_identity_is_written_as_age_writes_it() -> None:
    for _ in range(20):
        text = str(pyrage.x25519.Identity.generate())
        assert encode(decode(text, "age-secret-key-"), "age-secret-key-").upper() == text
