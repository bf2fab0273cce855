"""How do lists of steps, fragments among them, become blocks, and which names exist where?"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sre.core.config import Entry, Node, Problems, decode, join_path
from sre.journey.compile_step import compile_step
from sre.journey.model import Block, Field, Step, Var
from sre.journey.shop import Shop
from sre.journey.spec import UseSpec
from sre.journey.template import BUILTINS
from sre.journey.texts import Texts, Use, merge

__all__ = ["Builder", "Names", "Source", "check_uses"]


@dataclass(frozen=True)
class Source:
    """What all journeys of a file share."""

    shop: Shop
    folder: Path
    problems: Problems
    fragments: Mapping[str, Entry]
    defaults: Node | None


@dataclass(slots=True)
class Names:
    """Which variables exist at a point of the journey; `open`: others may, we could not read."""

    known: set[str] = field(default_factory=set)
    ever: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    open: bool = False


def check_uses(texts: Texts, uses: Iterable[Use], names: Names) -> None:
    for use in uses:
        names.used |= use.needs | use.optional
        for name in sorted(use.needs - names.known if not names.open else ()):
            close = difflib.get_close_matches(name, names.known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else (
                "; extract it in an earlier step, or use ${" + name + "?} if it may be left out"
            )  # fmt: skip
            texts.problems.add(use.node, use.path, f"variable {name!r} is not known here{hint}")


@dataclass
class Builder:
    """Turns lists of steps into blocks, in order, while names become known."""

    source: Source
    texts: Texts
    names: Names
    headers: tuple[Field, ...]
    shared: list[Use]
    defaults: Node | None
    steps_seen: dict[str, Node] = field(default_factory=dict)
    late: list[Use] = field(default_factory=list)

    def blocks(self, node: Node | None, path: str) -> tuple[Block, ...]:
        """The blocks of one list of steps."""
        made: list[Block] = []
        for index, item in enumerate(node.elements if node else ()):
            where = f"{path}[{index}]"
            if item.get("use") is not None:
                block = self._fragment(item, where)
            else:
                step = self._step(item, where)
                block = Block((step,)) if step else None
            if block is not None:
                made.append(block)
        return tuple(made)

    def _fragment(self, node: Node, path: str, chain: tuple[str, ...] = ()) -> Block | None:
        spec = decode(UseSpec, node, where=path, problems=self.source.problems)
        if spec is None:
            return None
        at = node.get("use") or node
        entry = self.source.fragments.get(spec.use)
        if entry is None or spec.use in chain:
            why = "uses itself" if entry else "does not exist"
            known = ", ".join(sorted(self.source.fragments)) or "none"
            self.source.problems.add(
                at, join_path(path, "use"), f"fragment {spec.use!r} {why}; known: {known}"
            )
            return None
        used, texts = len(self.texts.uses), self.texts
        when = texts.conditions(node.get("when"), join_path(path, "when"))
        unless = texts.conditions(node.get("unless"), join_path(path, "unless"))
        what = "'3' or '3..7'"
        repeat = texts.range(node.get("repeat"), join_path(path, "repeat"), int, what)
        check_uses(texts, texts.uses[used:], self.names)
        self.late += texts.uses[used:]
        parts: list[Step | Block] = []
        for index, item in enumerate(self._items(spec.use, entry)):
            where = f"fragments.{spec.use}[{index}]"
            if item.get("use") is not None:
                inner = self._fragment(item, where, (*chain, spec.use))
                parts += [inner] if inner else []
            elif (step := self._step(item, where)) is not None:
                parts.append(step)
        return Block(tuple(parts), when, unless, repeat)

    def _items(self, name: str, entry: Entry) -> tuple[Node, ...]:
        if entry.value.kind != "sequence":
            where = join_path("fragments", name)
            self.source.problems.add(entry.value, where, "expected a list of steps (- name: …)")
        return entry.value.elements

    def _step(self, node: Node, path: str) -> Step | None:
        used = len(self.texts.uses)
        merged = _with_defaults(node, self.defaults)
        own_retry = node.get("retry") is not None
        step = compile_step(merged, path, self.texts, headers=self.headers, own_retry=own_retry)
        if step is None:
            extract = node.get("extract")  # so that later steps do not miss them as well
            self.names.known |= set(extract.entries if extract else ())
            return None
        if step.name in self.steps_seen:
            first = self.steps_seen[step.name]
            self.source.problems.add(
                node.get("name") or node,
                join_path(path, "name"),
                f"step {step.name!r} stands at line {first.line} already; names are labels, "
                "give each step its own",
            )
        self.steps_seen[step.name] = node
        self._learn(step, self.texts.uses[used:])
        return step

    def _learn(self, step: Step, uses: list[Use]) -> None:
        check_uses(self.texts, [*uses, *self.shared], self.names)
        self.shared = [Use(u.node, u.path, frozenset(), u.optional | u.needs) for u in self.shared]
        self.late += uses
        self.names.known |= {extractor.name for extractor in step.extract}

    def finish(self, node: Node, path: str, variables: tuple[Var, ...]) -> None:
        """What can be said only when all steps are known: optional names, unused names."""
        for use in [*self.late, *self.shared]:
            unset = use.optional - self.names.known - BUILTINS
            for name in sorted(unset if not self.names.open else ()):
                close = difflib.get_close_matches(name, self.names.known, n=1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                self.source.problems.add(
                    use.node, use.path, f"no step or var ever sets {name!r}{hint}"
                )
        section = node.get("vars") or node
        for var in variables:
            if var.name not in self.names.used:
                where = join_path(path, "vars", var.name)
                self.source.problems.warn(section.key(var.name), where, "is never used")
        for name, step_node in self.steps_seen.items():
            extract = step_node.get("extract")
            for extracted, entry in (extract.entries if extract else {}).items():
                if extracted not in self.names.used:
                    where = join_path(path, name, "extract", extracted)
                    self.source.problems.warn(entry.key, where, "is never used")


def _with_defaults(node: Node, defaults: Node | None) -> Node:
    if defaults is None or node.get("until") is None:
        return merge(node, defaults)
    expect = defaults.get("expect")
    merged = merge(node, defaults.without("expect"))
    until = merged.get("until")
    if expect is None or until is None or until.get("expect") is None:
        return merged
    inner = merge(until, defaults.only("expect"))
    entries = {**merged.entries, "until": Entry(merged.entries["until"].key, inner)}
    return Node(merged.file, merged.line, merged.col, "mapping", entries=entries)
