"""What does the declaration of a journey mean, and is everything in it known and allowed?"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sre.core.config import Entry, Node, Problems, decode, join_path
from sre.core.errors import ConfigError
from sre.journey.compile_blocks import Builder, Names, Source, check_uses
from sre.journey.model import Block, DataFile, Field, Journey, Var
from sre.journey.shop import Shop
from sre.journey.spec import DefaultsSpec, JourneySpec
from sre.journey.template import BUILTINS
from sre.journey.texts import Texts, merge, to_node

__all__ = ["compile_journey", "compile_journeys", "single_step"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def compile_journeys(
    root: Node, shop: Shop, folder: Path, problems: Problems
) -> dict[str, Journey]:
    """All journeys of a declaration; what is wrong with them goes to `problems`.

    Args:
        root: the file's root, templates unresolved.
        folder: where relative file names (data, multipart) begin.
    """
    fragments = root.get("fragments")
    defaults = root.get("defaults")
    if defaults is not None:
        good = decode(DefaultsSpec, defaults, where="defaults", problems=problems)
        defaults = defaults if good is not None else None
    source = Source(shop, folder, problems, fragments.entries if fragments else {}, defaults)
    journeys: dict[str, Journey] = {}
    section = root.get("journeys")
    for name, entry in (section.entries if section else {}).items():
        if not _NAME.fullmatch(name):
            problems.add(
                entry.key,
                join_path("journeys", name),
                "a journey's name is a letter or _, then up to 62 letters, digits, _ or -",
            )
        journey = compile_journey(name, entry.value, source)
        if journey is not None:
            journeys[name] = journey
    return journeys


def compile_journey(name: str, node: Node, source: Source) -> Journey | None:
    """One journey; None when its shape is too far off to go on.

    With problems it is incomplete, and only good for finding more of them at once.
    """
    path, problems = join_path("journeys", name), source.problems
    spec = decode(JourneySpec, node, where=path, problems=problems)
    broken = spec is None
    if node.kind != "mapping":
        return None
    spec = spec or JourneySpec(steps=[])
    texts = Texts(problems, source.folder)
    names = Names()
    data = _data(spec, node.get("data"), join_path(path, "data"), source)
    names.known.update(data.columns if data else ())
    names.open = data is None and node.get("data") is not None
    variables = _vars(node.get("vars"), join_path(path, "vars"), texts, names)
    builder = _builder(node, path, source, texts, names, broken=broken)
    setup = builder.blocks(node.get("setup"), join_path(path, "setup"))
    blocks = builder.blocks(node.get("steps"), join_path(path, "steps"))
    cleanup = builder.blocks(node.get("cleanup"), join_path(path, "cleanup"))
    builder.finish(node, path, variables)
    journey = Journey(
        name=name,
        blocks=blocks,
        every=_every(spec, node),
        timeout=float(spec.timeout),
        side_effects=spec.side_effects,
        budget=None if spec.budget is None else float(spec.budget),
        vars=variables,
        data=data,
        setup=setup,
        cleanup=cleanup,
        cleanup_timeout=float(spec.cleanup_timeout),
        kept=_kept(setup, variables),
        synthetic=builder.headers[0],
    )
    if not broken:
        _check_whole(journey, node, path, source)
    return journey


def _builder(
    node: Node, path: str, source: Source, texts: Texts, names: Names, *, broken: bool
) -> Builder:
    headers_at = len(texts.uses)
    synthetic = _synthetic(source.shop, texts)
    defaults = merge_defaults(node, source, broken=broken)
    common = _common_headers(node.get("headers"), defaults)
    headers = (synthetic, *texts.fields(common, join_path(path, "headers")))
    shared = texts.uses[headers_at:]
    rest = defaults.without("headers") if defaults is not None else None
    return Builder(source, texts, names, headers, shared, rest)


def _every(spec: JourneySpec, node: Node) -> float | None:
    """As declared; else a minute, but what places orders is scheduled only when that is said."""
    if node.get("every") is None:
        return 60.0 if spec.side_effects == "none" else None
    return None if spec.every is None else float(spec.every)


def merge_defaults(node: Node, source: Source, *, broken: bool = False) -> Node | None:
    """The journey's defaults over the file's; its own are left out where they may be wrong."""
    own = node.get("defaults") if not broken else None
    return merge(own, source.defaults) if own is not None else source.defaults


def _common_headers(own: Node | None, defaults: Node | None) -> Node | None:
    """The journey's headers over those of the defaults; a null takes one away."""
    general = defaults.get("headers") if defaults is not None else None
    if own is None or general is None:
        return own or general
    named = {name.lower() for name in own.entries}
    return merge(own, general.without(*(n for n in general.entries if n.lower() in named)))


