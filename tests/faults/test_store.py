"""What becomes of a backup when the store, or the way to it, fails? (rows 5 to 9)"""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from sre.backup.catalogue import Damaged
from sre.backup.listing import list_backups
from sre.backup.restoring.restore import restore_to
from sre.core.errors import Transient
from tests.faults.ground import Ground
from tests.servers.s3faults import ACTS, Rule
from tests.unit.backup.setting import make_tar, shop_files

MANIFEST, VOLUME = r"manifest\.json$", r"v00000\d\.zst\.age$"
BOUND = 30.0


@pytest.mark.parametrize(
    ("act", "where"),
    [
        ("500", VOLUME),
        ("reset", VOLUME),
        ("lost", VOLUME),
        ("503", "/keys/"),
        ("lost", "/keys/"),
        ("lost-503", r"manifest\.json\.sig$"),
        ("lost", MANIFEST),
        ("lost-503", MANIFEST),
        ("lost", "/locks/"),
        ("reset", "/locks/"),
    ],
)
def test_one_failed_request_costs_nothing(ground: Ground, act: str, where: str) -> None:
    """Tried again with the same bytes; an answer that was lost is found out, not an error."""
    [rule] = ground.faulty.plan(Rule(act, "PUT", where))
    made = ground.run()
    assert rule.hits == 1
    assert ground.listed() == [made]
    ground.restores(made)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.long)])
def test_a_fifth_of_all_requests_fails(ground: Ground, seed: int) -> None:
    """Either a good backup or none; never half of one."""
    ground.faulty._chance.seed(seed)
    ground.faulty.plan(
        Rule("500", share=0.1, times=None),
        Rule("503", share=0.05, times=None),
        Rule("reset", share=0.05, times=None),
    )
    made = []
    for _ in range(2):
        try:
            made.append(ground.run())
        except Transient:
            continue
    ground.faulty.plan()
    assert ground.listed() == made
    ground.restores(*made)


@pytest.mark.parametrize("act", ["500", "reset", "stall"])
def test_volumes_never_arrive(ground: Ground, act: str) -> None:
    """Exit code 4 in bounded time, and nothing is listed."""
    ground.faulty.plan(Rule(act, "PUT", r"/backups/", times=None))
    began = time.monotonic()
    with pytest.raises(Transient) as raised:
        ground.run()
    assert (raised.value.exit_code, time.monotonic() - began < BOUND) == (4, True)
    ground.faulty.plan()
    assert ground.listed() == []


@pytest.mark.parametrize(
    "act", ["lost", "stall", pytest.param("500", marks=pytest.mark.long), "error-200"]
)
def test_the_commit_is_never_answered(ground: Ground, act: str) -> None:
    """Whatever we said: what is listed restores, and the next run is good."""
    ground.faulty.plan(Rule(act, "PUT", MANIFEST, times=None))
    began = time.monotonic()
    made: list[str] = []
    try:
        made = [ground.run()]
    except Transient:
        pass
    assert time.monotonic() - began < BOUND
    ground.faulty.plan()
    found = ground.listed()
    assert set(made) <= set(found)
    ground.restores(*found)
    ground.restores(ground.run())


@pytest.mark.parametrize("act", ["stall", "reset-down", "flip-down", "cut-down", "500"])
def test_a_restore_over_a_bad_way(ground: Ground, act: str) -> None:
    """Once bad: whole or refused; nothing lands that is not what was saved."""
    made = ground.run(bad=False)
    [rule] = ground.faulty.plan(Rule(act, "GET", r"v000001\.zst", size=10_000))
    target = ground.folder / "out"
    began = time.monotonic()
    try:
        restore_to(ground.job(), made, target)
    except (Transient, Damaged):
        assert not target.exists()
        assert act != "500"
    assert rule.hits == 1
    assert time.monotonic() - began < BOUND
    assert [path for path in ground.folder.iterdir() if "restoring" in path.name] == []
    ground.restores(made, bad=True)


def test_a_slow_way_is_slow_and_whole(ground: Ground) -> None:
    """Bytes that keep coming are waited for; the hash at the end decides."""
    made = ground.run(bad=False)
    ground.faulty.plan(Rule("drip", "GET", r"v000001\.zst", size=60_000, seconds=0.05))
    ground.restores(made, bad=True)


def test_a_byte_turned_over_on_the_way_up(ground: Ground) -> None:
    """The server's checksum refuses it; it is sent again."""
    [rule] = ground.faulty.plan(Rule("flip-up", "PUT", r"v000001\.zst"))
    try:
        made = [ground.run()]
    except Transient:
        made = []
    assert rule.hits == 1
    ground.faulty.plan()
    assert ground.listed() == made
    ground.restores(*made, ground.run())


@pytest.mark.parametrize("act", ["500", "empty-list", "twice-list", "reset", "error-200"])
def test_lists_that_fail_show_no_backup_too_many(ground: Ground, act: str) -> None:
    """An error is an error; what stands there twice is listed once."""
    made = ground.run(bad=False)
    ground.faulty.plan(Rule(act, "GET", "list-type=2", times=None))
    try:
        found, faults = list_backups(ground.job(), "orders")
    except Transient:
        assert act in ("500", "reset", "error-200")
        return
    assert act in ("empty-list", "twice-list")
    assert [each.id for each in found] == ([] if act == "empty-list" else [made])
    assert faults == []


@pytest.mark.parametrize(
    ("act", "method", "where", "good"),
    [
        ("500", "POST", r"uploads", True),
        ("reset-up", "PUT", "partNumber=2", True),
        ("lost", "PUT", "partNumber=1", True),
        ("delay", "PUT", "partNumber=2", True),
        ("flip-up", "PUT", "partNumber=2", None),
        ("503", "POST", "uploadId=", True),
        ("lost", "POST", "uploadId=", True),
        ("lost-503", "POST", "uploadId=", True),
        ("error-200", "POST", "uploadId=", True),
    ],
)
def test_parts_and_their_completion(
    ground: Ground, act: str, method: str, where: str, good: bool | None
) -> None:
    """Volumes of several parts: an answer that was lost, an error in the body of a 200."""
    many = {**shop_files(), "base/1/2": random.Random(5).randbytes(9 * 2**20)}
    make_tar(ground.tar, many)
    [rule] = ground.faulty.plan(Rule(act, method, where, size=2**20, seconds=0.3))
    try:
        made = [ground.run(volume=2**30)]
    except Transient:
        made = []
    assert rule.hits == 1
    assert good is None or bool(made) == good
    ground.faulty.plan()
    assert ground.listed() == made
    for each in made:
        restore_to(ground.job(bad=False), each, ground.folder / "out")
        assert (ground.folder / "out/base/1/2").read_bytes() == many["base/1/2"]


def test_a_completion_that_is_always_an_error_in_a_200(ground: Ground) -> None:
    """The status is not believed: exit code 4, nothing is listed."""
    make_tar(ground.tar, {**shop_files(), "base/1/2": random.Random(5).randbytes(9 * 2**20)})
    ground.faulty.plan(Rule("error-200", "POST", "uploadId=", times=None))
    with pytest.raises(Transient):
        ground.run(volume=2**30)
    ground.faulty.plan()
    assert ground.listed() == []


def test_every_act_is_used_or_told() -> None:
    """A word without a test is a promise without one."""
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("*.py"))
    assert [act for act in ACTS if f'"{act}"' not in text] == []
