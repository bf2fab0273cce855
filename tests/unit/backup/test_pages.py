"""Does a list of changed pages, applied to what was before, make what is now?"""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sre.backup.pages import tap as tap_module
from sre.backup.pages.map import HASH, PAGE, Sidecar, encode, merge
from sre.backup.pages.tap import PagesTap
from sre.core.errors import IntegrityError
from tests.unit.backup.paged import apply

Files = Mapping[str, bytes]
LAST = "backup_manifest"


def tar_of(
    files: Files, *, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o600
) -> bytes:
    """A tar as the server makes it, folders first."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        folders = {"/".join(n.split("/")[:i]) for n in files for i in range(1, n.count("/") + 1)}
        for name in sorted(folders):
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, mode | (mode & 0o444) >> 2
            tar.addfile(info)
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), mode
            if link:
                info.type, info.linkname, info.size = kind, link, 0
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def through(tap: PagesTap, tar: bytes, piece: int = 70_001) -> bytes:
    """What the tap lets through."""
    out = b"".join(b"".join(tap.feed(tar[at : at + piece])) for at in range(0, len(tar), piece))
    return out + b"".join(tap.end())


def sidecar_of(tap: PagesTap) -> Sidecar:
    return Sidecar.parse(b"".join(tap.sidecar()))


def as_parent(*sidecars: Sidecar) -> Sidecar:
    """The merged map, as the child reads it."""
    return Sidecar.parse(b"".join(encode(sidecars[0].key, merge(sidecars))))


def write(folder: Path, files: Files) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def read(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def restored(first: Files, tars: list[bytes], folder: Path) -> dict[str, bytes]:
    write(folder, first)
    for tar in tars:
        apply(tar, folder)
    return read(folder)


def chain(states: list[Files], piece: int = 70_001) -> list[bytes]:
    """The tars of incremental backups, each built on all before it."""
    tap = PagesTap("", None)
    tar = tar_of(states[0])
    assert through(tap, tar, piece) == tar
    sidecars, tars = [sidecar_of(tap)], []
    for state in states[1:]:
        tap = PagesTap("", as_parent(*sidecars))
        tars.append(through(tap, tar_of(state), piece))
        sidecars.append(sidecar_of(tap))
        assert tap.report()["whole"]
    return tars


def pages(*kinds: int) -> bytes:
    return b"".join(bytes([kind % 256]) * PAGE for kind in kinds)


NAMES = ("base/5/100", "base/5/100.1", "base/5/100_fsm", "global/1262", "base/5/t3_99_vm",
         "pg_xact/0000", "PG_VERSION", "base/5/pg_filenode.map", "pg_wal/000000010000000000000001",
         "base/5/INCREMENTAL.100", "odd \"'ü")  # fmt: skip
contents = st.one_of(
    st.lists(st.integers(0, 3), max_size=6).map(lambda kinds: pages(*kinds)),
    st.binary(max_size=300),
    st.builds(lambda a, b: pages(a) + b, st.integers(0, 3), st.binary(min_size=1, max_size=9)),
)
states = st.dictionaries(st.sampled_from(NAMES), contents, max_size=len(NAMES))


@settings(max_examples=60, deadline=None)
@given(st.lists(states, min_size=2, max_size=5), st.sampled_from([512, 8191, 70_001, 10**7]))
def test_a_chain_of_any_states_is_the_last_one(history: list[dict[str, bytes]], piece: int) -> None:
    history = [{**state, LAST: bytes([number])} for number, state in enumerate(history)]
    with tempfile.TemporaryDirectory() as folder:
        found = restored(history[0], chain(history, piece), Path(folder))
    assert found == history[-1]


def test_unchanged_pages_are_not_stored_and_many_changed_ones_come_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tap_module, "_HELD", 4 * PAGE)
    before = {"base/5/1": os.urandom(40 * PAGE), "base/5/2": os.urandom(50 * PAGE), LAST: b"{}"}
    after = {**before, "base/5/2": os.urandom(30 * PAGE)}
    (tar,) = chain([before, after], piece=3 * PAGE)
    assert 30 * PAGE < len(tar) < 45 * PAGE
    with tarfile.open(fileobj=io.BytesIO(tar)) as listed:
        names = listed.getnames()
    assert names.count("base/5/INCREMENTAL.2") > 5
    assert restored(before, [tar], tmp_path) == after


def test_a_file_that_was_cut_short_and_grew_again_has_its_new_pages(tmp_path: Path) -> None:
    history = [{"base/5/1": pages(*kinds), LAST: b"{}"} for kinds in ([1, 2, 3, 4], [1], [1, 0, 3])]
    assert restored(history[0], chain(history), tmp_path) == history[-1]


def test_a_file_that_went_and_came_again_is_whole(tmp_path: Path) -> None:
    history: list[Files] = [
        {"base/5/1": pages(1, 2), LAST: b"a"}, {LAST: b"b"}, {"base/5/1": pages(1, 2), LAST: b"c"},
    ]  # fmt: skip
    tars = chain(history)
    assert pages(1, 2) in tars[-1]
    assert restored(history[0], tars, tmp_path) == history[-1]


def test_one_bit_of_a_page_is_a_change(tmp_path: Path) -> None:
    before = bytearray(os.urandom(4 * PAGE))
    after = bytearray(before)
    after[2 * PAGE + 77] ^= 1
    history = [{"base/5/1": bytes(each), LAST: b"{}"} for each in (before, after)]
    assert restored(history[0], chain(history), tmp_path) == history[-1]


EVIL: dict[str, Any] = {
    "absolute": tar_of({"/etc/evil": b"x"}),
    "above": tar_of({"base/../../evil": b"x"}),
    "above at once": tar_of({"../evil": b"x"}),
    "link": tar_of({"base/5/1": b""}, kind=tarfile.SYMTYPE, link="/etc/passwd"),
    "hard link": tar_of({"base/5/1": b""}, kind=tarfile.LNKTYPE, link="PG_VERSION"),
    "device": tar_of({"base/5/1": b""}, kind=tarfile.CHRTYPE, link="x"),
    "through a link": tar_of({"out/evil": b"x"}),
    "cut": tar_of({"base/5/1": pages(1)})[:PAGE],
    "no end": tar_of({"base/5/1": pages(1)})[: 3 * 512 + PAGE],
    "nothing": b"",
    "garbage": os.urandom(4096),
}


@pytest.mark.parametrize("which", EVIL)
def test_a_tar_that_leads_out_of_the_folder_or_is_none_is_refused(
    which: str, tmp_path: Path
) -> None:
    folder, outside = tmp_path / "data", tmp_path / "outside"
    write(folder, {"PG_VERSION": b"15\n", "base/5/1": pages(1)})
    outside.mkdir()
    (folder / "out").symlink_to(outside)
    with pytest.raises(IntegrityError):
        apply(EVIL[which], folder)
    assert list(outside.iterdir()) == []
    assert not (tmp_path / "evil").exists()


def test_a_link_that_an_earlier_tar_left_is_never_followed(tmp_path: Path) -> None:
    folder, victim = tmp_path / "data", tmp_path / "victim"
    history: list[Files] = [
        {"base/5/1": pages(1), LAST: b"1"}, {"base/5/1": pages(2), LAST: b"2"},
    ]  # fmt: skip
    (tar,) = chain(history)
    victim.write_bytes(pages(7))
    write(folder, history[0])
    (folder / "base/5/1").unlink()
    (folder / "base/5/1").symlink_to(victim)
    with pytest.raises(IntegrityError, match="base/5/1"):
        apply(tar, folder)
    assert victim.read_bytes() == pages(7)


def test_changed_pages_of_a_file_that_is_not_there_are_refused(tmp_path: Path) -> None:
    (tar,) = chain([{"base/5/1": pages(1), LAST: b"1"}, {"base/5/1": pages(2), LAST: b"2"}])
    with pytest.raises(IntegrityError, match="base"):
        apply(tar, tmp_path)


def damaged() -> Iterator[bytes]:
    good = b"".join(encode(bytes(32), {"base/5/1": bytes(4 * HASH)}))
    yield b""
    yield b"x" + good[1:]
    yield from (good[:cut] for cut in (4, 20, 100, 130, len(good) - 1))
    yield good.replace(b"8192", b"4096")
    yield good.replace(b"blake3-64", b"blake3-99")


@pytest.mark.parametrize("data", list(damaged()))
def test_what_is_no_map_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        Sidecar.parse(data)


def test_maps_of_two_chains_do_not_merge() -> None:
    one, other = (Sidecar.parse(b"".join(encode(bytes([n]) * 32, {}))) for n in (1, 2))
    with pytest.raises(IntegrityError, match="key"):
        merge([one, other])