def _synthetic(shop: Shop, texts: Texts) -> Field:
    template = texts.template(to_node(shop.synthetic.value), "shop.synthetic.value")
    return Field(shop.synthetic.header, (template,))


def _data(spec: JourneySpec, node: Node | None, path: str, source: Source) -> DataFile | None:
    if spec.data is None or node is None:
        return None
    file = source.folder / spec.data.file
    at = node.get("file") or node
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            columns, *rows = [tuple(row) for row in csv.reader(stream) if row] or [()]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = getattr(error, "strerror", None) or str(error)
        source.problems.add(at, join_path(path, "file"), f"cannot read {file}: {why}")
        return None
    short = next((i for i, row in enumerate(rows, 2) if len(row) != len(columns)), None)
    bad = [name for name in columns if not _VARIABLE.fullmatch(name) or name in BUILTINS]
    if not rows or short or bad:
        why = (
            f"column {bad[0]!r} is not a variable's name" if bad
            else f"row {short} does not have {len(columns)} columns" if short
            else "it has no rows below its header"
        )  # fmt: skip
        source.problems.add(at, join_path(path, "file"), f"{file}: {why}")
        return None
    return DataFile(spec.data.file, columns, tuple(rows), spec.data.pick)


def _vars(node: Node | None, path: str, texts: Texts, names: Names) -> tuple[Var, ...]:
    made: list[Var] = []
    for name, entry in (node.entries if node else {}).items():
        where, value = join_path(path, name), entry.value
        if name in BUILTINS or not _VARIABLE.fullmatch(name):
            why = "is a built-in name" if name in BUILTINS else "is not a variable's name"
            texts.problems.add(entry.key, where, f"{name!r} {why}; rename it")
        used = len(texts.uses)
        made.append(_var(name, value, where, texts))
        check_uses(texts, texts.uses[used:], names)
        names.known.add(name)
    return tuple(made)


def _var(name: str, node: Node, path: str, texts: Texts) -> Var:
    if node.kind == "mapping":
        template = texts.secret_value(node, path)
        flag = node.get("secret")
        return Var(name, template, secret=flag is not None and flag.scalar is True)
    if node.kind == "scalar" and isinstance(node.scalar, str):
        return Var(name, texts.template(node, path))
    return Var(name, value=node.plain())


def _kept(setup: tuple[Block, ...], variables: tuple[Var, ...]) -> frozenset[str]:
    """What the setup extracted, and the vars that it was done with."""
    steps = [step for block in setup for step in block.steps]
    kept = {extractor.name for step in steps for extractor in step.extract}
    needed = {name for step in steps for name in step.needs}
    for var in reversed(variables):
        if var.name in needed and var.template is not None:
            needed |= var.template.names
    return frozenset(kept | needed)


def _check_whole(journey: Journey, node: Node, path: str, source: Source) -> None:
    problems = source.problems
    if not journey.steps and not len(problems):
        problems.add(node, join_path(path, "steps"), "there are no steps; add one")
    if journey.side_effects != "order":
        return
    at = node.key("side_effects")
    sandboxed = any(step.sandbox for step in journey.steps)
    if not sandboxed and source.shop.environment in (None, "production"):
        problems.add(
            at,
            join_path(path, "side_effects"),
            "a journey that places orders needs 'sandbox: true' in its payment step, or "
            "shop.environment: staging",
        )
    if journey.budget is None:
        problems.add(
            at,
            join_path(path, "budget"),
            "a journey that places orders needs a budget; write for example 'budget: 60/h'",
        )
    elif journey.every is not None and 1 / journey.every > journey.budget * 1.000001:
        problems.add(
            node.key("budget"),
            join_path(path, "budget"),
            f"every {journey.every:g} s is {3600 / journey.every:g} orders an hour, more than the "
            "budget; raise one of the two",
        )


def single_step(name: str, step: Mapping[str, Any], *, shop: Shop, timeout: float = 5.0) -> Journey:
    """A journey of one step from plain data, for probes that are one request.

    Args:
        step: the keys of a step (`get`, `headers`, `expect`, …); `name` is added.

    Raises:
        ConfigError: what is wrong with it, without a place.
    """
    problems = Problems()
    source = Source(shop, Path(), problems, {}, None)
    node = to_node({"timeout": f"{timeout}s", **step, "name": name})
    body = to_node({"steps": [], "timeout": f"{timeout}s"})
    whole = Node("", 0, 0, "mapping", entries={**body.entries, "steps": Entry(node, _list(node))})
    journey = compile_journey(name, whole, source)
    if problems.found or journey is None:
        raise ConfigError(problems.found)
    return journey


def _list(node: Node) -> Node:
    return Node("", 0, 0, "sequence", elements=(node,))
