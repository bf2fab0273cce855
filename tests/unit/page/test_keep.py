"""Does the history survive restarts, and a service survive a broken history?"""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sre.page.history import History
from sre.page.keep import Keeper, encoded
from tests.unit.page.made import NOON, failed, played, run


def test_what_is_saved_is_there_again(tmp_path: Path) -> None:
    history = played((NOON, run()), (NOON + 60, failed()))
    keeper = Keeper(tmp_path)
    assert keeper.open().as_data() == History().as_data()
    keeper.save(encoded(history))
    keeper.close()
    again = Keeper(tmp_path)
    assert again.open().as_data() == history.as_data()
    assert again.notes == ()
    assert (again.path.stat().st_mode & 0o777) == 0o600
    again.close()


def packed(data: bytes) -> bytes:
    """The same bytes in each process."""
    return gzip.compress(data, mtime=0)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"not gzip", packed(b"{"), packed(b"[]"), packed(b"null"),
        packed(b'{"schema": "sre.status-history/9"}'),
        packed(b'{"schema":"sre.status-history/1","standings":{"a":{}},"tracks":{}}'),
        packed(b'{"schema":"sre.status-history/1","standings":[],"tracks":{}}'),
        packed(encoded(played((NOON, run()))))[:60],
    ],
)  # fmt: skip
def test_a_damaged_file_begins_anew_and_says_so(content: bytes, tmp_path: Path, caplog) -> None:
    keeper = Keeper(tmp_path)
    keeper.path.parent.mkdir()
    keeper.path.write_bytes(content)
    with caplog.at_level(logging.ERROR):
        assert keeper.open().as_data() == History().as_data()
    assert "damaged" in caplog.text
    assert "begin anew" in keeper.notes[0]
    assert keeper.path.with_name("history.damaged").read_bytes() == content
    keeper.save(encoded(History()))
    keeper.close()
    assert Keeper(tmp_path).open().as_data() == History().as_data()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10**6), flip=st.integers(1, 255))
def test_no_flipped_byte_ends_the_service(place: int, flip: int, tmp_path: Path) -> None:
    data = bytearray(packed(encoded(played((NOON, run()), (NOON, failed())))))
    data[place % len(data)] ^= flip
    keeper = Keeper(tmp_path)
    keeper.path.parent.mkdir(exist_ok=True)
    keeper.path.write_bytes(data)
    assert isinstance(keeper.open(), History)
    keeper.close()


def test_a_second_process_reads_but_does_not_write(tmp_path: Path) -> None:
    first, second = Keeper(tmp_path), Keeper(tmp_path)
    first.open()
    first.save(encoded(played((NOON, run()))))
    assert "checkout" in second.open().standings
    assert "not kept" in second.notes[0]
    second.save(b"nonsense")
    first.close()
    third = Keeper(tmp_path)
    assert "checkout" in third.open().standings
    assert third.notes == ()
    third.close()


def test_a_folder_that_cannot_be_made_is_a_note(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    keeper = Keeper(tmp_path / "file")
    assert keeper.open().as_data() == History().as_data()
    assert keeper.notes
    keeper.save(b"x")
    keeper.close()


def test_a_full_disk_is_a_note_until_it_has_room_again(tmp_path: Path, caplog) -> None:
    keeper = Keeper(tmp_path)
    keeper.open()
    folder = keeper.path.parent
    moved = folder.with_name("elsewhere")
    folder.rename(moved)
    folder.write_text("in the way")
    keeper.save(b"x")
    keeper.save(b"x")
    assert "cannot be saved" in keeper.notes[0]
    assert len([r for r in caplog.records if "cannot be saved" in r.message]) == 1
    folder.unlink()
    moved.rename(folder)
    keeper.save(encoded(History()))
    assert keeper.notes == ()
    keeper.close()
