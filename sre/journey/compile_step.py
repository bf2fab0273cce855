"""What does one step of the declaration mean?"""

from __future__ import annotations

import mimetypes
import re
from dataclasses import replace
from typing import cast

from sre.core.config import Node, Problems, decode, join_path
from sre.journey.compile_expect import check_selector, expectation
from sre.journey.expect import Expectation
from sre.journey.extract import Extractor
from sre.journey.model import Body, Field, FileField, Retry, Step, Until
from sre.journey.result import Reason
from sre.journey.spec import ExtractSpec, StepSpec
from sre.journey.template import BUILTINS, Template
from sre.journey.texts import Texts, to_node

__all__ = ["compile_step"]

METHODS = ("get", "post", "put", "patch", "delete", "head", "options")
_SOURCES = ("css", "json", "regex", "header", "cookie", "url")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def compile_step(
    node: Node, path: str, texts: Texts, *, headers: tuple[Field, ...], own_retry: bool
) -> Step | None:
    """One step, defaults already merged in; None when it cannot be read at all.

    Args:
        headers: of shop and journey; the step's own replace those of the same name.
        own_retry: `retry` stands in the step itself, not in the defaults.
    """
    node, spec = _spec(node, path, texts.problems)
    if spec is None:
        return None
    used = len(texts.uses)
    method, url = _address(node, path, texts)
    if not _NAME.fullmatch(spec.name):
        texts.problems.add(
            node.get("name") or node,
            join_path(path, "name"),
            f"{spec.name!r} must be a letter or _, then up to 62 letters, digits, _ or -",
        )
    if spec.idempotency_key and not _TOKEN.fullmatch(spec.idempotency_key.header):
        texts.problems.add(
            node.get("idempotency_key") or node,
            join_path(path, "idempotency_key"),
            f"{spec.idempotency_key.header!r} is not a header name (RFC 9110, 5.1)",
        )
    until = _until(spec, node.get("until"), join_path(path, "until"), texts)
    if spec.until and node.get("expect") is not None:
        texts.problems.add(
            node.key("expect"), join_path(path, "expect"), "until replaces expect; move it there"
        )
    step = Step(
        name=spec.name,
        method=method,
        url=url,
        group=spec.group,
        query=texts.fields(node.get("query"), join_path(path, "query")),
        headers=_headers(headers, node.get("headers"), join_path(path, "headers"), texts),
        body=_body(spec, node, path, texts),
        follow=True if spec.follow is None else spec.follow,
        timeout=float(spec.timeout or 5.0),
        body_limit=int(spec.body_limit or 10 * 2**20),
        keep_alive=True if spec.keep_alive is None else spec.keep_alive,
        sandbox=spec.sandbox,
        idempotency_header=spec.idempotency_key.header if spec.idempotency_key else None,
        expect=expectation(node.get("expect"), join_path(path, "expect"), texts) or Expectation(),
        refused=expectation(node.get("refused"), join_path(path, "refused"), texts),
        until=until,
        extract=_extractors(spec, node.get("extract"), join_path(path, "extract"), texts),
        retry=_retry(spec, node, path, method, texts.problems, own=own_retry),
        when=texts.conditions(node.get("when"), join_path(path, "when")),
        unless=texts.conditions(node.get("unless"), join_path(path, "unless")),
        pause=texts.pause(node.get("pause"), join_path(path, "pause")),
        repeat=texts.range(node.get("repeat"), join_path(path, "repeat"), int, "'3' or '3..7'"),
    )
    needs = frozenset(n for use in texts.uses[used:] for n in use.needs)
    needs |= {n for field in step.headers for value in field.values for n in value.names}
    asked = frozenset(c.name for c in step.when if c.name)
    return replace(step, needs=needs | asked)


def _spec(node: Node, path: str, problems: Problems) -> tuple[Node, StepSpec | None]:
    """The step's shape. Keys with problems are set aside, so that the rest is looked at too."""
    before = len(problems)
    spec = decode(StepSpec, node, where=path, problems=problems)
    if spec is None:
        found = {
            re.split(r"[.\[]", p.path.removeprefix(f"{path}."))[0] for p in problems.found[before:]
        }
        if not found & {"name", *METHODS}:
            node = node.without(*found)
            spec = decode(StepSpec, node, where=path, problems=Problems())
    return node, spec


def _address(node: Node, path: str, texts: Texts) -> tuple[str, Template]:
    found = [method for method in METHODS if node.get(method) is not None]
    if len(found) != 1:
        what = "no address" if not found else "more than one address: " + ", ".join(found)
        texts.problems.add(node, path, f"{what}; write one of {', '.join(METHODS)}: /path")
        return "GET", Template.parse("/")
    address = node.get(found[0])
    assert address is not None  # noqa: S101  just found
    return found[0].upper(), texts.template(address, join_path(path, found[0]))


def _headers(
    shared: tuple[Field, ...], node: Node | None, path: str, texts: Texts
) -> tuple[Field, ...]:
    own = texts.fields(node, path)
    named = {name.lower() for name in (node.entries if node else ())}
    for field in own:
        if not _TOKEN.fullmatch(field.name):
            at = node.key(field.name) if node else None
            if at is not None:
                texts.problems.add(at, path, f"{field.name!r} is not a header name (RFC 9110, 5.1)")
    return (*(field for field in shared if field.name.lower() not in named), *own)


