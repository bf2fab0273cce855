"""Is what a backup builds on always a sound chain, whatever stands in the store?"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sre.backup.manifest import Manifest, Volume
from sre.backup.pages.choose import MOST_LINKS, choose


def manifest(number: int, kind: str, parent: int | None, stored: int, timeline: int) -> Manifest:
    volume = Volume("v", 1, "", 1, "")
    return Manifest(
        id=f"id{number}", db="orders", engine="postgres", version="15.4", place="7-15", kind=kind,
        parent=None if parent is None else f"id{parent}", tier="", started=number, finished=number,
        consistent=number, source_bytes=1, stored_bytes=stored, key="", key_bytes=0, key_sha256="",
        recipients=(), volumes=(volume,), dump={"timeline": timeline}, argv=(), tool="",
        sidecar=volume,
    )  # fmt: skip


@st.composite
def histories(draw: st.DrawFn) -> list[Manifest]:
    made: list[Manifest] = []
    for number in range(draw(st.integers(0, 9))):
        kind = draw(st.sampled_from(["full", "differential", "incremental"]))
        parent = None if kind == "full" or not made else draw(st.integers(0, number - 1))
        kind = "full" if parent is None else kind
        stored = draw(st.integers(1, 200))
        made.append(manifest(number, kind, parent, stored, draw(st.sampled_from([1, 1, 1, 2]))))
    return made


@given(histories(), st.sampled_from(["full", "differential", "incremental"]), st.integers(0, 9))
def test_a_choice_is_a_sound_chain_or_has_a_reason(
    made: list[Manifest], kind: str, bad: int
) -> None:
    found = choose(kind, made, 1, lambda each: "bad" if each.id == f"id{bad}" else "")
    if not found.chain:
        assert found.kind == "full"
        assert bool(found.reason) == (kind != "full")
        return
    assert found.kind == kind
    assert found.chain[0].kind == "full"
    assert kind != "differential" or len(found.chain) == 1
    assert len(found.chain) <= MOST_LINKS
    assert all(each.dump["timeline"] == 1 and each.id != f"id{bad}" for each in found.chain)
    for parent, child in zip(found.chain, found.chain[1:], strict=False):
        assert child.parent == parent.id
    stored = sum(each.stored_bytes for each in found.chain[1:])
    assert stored * 2 <= found.chain[0].stored_bytes
