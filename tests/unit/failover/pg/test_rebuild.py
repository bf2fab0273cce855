"""Is a copy that stands in its place already found there, and nothing else taken for one?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sre.core.clock import Deadline
from sre.failover.clusters.pg.rebuild import Rebuild
from sre.failover.control.local import LocalControl
from sre.failover.engine import Placed
from sre.failover.nodes import Service

NOBODY: Any = None
"""The hands that ask servers; none is asked here."""


def node(data: Path) -> Placed:
    return Placed("a", "a", Service("postgres", str(data)), LocalControl())


def folder(path: Path, *names: str) -> None:
    path.mkdir()
    for name in names:
        (path / name).touch()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data of 'a'"


def test_a_copy_that_was_swapped_in_is_not_made_again(data: Path) -> None:
    folder(data, "PG_VERSION", "backup_label", "postgresql.conf")
    folder(data.with_name(f"{data.name}.sre-old"), "PG_VERSION")
    folder(data.with_name(f"{data.name}.sre-conf"), "pg_hba.conf")
    found = Rebuild(NOBODY, node(data)).rebuild(
        "b", Deadline.after(30), version=150000, rewindable=True
    )
    assert found == {"way": "pg_basebackup", "because": "the copy was there"}
    assert (data / "pg_hba.conf").exists(), "its own configuration is put back all the same"
    assert not (data / "postgresql.conf").exists()


@pytest.mark.parametrize(
    ("inside", "beside"),
    [
        (("PG_VERSION",), ("old",)),  # its old data
        (("PG_VERSION", "backup_label"), ()),  # what somebody put there, to be rewound
        (("PG_VERSION", "backup_label"), ("old", "new")),  # a swap that has not happened
        (("backup_label",), ("old",)),  # half a copy
    ],
)
def test_anything_else_is_no_copy(
    data: Path, inside: tuple[str, ...], beside: tuple[str, ...]
) -> None:
    folder(data, *inside)
    for each in beside:
        folder(data.with_name(f"{data.name}.sre-{each}"), "PG_VERSION")
    assert not Rebuild(NOBODY, node(data))._copied(Deadline.after(30), rewindable=True)  # noqa: SLF001
