"""Does restored data arrive whole on another machine, and with the settings of a new primary?"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, Transient
from sre.core.process import Done
from sre.failover.control.local import LocalControl
from sre.failover.engine import Placed
from sre.failover.nodes import Service
from sre.site import sending
from sre.site.landing import without


def node(data: Path, control: Any = None) -> Placed:
    return Placed("a", "a", Service("postgres", str(data)), control or LocalControl(user=_me()))


def _me() -> str:
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Large and small, odd names, empty folders, a link."""
    folder = tmp_path / "restored"
    (folder / "base" / "5").mkdir(parents=True)
    (folder / "pg_tblspc").mkdir()
    (folder / "base" / "5" / "16384").write_bytes(os.urandom(5 * 2**20 + 7))
    (folder / "base" / "5" / "exact").write_bytes(os.urandom(2 * 2**20))
    (folder / "PG_VERSION").write_text("15\n")
    (folder / 'it\'s "odd" ü -n').write_text("x")
    (folder / "empty").touch()
    (folder / "link").symlink_to("PG_VERSION")
    return folder


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "_PIECE", 2**20)


def contents(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.mark.usefixtures("small_pieces")
def test_a_folder_is_sent_whole_and_again(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "node" / "data.sre-rebuild-00"
    (target / "left").mkdir(parents=True)
    for _ in range(2):
        sent = sending.send_folder(source, node(tmp_path / "node" / "data"), str(target),
                                   Deadline.after(60))  # fmt: skip
        assert contents(target) == contents(source)
        assert sent == sum(p.stat().st_size for p in source.rglob("*") if p.is_file()
                           and not p.is_symlink())  # fmt: skip
    assert (target / "link").is_symlink()
    assert (target / "base/5/16384").stat().st_mode == (source / "base/5/16384").stat().st_mode


@dataclass(frozen=True)
class Losing(LocalControl):
    """Takes pieces of large files and writes nothing of the one that is named."""

    lost: int = 2
    code: int = 0

    def run(self, service: Service, argv: Any, deadline: Deadline, **more: Any) -> Done:
        if argv[0] == "dd" and f"seek={self.lost}" in argv:
            argv = ["sh", "-c", f"cat >/dev/null; exit {self.code}"]
        return super().run(service, argv, deadline, **more)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize(("code", "kind"), [(0, Transient), (1, CheckFailed)])
def test_a_piece_that_is_lost_is_seen(
    source: Path, tmp_path: Path, code: int, kind: type[Exception]
) -> None:
    (tmp_path / "node").mkdir()
    there = node(tmp_path / "node" / "data", Losing(user=_me(), lost=5, code=code))
    with pytest.raises(kind):
        sending.send_folder(source, there, str(tmp_path / "node" / "draft"), Deadline.after(60))


def test_lines_are_taken_out_and_no_others() -> None:
    text = "# a comment on port\nport = 1\n  PORT=2\nport_x = 3\nlisten_addresses '*'\nwork_mem=1MB"
    left = without(text, ("port", "listen_addresses"))
    assert left == "# a comment on port\nport_x = 3\nwork_mem=1MB\n"
    assert not without("", ("port",))
