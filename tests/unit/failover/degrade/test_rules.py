"""Does a map's file keep every other byte, and does a pile of levels come down to the base?"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.core.errors import CheckFailed
from sre.failover.degrade.doings.map import MapDoing
from sre.failover.degrade.layers import begun, bringing, taking
from sre.failover.degrade.model import Held, Level, Spot
from sre.failover.degrade.places.mapfile import value_in, with_value
from sre.failover.degrade.places.request import UNSENT
from sre.failover.degrade.record import Active, Record, load, save

KEYS = ("a", "checkout", "/checkout", "b.c")
lines = st.one_of(
    st.sampled_from(["", "# a note", "  # checkout off", "\t"]),
    st.builds("{}{}{}{}".format, st.sampled_from(["", " "]), st.sampled_from(["x", "y", "z;"]),
              st.sampled_from([" ", "\t", "   "]), st.sampled_from(["on", "1 2", "é", "#"])),
)  # fmt: skip


@given(st.lists(lines), st.booleans(), st.sampled_from(KEYS), st.sampled_from(["off", "30", "a b"]))
def test_what_is_added_leaves_no_trace_when_it_goes(
    rows: list[str], ends: bool, key: str, value: str
) -> None:
    text = "\n".join(rows) + ("\n" if ends and rows else "")
    there = with_value(text, key, value)
    assert value_in(there, key) == value
    assert with_value(there, key, None) == text


@given(st.lists(lines, max_size=4), st.lists(lines, max_size=4), st.sampled_from(["\t", "   "]))
def test_what_is_changed_and_changed_back_is_the_same_to_the_byte(
    above: list[str], below: list[str], gap: str
) -> None:
    text = "\n".join([*above, f" checkout{gap}on ", *below])
    there = with_value(text, "checkout", "off")
    assert value_in(there, "checkout") == "off"
    assert with_value(there, "checkout", "on") == text


def test_a_key_that_stands_twice_is_nobodys() -> None:
    with pytest.raises(CheckFailed, match="2 times"):
        value_in("a on\na off\n", "a")


@dataclass(frozen=True)
class Slot:
    """A place in a dictionary."""

    name: str
    readable = True


def level(name: str, **wants: str | None) -> Level:
    spots = tuple(Spot(Slot(slot), Held(text)) for slot, text in wants.items())  # type: ignore[arg-type]
    return Level(name, spots)


LEVELS = {
    "one": level("one", p="1", q="1"),
    "two": level("two", q="2", r=None),
    "three": level("three", p=None, r="3"),
}
BASE = {"p": Held("base"), "q": Held(None), "r": Held("base")}
moves = st.lists(st.tuples(st.sampled_from(sorted(LEVELS)), st.booleans()), max_size=14)


def active(name: str) -> Active:
    return Active(name, 0.0, "me", "", "", "automatic", None, "applying", ())


def moved(record: Record, world: dict[str, Held], name: str, on: bool) -> Record:
    if on:
        after = begun(record, LEVELS[name], active(name), world, UNSENT)
        steps = bringing(record, after, name, world)
    elif record.level(name) is None:
        return record
    else:
        steps = taking(record, name, world, UNSENT, force=False)
        after = record.without(name)
    assert not any(step.surprise for step in steps)
    world.update({step.place.name: step.target for step in steps if step.how == "change"})
    return after


@given(moves)
def test_the_last_level_on_a_place_decides_and_below_all_lies_what_was(
    what: list[tuple[str, bool]],
) -> None:
    world, record = dict(BASE), Record()
    for name, on in what:
        record = moved(record, world, name, on)
        for slot, there in world.items():
            over = [s.wanted for each in record.levels for s in LEVELS[each.name].spots
                    if s.place.name == slot]  # fmt: skip
            assert there == (over[-1] if over else BASE[slot])
    for each in record.levels[:]:
        record = moved(record, world, each.name, on=False)
    assert (world, record) == (BASE, Record())


@given(moves.filter(bool), st.integers(0, 2))
def test_cut_off_anywhere_a_level_still_comes_back(what: list[tuple[str, bool]], cut: int) -> None:
    world, record = dict(BASE), Record()
    for name, on in what[:-1]:
        record = moved(record, world, name, on)
    name = what[-1][0]
    before, then = record, dict(world)
    was_on = record.level(name) is not None
    record = begun(record, LEVELS[name], active(name), world, UNSENT)
    for step in bringing(before, record, name, world)[:cut]:
        world[step.place.name] = step.target
    record = moved(record, world, name, on=False)
    if not was_on:
        assert (world, record.levels) == (then, before.levels)


def test_a_hand_made_value_is_kept_and_force_takes_it() -> None:
    world, record = dict(BASE), Record()
    record = moved(record, world, "one", on=True)
    world["p"] = Held("by hand")
    steps = {s.place.name: s for s in taking(record, "one", world, UNSENT, force=False)}
    assert (steps["p"].how, steps["q"].how) == ("by hand", "change")
    forced = {s.place.name: s for s in taking(record, "one", world, UNSENT, force=True)}
    assert (forced["p"].how, forced["p"].target) == ("change", Held("base"))


def test_a_record_comes_back_from_disk_as_it_was(tmp_path) -> None:  # type: ignore[no-untyped-def]
    spots = MapDoing("/m.map", {"a": "off", "b": None}).spots(("/s.sock", "127.0.0.1:9"))
    odd = Held("\udcff\x00é", 0o640, 1, 2)
    declared = Level("x", spots)
    record = begun(Record(), declared, active("x"), {s.place.name: odd for s in spots}, UNSENT)
    save(tmp_path / "r", record)
    assert load(tmp_path / "r") == record
    there = record.level("x")
    assert there is not None
    assert there.of(declared)
    assert (tmp_path / "r").stat().st_mode & 0o777 == 0o600