def _body(spec: StepSpec, node: Node, path: str, texts: Texts) -> Body:
    found = [key for key in ("form", "json", "body", "multipart") if key in node.entries]
    if len(found) > 1:
        texts.problems.add(
            node.key(found[1]), path, f"one body only; there are {' and '.join(found)}"
        )
        return Body()
    if not found:
        return Body()
    value, where = cast("Node", node.get(found[0])), join_path(path, found[0])
    if spec.get is not None or spec.head is not None:
        texts.problems.add(
            node.key(found[0]), where, "get and head carry no body; use post, or query"
        )
    if found[0] == "form":
        return Body(form=texts.fields(value, where))
    if found[0] == "json":
        return Body(json=texts.tree(value, where))
    if found[0] == "body":
        return Body(text=texts.template(value, where))
    return Body(multipart=tuple(_parts(value, where, texts)))


def _parts(node: Node, path: str, texts: Texts) -> list[FileField]:
    parts: list[FileField] = []
    for name, entry in node.entries.items():
        where, value = join_path(path, name), entry.value
        if value.kind == "scalar":
            parts.append(FileField(name, texts.template(value, where)))
        else:
            parts.append(_file(name, value, where, texts))
    return parts


def _file(name: str, node: Node, path: str, texts: Texts) -> FileField:
    known = {"file", "value", "filename", "type"}
    file, value = node.get("file"), node.get("value")
    if node.kind != "mapping" or set(node.entries) - known or (file is None) == (value is None):
        texts.problems.add(
            node, path, "expected a text, {file: PATH} or {value: TEXT, filename: NAME, type: TYPE}"
        )
        return FileField(name)
    named, kind = node.get("filename"), node.get("type")
    filename = str(named.scalar) if named else None
    content_type = str(kind.scalar) if kind else None
    if value is not None:
        return FileField(name, texts.template(value, path), filename, b"", content_type)
    assert file is not None  # noqa: S101  one of the two
    source = texts.folder / str(file.scalar)
    try:
        content = source.read_bytes()
    except OSError as error:
        texts.problems.add(file, join_path(path, "file"), f"cannot read {source}: {error.strerror}")
        content = b""
    guessed = mimetypes.guess_type(source.name)[0]
    return FileField(name, None, filename or source.name, content, content_type or guessed)


def _until(spec: StepSpec, node: Node | None, path: str, texts: Texts) -> Until | None:
    if spec.until is None or node is None:
        return None
    expect = expectation(node.get("expect"), join_path(path, "expect"), texts)
    return Until(expect or Expectation(), float(spec.until.every), float(spec.until.within))


def _retry(
    spec: StepSpec, node: Node, path: str, method: str, problems: Problems, *, own: bool
) -> Retry | None:
    if spec.retry is None:
        return None
    unsafe = method not in ("GET", "HEAD", "OPTIONS") and spec.idempotency_key is None
    if unsafe and own:
        problems.add(
            node.key("retry"),
            join_path(path, "retry"),
            f"a {method} may only be sent again with an idempotency_key; add one or drop retry",
        )
    if unsafe:
        return None
    errors = frozenset(Reason(error) for error in spec.retry.errors if error != "throttled")
    return Retry(spec.retry.times, errors, throttled="throttled" in spec.retry.errors)


def _extractors(
    spec: StepSpec, node: Node | None, path: str, texts: Texts
) -> tuple[Extractor, ...]:
    made: list[Extractor] = []
    for name, one in spec.extract.items():
        where, at = join_path(path, name), (node.get(name) if node else None) or to_node(None)
        if name in BUILTINS or not _VARIABLE.fullmatch(name):
            why = "is a built-in name" if name in BUILTINS else "is not a variable's name"
            key = node.key(name) if node else at
            texts.problems.add(key, where, f"{name!r} {why}; rename it")
        if _one_source(one, at, where, texts):
            made.append(_extractor(name, one, at, where, texts))
    return tuple(made)


def _one_source(one: ExtractSpec, at: Node, where: str, texts: Texts) -> bool:
    sources = [key for key in _SOURCES if getattr(one, key)]
    if len(sources) != 1 and sources not in (["css", "json"], ["css", "regex"]):
        texts.problems.add(at, where, "expected exactly one of " + ", ".join(_SOURCES))
        return False
    if one.attr is not None and one.css is None:
        texts.problems.add(at, where, "attr goes with css")
    return True


def _extractor(name: str, one: ExtractSpec, at: Node, where: str, texts: Texts) -> Extractor:
    if one.json is not None:
        texts.check_query(one.json, at.get("json") or at, join_path(where, "json"))
    if one.css is not None:
        check_selector(one.css, at.get("css") or at, join_path(where, "css"), texts)
    regex, url = (
        texts.check_regex(text, at.get(key) or at, join_path(where, key)) if text else None
        for key, text in (("regex", one.regex), ("url", one.url))
    )
    return Extractor(
        name=name,
        css=one.css,
        attr=one.attr,
        json=one.json,
        regex=regex,
        header=one.header,
        cookie=one.cookie,
        url=url,
        pick=one.pick,
        distinct=one.distinct,
        required=one.required,
        secret=one.secret,
    )
