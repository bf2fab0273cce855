"""Do the small pure parts of backups hold for every input?"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.backup.frames import DATA, LAST, read_frames, write_frame, write_record
from sre.backup.keys import new_backup_key, new_keys, sign, signed_by_trusted, unwrap, wrap
from sre.backup.layout import Place, new_id, place_of
from sre.backup.tartail import TarTail
from sre.core.errors import IntegrityError, Refused, UsageError
from sre.core.secrets import Secret


def tar_of(sizes: list[int]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for number, size in enumerate(sizes):
            info = tarfile.TarInfo(f"file{number}")
            info.size = size
            tar.addfile(info, io.BytesIO(bytes([number % 251]) * size))
    return out.getvalue()


@given(
    sizes=st.lists(st.sampled_from([0, 1, 511, 512, 513, 20000]), max_size=6),
    pieces=st.lists(st.sampled_from([1, 7, 511, 512, 513, 4096, 100000]), min_size=1),
)
def test_a_tar_in_pieces_of_any_size(sizes: list[int], pieces: list[int]) -> None:
    data, tail, at, turn = tar_of(sizes), TarTail("file1"), 0, 0
    while at < len(data):
        size = pieces[turn % len(pieces)]
        tail.feed(data[at : at + size])
        at, turn = at + size, turn + 1
    assert tail.whole
    assert tail.members == len(sizes)
    assert tail.marked == (len(sizes) > 1)
    if sizes:
        assert tail.last_member == f"file{len(sizes) - 1}"
        last = sizes[-1]
        assert tail.tail[-last:] == bytes([(len(sizes) - 1) % 251]) * min(last, 16384) or not last


@given(sizes=st.lists(st.sampled_from([0, 1, 600]), min_size=1, max_size=4), data=st.data())
def test_a_cut_tar_is_never_whole(sizes: list[int], data: st.DataObject) -> None:
    tar = tar_of(sizes)
    content = sum(512 + -(-size // 512) * 512 for size in sizes)
    cut = data.draw(st.integers(0, content))
    tail = TarTail()
    tail.feed(tar[:cut])
    assert not tail.whole


@given(st.lists(st.binary(max_size=2000), max_size=5), st.integers(0, 20000))
def test_a_cut_stream_of_frames_is_noticed(pieces: list[bytes], cut: int) -> None:
    out = io.BytesIO()
    for piece in pieces:
        write_frame(out, DATA, piece)
    write_record(out, LAST, {"n": len(pieces)})
    whole = out.getvalue()
    found = list(read_frames(io.BytesIO(whole)))
    assert [frame.data for frame in found[:-1]] == pieces
    assert found[-1].record() == {"n": len(pieces)}
    if cut < len(whole):
        with pytest.raises(IntegrityError):
            list(read_frames(io.BytesIO(whole[:cut])))


@given(st.binary(min_size=5, max_size=40))
def test_garbage_is_no_frame(data: bytes) -> None:
    if data[:1] not in (b"D", b"E", b"L"):
        with pytest.raises(IntegrityError, match="damaged"):
            list(read_frames(io.BytesIO(data)))


def test_keys_are_private_and_never_overwritten(tmp_path: Path) -> None:
    made = new_keys(tmp_path / "keys")
    before = {path.name: path.read_bytes() for path in (tmp_path / "keys").iterdir()}
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()} == {0o600}
    for name in before:
        for other in set(before) - {name}:
            (tmp_path / "keys" / other).unlink(missing_ok=True)
        with pytest.raises(Refused, match="never overwritten"):
            new_keys(tmp_path / "keys")
        assert [path.name for path in (tmp_path / "keys").iterdir()] == [name]
        assert (tmp_path / "keys" / name).read_bytes() == before[name]
        for other, content in before.items():
            (tmp_path / "keys" / other).write_bytes(content)
    assert made.recipient in before["identity.pub"].decode()
    assert made.trusted in before["signing.pub"].decode()


def test_any_recipient_opens_and_nobody_else(tmp_path: Path) -> None:
    ops, escrow, stranger = (new_keys(tmp_path / name) for name in ("ops", "escrow", "stranger"))
    secret, _public = new_backup_key()
    wrapped = wrap(secret, [ops.recipient, escrow.recipient])
    for made in (ops, escrow):
        assert unwrap(wrapped, Secret.from_file(made.folder / "identity")) == secret
    with pytest.raises(IntegrityError, match="wrong key"):
        unwrap(wrapped, Secret.from_file(stranger.folder / "identity"))


def test_signatures(tmp_path: Path) -> None:
    one, other = new_keys(tmp_path / "one"), new_keys(tmp_path / "other")
    signature = sign(b"data", Secret.from_file(tmp_path / "one" / "signing"))
    assert signed_by_trusted(b"data", signature, [other.trusted, one.trusted])
    assert not signed_by_trusted(b"data", signature, [other.trusted])
    assert not signed_by_trusted(b"Data", signature, [one.trusted])
    assert not signed_by_trusted(b"data", b"", [one.trusted])
    assert not signed_by_trusted(b"data", signature, [])


@pytest.mark.parametrize(
    "text", ["", "no-signing-key", "SRE-ED25519-SECRET-", "SRE-ED25519-SECRET-AAAA"]
)
def test_what_is_no_signing_key(text: str) -> None:
    with pytest.raises(UsageError, match="not a signing key"):
        sign(b"data", Secret.literal(text))


def test_ids_and_places() -> None:
    label = new_id(1795305912.7, "full", bytes(range(8)))
    assert label == "20261122T000512Z-full-01234567"
    place = Place("orders", "7000-16", label)
    assert place_of(place.manifest) == place
    for key in (
        place.volume(0),
        place.signature,
        "v1/orders/x/backups/y/manifest.json",
        "",
        place.key,
    ):
        assert place_of(key) is None
