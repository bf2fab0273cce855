"""Are links alive, secrets absent, shell text sound? (pure; `exists` looks for files)"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

from sre.runbook.markdown import anchors, links
from sre.runbook.model import Block, Document, Finding
from sre.runbook.shelltext import ALWAYS_SET, assigned, expansions, sre_calls

__all__ = ["link_findings", "secret_findings", "shell_findings"]

Say = Callable[..., Finding]

_SECRETS = (
    ("a private age key", re.compile(r"AGE-SECRET-KEY-1[0-9A-Z]{20,}")),
    ("a private key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")),
    ("an access key", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("a token", re.compile(r"\b(?:ghp_|gho_|glpat-|xox[bap]-|sk_live_)[\w-]{10,}")),
    ("a bearer token", re.compile(r"\bBearer\s+[A-Za-z0-9._~+/-]{12,}")),
    ("a password in an address", re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s:/@$]+:[^\s/@${<]+@")),
    (
        "a password",
        re.compile(
            r"(?:password|passwd|secret|token|api_?key)\w*[\"']?\s*[=:]\s*[\"']?"
            r"(?![\"'${<]|true\b|false\b|\{)[^\s\"'${,}]{6,}",
            re.IGNORECASE,
        ),
    ),
)
_ASSIGNS = re.compile(
    r"(?:^|[\s;&|(])[A-Za-z_]\w*=[\"']?$|<<<\s*\"?$|(?:^|[;&|(])\s*(?:printf|echo|test|\[)\s[^;&|]*$"
)
"""What may stand before a secret: an assignment, a here-string, a builtin of the shell."""


def secret_findings(text: str, say: Say) -> Iterator[Finding]:
    """What looks like a secret that somebody wrote down. The finding does not repeat it."""
    for number, line in enumerate(text.splitlines(), start=1):
        what = next((what for what, pattern in _SECRETS if pattern.search(line)), None)
        if what is not None:
            message = f"this looks like {what}; declare a variable with secret: true"
            yield say(number, "error", "secret", message)


def shell_findings(
    document: Document, commands: frozenset[str] | None, say: Say
) -> Iterator[Finding]:
    """Undeclared variables, secrets that would reach an argument list, unknown `sre` commands."""
    captured: set[str] = set()
    for block in (block for section in document.sections for block in section.blocks):
        if block.role == "manual":
            continue
        if document.front is not None:
            yield from _undeclared(block, set(document.front.vars), say)
            secrets = {name for name, each in document.front.vars.items() if each.secret}
            yield from _in_arguments(block, secrets, say)
            unset = {n for n, v in document.front.vars.items() if v.default is None}
            yield from _too_early(block, document, unset, captured, say)
        captured.add(block.capture)
        if commands is not None:
            yield from _commands(block, commands, say)


def _undeclared(block: Block, declared: set[str], say: Say) -> Iterator[Finding]:
    known = declared | assigned(block.text) | ALWAYS_SET
    for name, line, _before in expansions(block.text):
        if name not in known:
            close = difflib.get_close_matches(name, declared, n=1)
            hint = f"did you mean ${close[0]}?" if close else "declare it in vars:"
            message = f"${name} is not declared; {hint}"
            yield say(block.line + 1 + line, "error", "variable", message)


def _in_arguments(block: Block, secrets: set[str], say: Say) -> Iterator[Finding]:
    for name, line, before in expansions(block.text):
        if name in secrets and not _ASSIGNS.search(before):
            message = (
                f"${name} is secret and would stand in an argument list, which every user can read;"
                " pass it by environment (NAME=… before the command) or <<<"
            )
            yield say(block.line + 1 + line, "error", "secret", message)


def _too_early(
    block: Block, document: Document, unset: set[str], captured: set[str], say: Say
) -> Iterator[Finding]:
    later = {b.capture for s in document.sections for b in s.blocks if b.capture} & unset
    for name, line, _before in expansions(block.text):
        if name in later - captured and block.role != "rollback":
            message = f"${name} is used before a block captures it; move that block up"
            yield say(block.line + 1 + line, "error", "variable", message)


def _commands(block: Block, commands: frozenset[str], say: Say) -> Iterator[Finding]:
    groups = {command.split()[0] for command in commands if " " in command}
    for line, words in sre_calls(block.text):
        named = [" ".join(words[:size]) for size in range(len(words), 0, -1)]
        if not words or any(name in commands for name in named):
            continue
        tried = " ".join(words[:2]) if words[0] in groups else words[0]
        known = commands if words[0] in groups else {c.split()[0] for c in commands}
        close = difflib.get_close_matches(tried, sorted(known), n=1)
        hint = f"did you mean 'sre {close[0]}'?" if close else "see sre --help"
        message = f"there is no command 'sre {tried}'; {hint}"
        yield say(block.line + 1 + line, "error", "command", message)


def link_findings(
    document: Document, exists: Callable[[Path], str | None], say: Say
) -> Iterator[Finding]:
    """Relative links that lead nowhere."""
    for line, address in links(document.text):
        if re.match(r"[a-z][a-z0-9+.-]*:|//", address, re.IGNORECASE):
            continue
        file, _, anchor = address.partition("#")
        path = document.path.parent / unquote(file) if file else document.path
        text = document.text if not file else exists(path)
        if text is None:
            yield say(line, "error", "link", f"{address} leads nowhere; mend or remove it")
        elif anchor and anchor.lower() not in anchors(text):
            yield say(line, "error", "link", f"{address}: no heading of that name; mend it")
