"""What does `${env:X}` in the file stand for, and where may `${file:…}` and `${cmd:…}` stand?"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sre.core.clock import Deadline
from sre.core.errors import UsageError
from sre.core.secrets import Secret
from sre.core.yamltext import compose
from sre.core.yamltree import Entry, Node

__all__ = ["resolve", "secret_from_reference"]

_ONE = re.compile(r"\$\{(env|file|cmd):(.*)\}", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PIECE = re.compile(r"(\$\$\{)|\$\{([^{}]*)\}|(\$\{)")
_COMMAND_SECONDS = 10.0


def resolve(
    node: Node, *, keep: Sequence[str] = (), environ: Mapping[str, str] | None = None
) -> Node:
    """`node` with `${env:NAME}` replaced in every string and `$${` by `${`.

    Subtrees under the path prefixes in `keep` (dotted, `*` for any key) hold templates and stay as
    they are. A reference that cannot be resolved here (unset, or for secret fields alone) stays as
    text with a `fault`: `decode` reports it unless a secret field takes it.
    """
    kept = [tuple(path.split(".")) for path in keep]
    return _resolve(node, kept, os.environ if environ is None else environ)


def secret_from_reference(text: str, folder: Path | str) -> Secret | None:
    """The lazy secret that `text` refers to; None when it is not exactly one reference.

    Nothing is read or run before `reveal()`. File names are relative to `folder`.

    Raises:
        ValueError: a reference that is written wrongly; the message says how to write it.
    """
    match = _ONE.fullmatch(text)
    if not match:
        return None
    kind, body = match.groups()
    if kind == "cmd":
        return Secret(text, _Command(text, _argv(body)))
    if "${" in body or "}" in body:
        return None
    if kind == "file":
        if not body:
            raise ValueError("expected a file name; write '${file:PATH}'")
        return Secret(text, Secret.from_file(Path(folder) / body)._read)
    if not _NAME.fullmatch(body):
        raise ValueError(f"{body!r} is not a variable's name; write '${{env:NAME}}'")
    return Secret.from_env(body)


def _argv(body: str) -> tuple[str, ...]:
    try:
        node = compose(body, "")
    except UsageError:
        node = None
    argv = node.elements if node is not None else ()
    if not argv or not all(item.kind == "scalar" and item.text for item in argv):
        raise ValueError("expected a list of words; write '${cmd:[PROGRAM, ARGUMENT]}'")
    return tuple(item.text for item in argv)


@dataclass(frozen=True)
class _Command:
    """Runs a program for its standard output; nothing of its output gets into a message."""

    reference: str
    argv: tuple[str, ...]

    def __call__(self) -> str:
        from sre.core.process import run  # noqa: PLC0415  few configurations run commands

        try:
            done = run(self.argv, Deadline.after(_COMMAND_SECONDS))
        except UsageError as error:
            raise UsageError(f"{self.reference}: {error}") from error
        if done.timed_out:
            raise UsageError(f"{self.reference}: no answer within {_COMMAND_SECONDS:.0f} s")
        if done.returncode != 0:
            raise UsageError(f"{self.reference}: ended with exit code {done.returncode}")
        try:
            return done.stdout.decode("utf-8").removesuffix("\n")
        except UnicodeDecodeError:
            raise UsageError(f"{self.reference}: its output is not text") from None


def _resolve(node: Node, keep: Sequence[tuple[str, ...]], environ: Mapping[str, str]) -> Node:
    if () in keep:
        return node
    if node.kind == "scalar":
        return _resolve_text(node, environ)
    if node.kind == "sequence":
        below = _below(keep, None)
        return replace(
            node, elements=tuple(_resolve(each, below, environ) for each in node.elements)
        )
    entries = {
        key: Entry(entry.key, _resolve(entry.value, _below(keep, key), environ))
        for key, entry in node.entries.items()
    }
    return replace(node, entries=entries)


def _below(keep: Sequence[tuple[str, ...]], key: str | None) -> Sequence[tuple[str, ...]]:
    return [path[1:] for path in keep if path and path[0] in {"*", key}]


def _resolve_text(node: Node, environ: Mapping[str, str]) -> Node:
    text = node.scalar
    if not isinstance(text, str) or "${" not in text:
        return node
    faults: list[str] = []
    if text.startswith("${cmd:"):
        faults.append(_MISPLACED)
        value = text
    else:
        value = _PIECE.sub(lambda piece: _piece(piece, environ, faults.append), text)
    if not faults and _PIECE.sub("", text.replace("$${", "")) == text.replace("$${", ""):
        return replace(node, scalar=value)
    return replace(node, scalar=text if faults else value, reference=text, fault="; ".join(faults))


_MISPLACED = "${file:…} and ${cmd:…} may stand only in secret fields; use ${env:NAME} here"


def _piece(piece: re.Match[str], environ: Mapping[str, str], fail: Callable[[str], None]) -> str:
    escaped, body, opened = piece.groups()
    if escaped:
        return "${"
    kind, _, name = (body or "").partition(":")
    if opened or body is None:
        fail("a reference is not closed; write ${env:NAME}, or $${ for a literal ${")
    elif kind == "env" and _NAME.fullmatch(name):
        if name in environ:
            return environ[name]
        fail(f"environment variable {name} is not set; export it")
    elif kind in {"file", "cmd"}:
        fail(_MISPLACED)
    else:
        fail(f"unknown reference ${{{body}}}; write ${{env:NAME}}, or $${{ for a literal ${{")
    return piece[0]
